/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* putv and getv: B13, and section 6.7. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "segments.h"

#define MANY (RSM_MAX_SGIOREQS + 1)

/* One request: its entries move 8 bytes each between local[i] and 16 * i. */
struct request {
	rsm_scat_gath_t sg;
	rsm_iovec_t entries[MANY];
	unsigned char local[MANY * 8];
};

static void make_request(struct request *request, import_t import, ulong_t count)
{
	size_t i;

	memset(request, 0, sizeof(*request));
	fill(request->local, sizeof(request->local), 9);
	for (i = 0; i < MANY; i++) {
		request->entries[i].io_type = RSM_VA_TYPE;
		request->entries[i].local.vaddr = (char *)request->local + 8 * i;
		request->entries[i].remote_offset = 16 * i;
		request->entries[i].transfer_length = 8;
	}
	request->sg.io_request_count = count;
	request->sg.io_residual_count = 77;
	request->sg.remote_handle = import;
	request->sg.iovec = request->entries;
}

/* Entry i has been moved. */
static int is_moved(const struct request *request, const unsigned char *memory, size_t i)
{
	return memcmp(memory + 16 * i, request->local + 8 * i, 8) == 0;
}

typedef int (*vector_call)(rsm_scat_gath_t *);
static const vector_call calls[] = { rsm_memseg_import_putv, rsm_memseg_import_getv };
#define BOTH(i) i = 0; i < 2; i++

static void t204(void)
{
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_putv(NULL));
	EXPECT(RSMERR_BAD_SGIO, rsm_memseg_import_getv(NULL));
}

static void t206(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		make_request(&request, pair.import, 0);
		request.sg.flags = RSM_IMPLICIT_SIGPOST;
		EXPECT(RSMERR_BAD_SGIO, calls[i](&request.sg));
		request.sg.io_request_count = MANY;
		EXPECT(RSMERR_BAD_SGIO, calls[i](&request.sg));
		CHECK(request.sg.flags == RSM_IMPLICIT_SIGPOST);
		CHECK(request.sg.io_residual_count == 77);
	}
	CHECK(is_filled(pair.memory, L, 0));
	CHECK(take_events(pair.segment) == 0);
}

static void t207(void)
{
	static const ulong_t counts[] = { 1, RSM_MAX_SGIOREQS };
	struct request request;
	struct pair pair;
	size_t i, count;
	int call;

	make_pair(&pair);
	for (count = 0; count < 2; count++)
		for (BOTH(call)) {
			fill(pair.memory, L, 1);
			make_request(&request, pair.import, counts[count]);
			EXPECT(RSM_SUCCESS, calls[call](&request.sg));
			CHECK(request.sg.io_residual_count == 0);
			for (i = 0; i < MANY; i++)
				CHECK(is_moved(&request, pair.memory, i) == (i < counts[count]));
		}
}

static void t208(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		make_request(&request, connect_to(pair.id, RSM_PERM_RDWR), 1);
		EXPECT(RSM_SUCCESS, calls[i](&request.sg));
	}
}

static void t209(void)
{
	struct request request;
	struct pair pair;

	make_pair(&pair);
	make_request(&request, pair.import, 1);
	request.entries[0].local_offset = 24;
	request.entries[0].remote_offset = PS + 5;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	CHECK(memcmp(pair.memory + PS + 5, request.local + 24, 8) == 0);
	memset(request.local, 0, sizeof(request.local));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_getv(&request.sg));
	CHECK(memcmp(pair.memory + PS + 5, request.local + 24, 8) == 0);
	CHECK(request.local[23] == 0 && request.local[32] == 0);
}

static void t211(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		fill(pair.memory, L, 0);
		make_request(&request, pair.import, 4);
		request.entries[1].remote_offset = L - 7;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 3);
		CHECK(is_moved(&request, pair.memory, 0));
		CHECK(!is_moved(&request, pair.memory, 2));
		CHECK(!is_moved(&request, pair.memory, 3));
	}
}

static void t212(void)
{
	struct request request;
	struct pair pair;

	make_pair_of(&pair, 0, RSM_PERM_READ);
	make_request(&request, pair.import, 2);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_putv(&request.sg));
	CHECK(request.sg.io_residual_count == 2);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_getv(&request.sg));
	CHECK(is_filled(pair.memory, L, 0));
	make_pair_of(&pair, 0, RSM_PERM_WRITE);
	make_request(&request, pair.import, 2);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_getv(&request.sg));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
}

static void t213(void)
{
	struct request request;
	struct pair pair;
	void *address = NULL;
	int i;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS,
	    rsm_memseg_import_map(pair.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, (off_t)PS, 2 * PS));
	for (BOTH(i)) {
		fill(pair.memory, L, 0);
		make_request(&request, pair.import, 1);
		request.entries[0].remote_offset = PS;
		EXPECT(RSM_SUCCESS, calls[i](&request.sg));
		CHECK(memcmp(pair.memory + PS, request.local, 8) == 0);
		/* Outside of the window. */
		request.entries[0].remote_offset = PS - 8;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
		request.entries[0].remote_offset = 3 * PS;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
	}
}

static void t214(void)
{
	struct request request;
	struct pair pair;

	make_pair(&pair);
	make_request(&request, pair.import, 3);
	request.sg.flags = RSM_IMPLICIT_SIGPOST;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	CHECK(request.sg.flags == RSM_IMPLICIT_SIGPOST);
	CHECK(take_events(pair.segment) == 1);
	/* Not unless it was asked for. */
	request.sg.flags = 0;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	request.sg.flags = RSM_SIGPOST_NO_ACCUMULATE;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	CHECK(take_events(pair.segment) == 0);
}

static void t216(void)
{
	struct request request;
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	make_request(&request, pair.import, 1);
	request.sg.flags = RSM_IMPLICIT_SIGPOST | RSM_SIGPOST_NO_ACCUMULATE;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	CHECK(take_events(pair.segment) == 1);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	CHECK(take_events(pair.segment) == 1);
}

static void t217(void)
{
	struct request request;
	struct pair pair;

	make_pair(&pair);
	make_request(&request, pair.import, 1);
	request.sg.flags = RSM_IMPLICIT_SIGPOST;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_getv(&request.sg));
	CHECK(take_events(pair.segment) == 1);
}

static void t218(void)
{
	struct request request;
	import_t unmapped;
	struct pair pair;
	int i;

	make_pair(&pair);
	unmapped = connect_to(pair.id, RSM_PERM_RDWR);
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (BOTH(i)) {
		make_request(&request, pair.import, 1);
		EXPECT(RSMERR_CONN_ABORTED, calls[i](&request.sg));
		make_request(&request, unmapped, 1);
		EXPECT(RSMERR_CONN_ABORTED, calls[i](&request.sg));
	}
	CHECK(is_filled(pair.memory, L, 0));
}

static void putv_2(void)
{
	struct request request;
	int i;

	for (BOTH(i)) {
		make_request(&request, NULL, 1);
		EXPECT(RSMERR_BAD_SEG_HNDL, calls[i](&request.sg));
		/* Before the count. */
		request.sg.io_request_count = 0;
		EXPECT(RSMERR_BAD_SEG_HNDL, calls[i](&request.sg));
	}
}

static void putv_6(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		make_request(&request, pair.import, 1);
		request.sg.iovec = NULL;
		EXPECT(RSMERR_BAD_ADDR, calls[i](&request.sg));
		make_request(&request, pair.import, 3);
		request.entries[2].io_type = 3;
		EXPECT(RSMERR_BAD_SGIO, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 1);
		make_request(&request, pair.import, 1);
		request.entries[0].io_type = 0;
		EXPECT(RSMERR_BAD_SGIO, calls[i](&request.sg));
		make_request(&request, pair.import, 1);
		request.entries[0].remote_offset = (size_t)-8;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
		make_request(&request, pair.import, 1);
		request.entries[0].transfer_length = (size_t)-8;
		request.entries[0].remote_offset = 16;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
	}
}

static void failed_without_signal(void)
{
	struct request request;
	struct pair pair;

	make_pair(&pair);
	make_request(&request, pair.import, 2);
	request.sg.flags = RSM_IMPLICIT_SIGPOST;
	request.entries[1].remote_offset = L;
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_putv(&request.sg));
	CHECK(request.sg.flags == RSM_IMPLICIT_SIGPOST);
	CHECK(take_events(pair.segment) == 0);
}

static void implicit_map(void)
{
	struct request request;
	struct pair pair;
	void *address = NULL;

	make_pair(&pair);
	make_request(&request, pair.import, 1);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request.sg));
	EXPECT(RSMERR_SEG_ALREADY_MAPPED,
	    rsm_memseg_import_map(pair.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
}

/* Nothing was begun: all entries are left. */
static void residual_of_all(void)
{
	struct request request;
	import_t unmapped;
	struct pair pair;
	int i;

	make_pair(&pair);
	unmapped = connect_to(pair.id, RSM_PERM_RDWR);
	for (BOTH(i)) {
		make_request(&request, pair.import, 3);
		request.sg.iovec = NULL;
		EXPECT(RSMERR_BAD_ADDR, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 3);
	}
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (BOTH(i)) {
		make_request(&request, pair.import, 2);
		EXPECT(RSMERR_CONN_ABORTED, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 2);
		make_request(&request, unmapped, 2);
		EXPECT(RSMERR_CONN_ABORTED, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 2);
	}
}

static void no_local_address(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		make_request(&request, pair.import, 2);
		request.entries[1].local.vaddr = NULL;
		EXPECT(RSMERR_BAD_ADDR, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 1);
	}
}

/* A connection that is for signals only. */
static void without_rights(void)
{
	struct request request;
	struct pair pair;
	int i;

	make_pair_of(&pair, 0, RSM_PERM_NONE);
	for (BOTH(i)) {
		make_request(&request, pair.import, 2);
		EXPECT(RSMERR_PERM_DENIED, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 2);
		/* What is wrong with an entry itself comes before. */
		request.entries[0].io_type = 3;
		EXPECT(RSMERR_BAD_SGIO, calls[i](&request.sg));
		EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.import));
	}
	CHECK(is_filled(pair.memory, L, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (BOTH(i)) {
		make_request(&request, pair.import, 2);
		EXPECT(RSMERR_CONN_ABORTED, calls[i](&request.sg));
		CHECK(request.sg.io_residual_count == 2);
	}
}

/* The range of an entry, of the segment or of what is mapped, comes before the rights. */
static void range_before_rights(void)
{
	static const rsm_permission_t other[] = { RSM_PERM_READ, RSM_PERM_WRITE };
	struct request request;
	struct pair pair;
	import_t mapped;
	void *address = NULL;
	int i;

	make_pair(&pair);
	for (BOTH(i)) {
		make_request(&request, connect_to(pair.id, other[i]), 2);
		request.entries[0].remote_offset = L - 7;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
		request.entries[0].remote_offset = 0;
		EXPECT(RSMERR_PERM_DENIED, calls[i](&request.sg));
		/* Rights of the mapping. */
		mapped = connect_to(pair.id, RSM_PERM_RDWR);
		EXPECT(RSM_SUCCESS, rsm_memseg_import_map(mapped, &address, RSM_MAP_NONE, other[i], (off_t)PS, PS));
		make_request(&request, mapped, 1);
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
		request.entries[0].remote_offset = PS;
		EXPECT(RSMERR_PERM_DENIED, calls[i](&request.sg));
		/* None at all. */
		make_request(&request, connect_to(pair.id, RSM_PERM_NONE), 1);
		request.entries[0].remote_offset = L;
		EXPECT(RSMERR_BAD_OFFSET, calls[i](&request.sg));
	}
	CHECK(is_filled(pair.memory, L, 0));
}

static vector_call faulting_call;

static void call_with(void *request)
{
	faulting_call(request);
}

/* A signal handler that jumps out of the call that maps the handle. */
static void left_by_a_jump(void)
{
	unsigned char *nothing = new_memory(PS);
	struct request request;
	struct pair pair;
	int i;

	make_pair(&pair);
	NEED(mprotect(nothing, PS, PROT_NONE) == 0);
	for (BOTH(i)) {
		make_request(&request, connect_to(pair.id, RSM_PERM_RDWR), 2);
		request.entries[1].local.vaddr = (char *)nothing;
		faulting_call = calls[i];
		CHECK(fault_in(call_with, &request.sg) == SIGSEGV);
		CHECK(is_moved(&request, pair.memory, 0));
		/* Nothing was left locked. */
		EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(request.sg.remote_handle));
		request.sg.io_request_count = 1;
		EXPECT(RSM_SUCCESS, calls[i](&request.sg));
		EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(request.sg.remote_handle));
	}
}

const struct check scatter_checks[] = {
	{ "T204", "putv, getv: no request", t204, 0 },
	{ "T206", "putv, getv: no entries, too many", t206, 0 },
	{ "T207", "putv, getv: one and sixteen entries", t207, 0 },
	{ "T208", "putv, getv: no barrier needed", t208, 0 },
	{ "T209", "putv, getv: both offsets count", t209, 0 },
	{ "T211", "putv, getv: the second entry is out of range", t211, 0 },
	{ "T212", "putv, getv: rights", t212, 0 },
	{ "T213", "putv, getv: offsets are those of the segment", t213, 0 },
	{ "T214", "putv: signal", t214, 0 },
	{ "T216", "putv: signal that does not accumulate", t216, 0 },
	{ "T217", "getv: signal", t217, 0 },
	{ "T218", "putv, getv: aborted", t218, 0 },
	{ "putv.2", "putv, getv: no handle", putv_2, 0 },
	{ "putv.6", "putv, getv: bad entries", putv_6, 0 },
	{ "putv.signal", "putv: no signal after a failure", failed_without_signal, 0 },
	{ "putv.residual", "putv, getv: nothing was begun", residual_of_all, 0 },
	{ "putv.local", "putv, getv: no local address", no_local_address, 0 },
	{ "putv.rights", "putv, getv: a connection without rights", without_rights, 0 },
	{ "putv.order", "putv, getv: the range of an entry before the rights", range_before_rights, 0 },
	{ "6.7.jump", "putv, getv: left by a jump when the handle was mapped", left_by_a_jump, 0 },
	{ "putv.map", "putv: the handle is mapped implicitly", implicit_map, 0 },
	{ NULL, NULL, NULL, 0 },
};
