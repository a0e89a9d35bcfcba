/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* map and unmap: B11, and section 6.8. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "segments.h"

static import_t new_import(rsm_permission_t rights)
{
	return connect_to(publish(export_memory(new_memory(L), L, 0)), rights);
}

static int map(import_t import, rsm_permission_t rights, off_t offset, size_t length)
{
	void *address = NULL;

	return rsm_memseg_import_map(import, &address, RSM_MAP_NONE, rights, offset, length);
}

/* No mapping was made: one can be made, and goes again. */
static void is_not_mapped(import_t import)
{
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(import));
	EXPECT(RSM_SUCCESS, map(import, RSM_PERM_READ, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(import));
}

static void t151(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_map(import, NULL, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	is_not_mapped(import);
}

static void t152(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	CHECK((uintptr_t)window % PS == 0);
	CHECK(is_filled(window, L, 0));
	fill(window, L, 1);
	CHECK(is_filled(pair.memory, L, 1));
	fill(pair.memory, L, 2);
	CHECK(is_filled(window, L, 2));
}

static void t153(void)
{
	unsigned char *window = map_all(new_import(RSM_PERM_RDWR), RSM_PERM_READ, L);

	CHECK(is_filled(window, L, 0));
	CHECK(store_fault(window) == SIGSEGV);
	CHECK(store_fault(window + L - 1) == SIGSEGV);
	CHECK(is_filled(window, L, 0));
}

static void t154(void)
{
	unsigned char *window = map_all(new_import(RSM_PERM_RDWR), RSM_PERM_NONE, L);

	CHECK(load_fault(window) == SIGSEGV);
	CHECK(store_fault(window) == SIGSEGV);
}

static void t156(void)
{
	import_t import = new_import(RSM_PERM_READ);

	EXPECT(RSMERR_BAD_PERMS, map(import, RSM_PERM_RDWR, 0, L));
	EXPECT(RSMERR_BAD_PERMS, map(import, RSM_PERM_WRITE, 0, L));
	EXPECT(RSM_SUCCESS, map(import, RSM_PERM_READ, 0, L));
}

static void t157(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, 0, 0));
	is_not_mapped(import);
}

static void t158(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, 0, L + 1));
	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, 0, SIZE_MAX));
	is_not_mapped(import);
}

static void t159(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, (off_t)PS, L));
	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, (off_t)L, PS));
	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, (off_t)PS, SIZE_MAX - PS + 2));
	is_not_mapped(import);
}

static void t161(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, map(import, RSM_PERM_RDWR, 1, PS));
	/* The length before the alignment. */
	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, 1, L));
	EXPECT(RSM_SUCCESS, map(import, RSM_PERM_RDWR, 0, PS));
}

static void t162(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, -(off_t)PS, 2 * PS));
	EXPECT(RSMERR_BAD_LENGTH, map(import, RSM_PERM_RDWR, -(off_t)PS, PS));
	is_not_mapped(import);
}

static void t163(void)
{
	struct pair pair;
	void *address = NULL;
	unsigned char *window;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS,
	    rsm_memseg_import_map(pair.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, (off_t)PS, 100));
	window = address;
	CHECK(window[0] == pair.memory[PS]);
	CHECK(store_fault(window + PS - 1) == 0);
	CHECK(window[PS - 1] == pair.memory[2 * PS - 1]);
}

/* Room for a mapping at a place of the caller's. */
static void *free_place(void)
{
	unsigned char *place = new_memory(2 * L);

	NEED(munmap(place, 2 * L) == 0);
	return place;
}

static void t164(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	void *place = free_place(), *address = place;

	EXPECT(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L));
	CHECK(address == place);
	CHECK(is_filled(place, L, 0));
}

static void t166(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	unsigned char *place = new_memory(2 * L);
	void *address = place;

	fill(place, 2 * L, 5);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L));
	CHECK(address == place);
	CHECK(is_filled(place, L, 0));
	/* What lies beyond is left alone. */
	CHECK(store_fault(place + L) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(import));
	CHECK(load_fault(place) == SIGSEGV);
}

static void t167(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	unsigned char *taken = new_memory(L);
	void *address = taken + 1;

	EXPECT(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	CHECK(address != taken && address != taken + 1);
	CHECK(is_filled(address, L, 0) && is_filled(taken, L, 0));
}

static void t168(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	unsigned char *window = map_all(import, RSM_PERM_RDWR, L);
	void *address = NULL;

	EXPECT(RSMERR_SEG_ALREADY_MAPPED, map(import, RSM_PERM_RDWR, 0, L));
	/* Before the other arguments, but for the pointer. */
	EXPECT(RSMERR_SEG_ALREADY_MAPPED,
	    rsm_memseg_import_map(import, &address, RSM_MAP_NONE, 0777, 1, 0));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_map(import, NULL, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	CHECK(is_filled(window, L, 0));
}

static void t169(void)
{
	struct pair pair;
	uint8_t byte = 1;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	EXPECT(RSMERR_SEG_ALREADY_MAPPED, map(pair.import, RSM_PERM_RDWR, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, map(pair.import, RSM_PERM_RDWR, 0, L));
}

static void t171(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, map(pair.import, RSM_PERM_RDWR, 0, L));
	/* Bad arguments come first. */
	EXPECT(RSMERR_BAD_LENGTH, map(pair.import, RSM_PERM_RDWR, 0, L + 1));
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.import));
}

static void t172(void)
{
	export_t segment = export_memory(new_memory(L), L, 0);

	EXPECT(RSMERR_BAD_SEG_HNDL, map((import_t)(void *)segment, RSM_PERM_RDWR, 0, L));
}

static void t173(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_unmap(NULL));
}

static void t174(void)
{
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(new_import(RSM_PERM_RDWR)));
}

static void t176(void)
{
	struct pair pair;
	uint8_t byte = 77;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, map(pair.import, RSM_PERM_RDWR, (off_t)PS, PS));
	/* Only what is mapped can be reached while it is. */
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, (off_t)PS, &byte, 1));
	CHECK(pair.memory[PS] == 77);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	CHECK(pair.memory[0] == 77);
}

static void t177(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	struct pollfd poll_fd;

	map_all(import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(import, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(import));
}

static void map_1(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, map(NULL, RSM_PERM_RDWR, 0, L));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_map(NULL, NULL, RSM_MAP_NONE, 0777, 1, 0));
}

static void map_5(void)
{
	import_t import = new_import(RSM_PERM_RDWR);

	EXPECT(RSMERR_BAD_PERMS, map(import, 0601, 0, L));
	EXPECT(RSMERR_BAD_PERMS, map(import, 01000, 0, L));
	/* Before the length. */
	EXPECT(RSMERR_BAD_PERMS, map(import, 0777, 0, 0));
	is_not_mapped(import);
	/* D-34: other bits of a smaller number mean nothing. */
	EXPECT(RSM_SUCCESS, map(import, 0477, 0, L));
}

static void map_9(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	unsigned char *place = free_place();
	void *address = place + 1;

	EXPECT(RSMERR_BAD_MEM_ALIGNMENT, rsm_memseg_import_map(import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L));
	/* No lock is left behind. */
	address = place;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L));
}

static void map_14(void)
{
	struct rlimit limit;
	struct pair pair;
	uint8_t byte = 0;

	if (SANITIZED)
		skip("AddressSanitizer needs address space of its own");
	make_pair(&pair);
	/* Less than is in use: nothing more can be mapped. */
	NEED(getrlimit(RLIMIT_AS, &limit) == 0);
	limit.rlim_cur = PS;
	NEED(setrlimit(RLIMIT_AS, &limit) == 0);
	EXPECT(RSMERR_BAD_LENGTH, map(pair.import, RSM_PERM_RDWR, 0, L));
	/* The same for the implicit mapping of a transfer. */
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	limit.rlim_cur = limit.rlim_max;
	NEED(setrlimit(RLIMIT_AS, &limit) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
}

/* A call that fails has not taken away what is at its address. */
static void map_replaces_nothing(void)
{
	unsigned char *place = new_memory(2 * L);
	void *address = place + PS;
	struct pair pair;

	make_pair_of(&pair, 0, RSM_PERM_NONE);
	fill(place, 2 * L, 5);
	EXPECT(RSMERR_BAD_PERMS, rsm_memseg_import_map(pair.import, &address, RSM_MAP_FIXED, RSM_PERM_NONE, 0, PS));
	EXPECT(RSMERR_BAD_PERMS, rsm_memseg_import_map(pair.import, &address, RSM_MAP_FIXED, RSM_PERM_NONE, 0, L));
	CHECK(address == place + PS);
	NEED(load_fault(place + PS) == 0 && load_fault(place + L) == 0);
	CHECK(is_filled(place, 2 * L, 5));
	/* Nor has it left something at a free one. */
	address = free_place();
	EXPECT(RSMERR_BAD_PERMS, rsm_memseg_import_map(pair.import, &address, RSM_MAP_FIXED, RSM_PERM_NONE, 0, L));
	CHECK(load_fault(address) == SIGSEGV);
}

/* In place of one page and of nothing behind it, or before it, where the system might want to map. */
static void map_partly_free(void)
{
	import_t import = new_import(RSM_PERM_RDWR);
	unsigned char *place;
	void *address;
	size_t i;

	for (i = 0; i < 2; i++) {
		place = new_memory(L + PS);
		NEED(munmap(place + (i ? 0 : PS), L) == 0);
		address = place += i * PS;
		EXPECT(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L));
		CHECK(address == place);
		CHECK(is_filled(place, L, 0));
		EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(import));
		CHECK(load_fault(place) == SIGSEGV && load_fault(place + L - PS) == SIGSEGV);
	}
}

static void map_write_only(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair_of(&pair, 0, RSM_PERM_WRITE);
	window = map_all(pair.import, RSM_PERM_WRITE, L);
	fill(window, L, 3);
	CHECK(is_filled(pair.memory, L, 3));
}

static void unmap_effects(void)
{
	struct pair pair;
	unsigned char *window;
	uint8_t byte;

	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	CHECK(load_fault(window) == SIGSEGV);
	CHECK(load_fault(window + L - 1) == SIGSEGV);
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.import));
	/* Implicit mappings, too; and on an aborted connection. */
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.import));
}

static void map_aborted(void)
{
	struct pair pair;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_SEG_ALREADY_MAPPED, map(pair.import, RSM_PERM_RDWR, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSMERR_CONN_ABORTED, map(pair.import, RSM_PERM_RDWR, 0, L));
}

/* Two threads at a time on one handle: one of them maps, and the other has changed nothing. */
static struct {
	import_t import;
	unsigned char *place[2];
	int code[2];
	pthread_barrier_t start;
} both;

static void *map_in_thread(void *number)
{
	uintptr_t i = (uintptr_t)number;
	void *address = both.place[i];

	pthread_barrier_wait(&both.start);
	both.code[i] = rsm_memseg_import_map(both.import, &address, RSM_MAP_FIXED, RSM_PERM_RDWR, 0, L);
	return NULL;
}

static void *put_in_thread(void *number)
{
	uint8_t byte = 1;

	(void)number;
	pthread_barrier_wait(&both.start);
	both.code[0] = rsm_memseg_import_put8(both.import, 0, &byte, 1);
	return NULL;
}

static void *unmap_in_thread(void *number)
{
	pthread_barrier_wait(&both.start);
	both.code[(uintptr_t)number] = rsm_memseg_import_unmap(both.import);
	return NULL;
}

static void run_both(void *(*zero)(void *), void *(*one)(void *))
{
	pthread_t threads[2];

	NEED(pthread_create(&threads[0], NULL, zero, (void *)0) == 0);
	NEED(pthread_create(&threads[1], NULL, one, (void *)1) == 0);
	NEED(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
}

/* Memory of the caller's, with another pattern than that of the segment. */
static unsigned char *own_place(void)
{
	unsigned char *place = new_memory(L);

	fill(place, L, 9);
	return place;
}

static void map_by_two(void)
{
	long round, count = rounds(10000, 100);
	struct pair pair;
	int i, winner;

	make_pair(&pair);
	NEED(pthread_barrier_init(&both.start, NULL, 2) == 0);
	both.import = pair.import;
	for (round = 0; round < count; round++) {
		for (i = 0; i < 2; i++)
			both.place[i] = own_place();
		run_both(map_in_thread, map_in_thread);
		winner = both.code[0] == RSM_SUCCESS ? 0 : 1;
		EXPECT(RSM_SUCCESS, both.code[winner]);
		EXPECT(RSMERR_SEG_ALREADY_MAPPED, both.code[!winner]);
		NEED(load_fault(both.place[!winner]) == 0);
		NEED(is_filled(both.place[!winner], L, 9));
		NEED(is_filled(both.place[winner], L, 0));
		NEED(munmap(both.place[!winner], L) == 0);
		/* One takes it away, and the other comes before or after that. */
		both.place[1] = own_place();
		run_both(unmap_in_thread, map_in_thread);
		EXPECT(RSM_SUCCESS, both.code[0]);
		if (EXPECT_EITHER(RSM_SUCCESS, RSMERR_SEG_ALREADY_MAPPED, both.code[1]))
			NEED(is_filled(both.place[1], L, both.code[1] == RSM_SUCCESS ? 0 : 9));
		if (both.code[1] == RSM_SUCCESS)
			REQUIRE(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
		else
			NEED(munmap(both.place[1], L) == 0);
		REQUIRE(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(pair.import));
	}
}

static void map_against_put(void)
{
	long round, count = rounds(10000, 100);
	struct pair pair;

	make_pair(&pair);
	NEED(pthread_barrier_init(&both.start, NULL, 2) == 0);
	both.import = pair.import;
	for (round = 0; round < count; round++) {
		both.place[1] = own_place();
		run_both(put_in_thread, map_in_thread);
		EXPECT(RSM_SUCCESS, both.code[0]);
		EXPECT_EITHER(RSM_SUCCESS, RSMERR_SEG_ALREADY_MAPPED, both.code[1]);
		NEED(load_fault(both.place[1]) == 0);
		NEED(both.code[1] == RSM_SUCCESS || is_filled(both.place[1], L, 9));
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
		if (both.code[1] != RSM_SUCCESS)
			NEED(munmap(both.place[1], L) == 0);
	}
}

const struct check map_checks[] = {
	{ "T151", "map: no place for the address", t151, 0 },
	{ "T152", "map: both see the same memory", t152, 0 },
	{ "T153", "map: read-only", t153, 0 },
	{ "T154", "map: without access", t154, 0 },
	{ "T156", "map: beyond the connection's rights", t156, 0 },
	{ "T157", "map: no length", t157, 0 },
	{ "T158", "map: longer than the segment", t158, 0 },
	{ "T159", "map: beyond the segment's end", t159, 0 },
	{ "T161", "map: offset not on a page, and no lock left", t161, 0 },
	{ "T162", "map: negative offset", t162, 0 },
	{ "T163", "map: part of a page", t163, 0 },
	{ "T164", "map: at a free place", t164, 0 },
	{ "T166", "map: in place of another mapping", t166, 0 },
	{ "T167", "map: the address is no hint", t167, 0 },
	{ "T168", "map: twice", t168, 0 },
	{ "T169", "map: implicitly mapped", t169, 0 },
	{ "T171", "map: aborted", t171, 0 },
	{ "T172", "map: of an export", t172, 0 },
	{ "T173", "unmap: no handle", t173, 0 },
	{ "T174", "unmap: not mapped", t174, 0 },
	{ "T176", "unmap: the window is gone", t176, 0 },
	{ "T177", "unmap: with a poll reference", t177, 0 },
	{ "import_map.1", "map: no handle", map_1, 0 },
	{ "import_map.5", "map: rights that are none", map_5, 0 },
	{ "import_map.9", "map: fixed, not on a page", map_9, 0 },
	{ "import_map.14", "map, put: no address space left", map_14, 0 },
	{ "import_map.failed", "map: fixed, what is there outlives a failure", map_replaces_nothing, 0 },
	{ "import_map.partly", "map: in place of what is free but for a page", map_partly_free, 0 },
	{ "import_map.write", "map: write-only", map_write_only, 0 },
	{ "import_unmap.effects", "unmap: access faults; implicit and aborted", unmap_effects, 0 },
	{ "7.map", "map, unmap: two threads at a time", map_by_two, 0 },
	{ "7.put", "map: while another thread makes the implicit mapping", map_against_put, 0 },
	{ "1.8.map", "map: aborted and mapped", map_aborted, 0 },
	{ NULL, NULL, NULL, 0 },
};
