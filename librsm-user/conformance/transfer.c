/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* put and get: B12, and section 6.6. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "segments.h"

/*
 * The ten calls as one: size is 0 for put and get, else that of the elements in
 * bytes; count is in elements.
 */
struct transfer {
	int size;
	int is_put;
};

static const struct transfer transfers[] = {
	{ 0, 1 }, { 1, 1 }, { 2, 1 }, { 4, 1 }, { 8, 1 },
	{ 0, 0 }, { 1, 0 }, { 2, 0 }, { 4, 0 }, { 8, 0 },
};

#define EACH(transfer) transfer = transfers; transfer < transfers + sizeof(transfers) / sizeof(transfers[0]); transfer++

static int move(const struct transfer *transfer, import_t import, off_t offset, void *data, size_t count)
{
	switch (transfer->size * 2 + transfer->is_put) {
	case 0: return rsm_memseg_import_get(import, offset, data, count);
	case 1: return rsm_memseg_import_put(import, offset, data, count);
	case 2: return rsm_memseg_import_get8(import, offset, data, count);
	case 3: return rsm_memseg_import_put8(import, offset, data, count);
	case 4: return rsm_memseg_import_get16(import, offset, data, count);
	case 5: return rsm_memseg_import_put16(import, offset, data, count);
	case 8: return rsm_memseg_import_get32(import, offset, data, count);
	case 9: return rsm_memseg_import_put32(import, offset, data, count);
	case 16: return rsm_memseg_import_get64(import, offset, data, count);
	default: return rsm_memseg_import_put64(import, offset, data, count);
	}
}

/* As EXPECT, and says which of the calls it was. */
static void moves(int code, const struct transfer *transfer, import_t import, off_t offset, void *data, size_t count)
{
	if (!EXPECT(code, move(transfer, import, offset, data, count)))
		note("that was %s%d", transfer->is_put ? "put" : "get", transfer->size * 8);
}

static size_t bytes(const struct transfer *transfer, size_t count)
{
	return (transfer->size ? (size_t)transfer->size : 1) * count;
}

static uint64_t words[1024];	/* local memory, aligned */

static void t178(void)
{
	const struct transfer *transfer;

	for (EACH(transfer)) {
		moves(RSMERR_BAD_SEG_HNDL, transfer, NULL, 0, words, 1);
		moves(RSMERR_BAD_SEG_HNDL, transfer, NULL, 0, NULL, 1);
	}
}

static void t179(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer)) {
		moves(RSMERR_BAD_ADDR, transfer, pair.import, 0, NULL, 0);
		/* Before offset and rights. */
		moves(RSMERR_BAD_ADDR, transfer, pair.import, (off_t)L + 1, NULL, 1);
	}
}

static void t181(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer))
		if (transfer->size > 1)
			moves(RSMERR_BAD_MEM_ALIGNMENT, transfer, pair.import, transfer->size / 2, words, 1);
	CHECK(is_filled(pair.memory, L, 0));
}

static void t182(void)
{
	const struct transfer *transfer;
	struct pair pair;
	unsigned char *data = (unsigned char *)words;

	make_pair(&pair);
	for (EACH(transfer)) {
		size_t i;

		if (transfer->size > 1)
			continue;
		fill(pair.memory, L, 0);
		fill(data, sizeof(words), 1);
		moves(RSM_SUCCESS, transfer, pair.import, 5, data + 3, 777);
		for (i = 0; i < 777; i++)
			NEED(pair.memory[5 + i] == data[3 + i]);
		if (transfer->is_put) {
			CHECK(is_filled(data, sizeof(words), 1));
			/* Neighbours are left alone. */
			memcpy(data, pair.memory, 5);
			CHECK(is_filled(data, 5, 0));
			fill(data, sizeof(words), 0);
			CHECK(memcmp(pair.memory + 782, data + 782, 1000) == 0);
		} else {
			CHECK(is_filled(pair.memory, L, 0));
			CHECK(is_filled(data, 3, 1));
			fill(pair.memory, L, 1);
			CHECK(memcmp(data + 780, pair.memory + 780, 1000) == 0);
		}
	}
}

static void t183(void)
{
	const struct transfer *transfer;
	struct pair pair;
	import_t import;

	make_pair(&pair);
	import = connect_to(pair.id, RSM_PERM_RDWR);
	for (EACH(transfer)) {
		memset(words, 0xa5, sizeof(words));
		moves(RSMERR_BARRIER_UNINITIALIZED, transfer, import, 0, words, 1);
		CHECK(words[0] == 0xa5a5a5a5a5a5a5a5);
	}
	CHECK(is_filled(pair.memory, L, 0));
	/* D-29: no mapping was made on the way. */
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(import));
}

static void t184(void)
{
	const struct transfer *transfer;
	struct pair pair;
	import_t import;

	make_pair(&pair);
	import = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT));
	for (EACH(transfer))
		moves(RSM_SUCCESS, transfer, import, 0, words, 1);
}

/* All calls of one direction, on a connection with these rights, not mapped. */
static void direction(rsm_permission_t rights, int is_put, int code)
{
	const struct transfer *transfer;

	for (EACH(transfer)) {
		struct pair pair;

		if (transfer->is_put != is_put)
			continue;
		make_pair_of(&pair, 0, rights);
		moves(code, transfer, pair.import, 0, words, 1);
		if (code == RSMERR_PERM_DENIED)
			/* Before the range. */
			moves(code, transfer, pair.import, (off_t)L, words, 1);
		CHECK(is_put && code == RSM_SUCCESS ? memcmp(pair.memory, words, bytes(transfer, 1)) == 0 :
		    is_filled(pair.memory, L, 0));
	}
}

static void t186(void)
{
	direction(RSM_PERM_READ, 1, RSMERR_PERM_DENIED);
	direction(RSM_PERM_READ, 0, RSM_SUCCESS);
}

static void t187(void)
{
	direction(RSM_PERM_WRITE, 0, RSMERR_PERM_DENIED);
}

static void t188(void)
{
	direction(RSM_PERM_WRITE, 1, RSM_SUCCESS);
}

static void t189(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_READ, L);
	for (EACH(transfer))
		moves(transfer->is_put ? RSMERR_PERM_DENIED : RSM_SUCCESS, transfer, pair.import, 0, words, 1);
	CHECK(is_filled(pair.memory, L, 0));
}

static void t191(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer))
		moves(RSM_SUCCESS, transfer, pair.import, (off_t)(L - bytes(transfer, 1)), words, 1);
}

static void t192(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer)) {
		moves(RSM_SUCCESS, transfer, pair.import, (off_t)L, words, 0);
		moves(RSM_SUCCESS, transfer, pair.import, 0, words, 0);
	}
}

static void t193(void)
{
	const struct transfer *transfer;
	struct pair pair;
	unsigned char *much;

	make_pair(&pair);
	much = new_memory(2 * L);
	for (EACH(transfer)) {
		off_t element = (off_t)bytes(transfer, 1);
		import_t fresh = connect_to(pair.id, RSM_PERM_RDWR);
		rsmapi_barrier_t barrier;

		init_barrier(fresh, &barrier);
		moves(RSMERR_BAD_OFFSET, transfer, fresh, (off_t)L, words, 1);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, (off_t)L, words, 1);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, 0, much, L / (size_t)element + 1);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, -element, words, 1);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, (off_t)L + element, words, 0);
		EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(fresh));
	}
	CHECK(is_filled(pair.memory, L, 0));
	CHECK(is_filled(much, 2 * L, 0));
}

static void t194(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer)) {
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, 0, words, (size_t)1 << 61);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, 8, words, SIZE_MAX);
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, 8, words, SIZE_MAX / bytes(transfer, 1));
		moves(RSMERR_BAD_OFFSET, transfer, pair.import, INT64_MAX - 7, words, 1);
	}
	CHECK(is_filled(pair.memory, L, 0));
}

static void t196(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	for (EACH(transfer)) {
		size_t moved = bytes(transfer, 3), i;

		if (transfer->is_put || !transfer->size)
			continue;
		memset(words, 0xa5, sizeof(words));
		moves(RSM_SUCCESS, transfer, pair.import, 16, words, 3);
		CHECK(memcmp(words, pair.memory + 16, moved) == 0);
		for (i = moved; i < 64; i++)
			CHECK(((unsigned char *)words)[i] == 0xa5);
	}
}

static volatile int stop;

/* Looks at a word of the segment until it is told to stop; how often it was torn. */
static void *look_for_torn_words(void *memory)
{
	volatile uint64_t *word = memory;
	uintptr_t torn = 0;

	while (!stop) {
		uint64_t value = *word;

		torn += (uint32_t)value != (uint32_t)(value >> 32);
	}
	return (void *)torn;
}

static void t197(void)
{
	long i, count = rounds(100000000, 200000);
	struct pair pair;
	pthread_t reader;
	void *torn;

	make_pair(&pair);
	memset(pair.memory, 0, 8);
	NEED(pthread_create(&reader, NULL, look_for_torn_words, pair.memory) == 0);
	for (i = 0; i < count; i++) {
		uint64_t value = (uint64_t)i * 0x100000001;

		REQUIRE(RSM_SUCCESS, rsm_memseg_import_put64(pair.import, 0, &value, 1));
	}
	stop = 1;
	NEED(pthread_join(reader, &torn) == 0);
	CHECK(torn == NULL);
}

static void t198(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (EACH(transfer))
		moves(RSMERR_CONN_ABORTED, transfer, pair.import, 0, words, 1);
	CHECK(is_filled(pair.memory, L, 0));
}

static void t199(void)
{
	const struct transfer *transfer;
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (EACH(transfer))
		moves(RSMERR_CONN_ABORTED, transfer, pair.import, 0, words, 1);
	CHECK(is_filled(pair.memory, L, 0));
}

/* Puts 1, 2, 3... at ever new places until it fails; tells how many arrived. */
static void putting_importer(int line)
{
	long count = hear(line) / 8;
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);
	volatile uint64_t *window = (volatile uint64_t *)(void *)map_all(import, RSM_PERM_RDWR, (size_t)count * 8);
	rsmapi_barrier_t barrier;
	int code = RSM_SUCCESS;
	uint64_t value;

	init_barrier(import, &barrier);
	tell(line, 0);
	for (value = 1; code == RSM_SUCCESS; value++) {
		/* Slot 0 says how many were reported as good: raw, so that it is there at once. */
		code = rsm_memseg_import_put64(import, (off_t)((value % (uint64_t)(count - 1) + 1) * 8), &value, 1);
		if (code == RSM_SUCCESS)
			window[0] = value;
	}
	EXPECT(RSMERR_CONN_ABORTED, code);
	/* The last one failed. */
	tell(line, (long long)value - 2);
}

static void t201(void)
{
	long round, count = rounds(2000, 30);

	for (round = 0; round < count; round++) {
		struct peer importer = start(putting_importer);
		unsigned char *memory = new_memory(L);
		volatile uint64_t *slots = (volatile uint64_t *)(void *)memory;
		uint64_t places = L / 8 - 1, known, good, value;
		export_t segment = export_memory(memory, L, 0);

		memset(memory, 0, L);
		tell(importer.line, (long long)L);
		tell(importer.line, publish(segment));
		hear(importer.line);
		while (slots[0] < (uint64_t)round % 7 * 100)
			;
		known = slots[0];
		EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
		good = (uint64_t)hear(importer.line);
		finish(&importer);
		CHECK(good >= known);
		/* Whatever was reported good is there, or a later value in its place. */
		for (value = good > places ? good - places + 1 : 1; value <= good; value++)
			NEED(slots[value % places + 1] >= value);
		EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
		NEED(munmap(memory, L) == 0);
	}
}

static void t202(void)
{
	rsm_barrier_mode_t mode = RSM_BARRIER_MODE_EXPLICIT;
	const struct transfer *transfer;
	struct pair pair;
	void *address = NULL;

	make_pair(&pair);
	for (EACH(transfer)) {
		rsmapi_barrier_t barrier;
		import_t import = connect_to(pair.id, RSM_PERM_RDWR);

		init_barrier(import, &barrier);
		moves(RSM_SUCCESS, transfer, import, 0, words, 1);
		EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(import, &mode));
		CHECK(mode == RSM_BARRIER_MODE_IMPLICIT);
		EXPECT(RSMERR_SEG_ALREADY_MAPPED,
		    rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
		EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
	}
}

#define THREADS 8

static struct pair shared;

static void *move_own_part(void *number)
{
	size_t part = L / THREADS, start = (size_t)(uintptr_t)number * part;
	unsigned char data[1 << 14], back[1 << 14];
	long i, count = rounds(20000, 300);

	for (i = 0; i < count; i++) {
		fill(data, part, (unsigned)i + (unsigned)(uintptr_t)number);
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_put(shared.import, (off_t)start, data, part));
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_get(shared.import, (off_t)start, back, part));
		NEED(memcmp(data, back, part) == 0);
		NEED(memcmp(data, shared.memory + start, part) == 0);
	}
	return NULL;
}

static void t203(void)
{
	pthread_t threads[THREADS];
	uintptr_t i;

	/* Not mapped yet: the threads meet in the implicit map. */
	make_pair(&shared);
	NEED(L / THREADS <= 1 << 14);
	for (i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, move_own_part, (void *)i) == 0);
	for (i = 0; i < THREADS; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
}

static void transfer_3(void)
{
	const struct transfer *transfer;
	struct pair pair;
	char *odd = (char *)words + 1;

	make_pair(&pair);
	for (EACH(transfer))
		if (transfer->size > 1)
			moves(RSMERR_BAD_MEM_ALIGNMENT, transfer, pair.import, 0, odd, 1);
}

static void transfer_9(void)
{
	const struct transfer *transfer;
	struct pair pair;
	import_t import;

	make_pair(&pair);
	import = connect_to(pair.id, RSM_PERM_RDWR);
	map_all(import, RSM_PERM_RDWR, L);
	for (EACH(transfer)) {
		/* The range before the barrier. */
		moves(RSMERR_BAD_OFFSET, transfer, import, (off_t)L, words, 1);
		moves(RSMERR_BARRIER_UNINITIALIZED, transfer, import, 0, words, 1);
	}
}

/* 1.8, C3: an aborted connection without a barrier. */
static void aborted_without_barrier(void)
{
	const struct transfer *transfer;
	import_t mapped, unmapped;
	struct pair pair;

	make_pair(&pair);
	mapped = connect_to(pair.id, RSM_PERM_RDWR);
	map_all(mapped, RSM_PERM_RDWR, L);
	unmapped = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (EACH(transfer)) {
		moves(RSMERR_BARRIER_UNINITIALIZED, transfer, mapped, 0, words, 1);
		moves(RSMERR_CONN_ABORTED, transfer, unmapped, 0, words, 1);
	}
}

/* 1.8, D-62: explicit mode says nothing until close, if there is a mapping. */
static void aborted_explicit(void)
{
	const struct transfer *transfer;
	import_t unmapped;
	struct pair pair;

	make_pair(&pair);
	unmapped = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(pair.import, RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(unmapped, RSM_BARRIER_MODE_EXPLICIT));
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	memset(words, 0xff, sizeof(words));
	for (EACH(transfer)) {
		moves(RSM_SUCCESS, transfer, pair.import, 0, words, 1);
		moves(RSMERR_CONN_ABORTED, transfer, unmapped, 0, words, 1);
	}
	CHECK(is_filled(pair.memory, L, 0));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
}

static struct {
	const struct transfer *transfer;
	import_t import;
	void *data;
} first;

static void move_first(void *unused)
{
	(void)unused;
	move(first.transfer, first.import, 0, first.data, 1);
}

/* A signal handler that jumps out of the transfer that maps the handle. */
static void left_by_a_jump(void)
{
	rsmapi_barrier_t barrier;
	struct pair pair;

	make_pair(&pair);
	first.data = new_memory(PS);
	NEED(mprotect(first.data, PS, PROT_NONE) == 0);
	for (EACH(first.transfer)) {
		first.import = connect_to(pair.id, RSM_PERM_RDWR);
		init_barrier(first.import, &barrier);
		CHECK(fault_in(move_first, NULL) == SIGSEGV);
		/* Nothing was left locked. */
		EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(first.import));
		moves(RSM_SUCCESS, first.transfer, first.import, 0, words, 1);
		EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(first.import));
	}
}

const struct check transfer_checks[] = {
	{ "T178", "put, get: no handle, first of all", t178, 0 },
	{ "T179", "put, get: no data, even if none is to be moved", t179, 0 },
	{ "T181", "put, get: offset not aligned to the element", t181, 0 },
	{ "T182", "put, get: odd bytes", t182, 0 },
	{ "T183", "put, get: implicit mode without a barrier", t183, 0 },
	{ "T184", "put, get: explicit mode without a barrier", t184, 0 },
	{ "T186", "put: read-only connection", t186, 0 },
	{ "T187", "get: write-only connection", t187, 0 },
	{ "T188", "put: write-only connection", t188, 0 },
	{ "T189", "put: read-only mapping", t189, 0 },
	{ "T191", "put, get: the last element", t191, 0 },
	{ "T192", "put, get: nothing, at the end", t192, 0 },
	{ "T193", "put, get: out of range", t193, 0 },
	{ "T194", "put, get: numbers that overflow", t194, 0 },
	{ "T196", "get: exactly so many elements, in native order", t196, 0 },
	{ "T197", "put64: words are never torn", t197, 0 },
	{ "T198", "put, get: aborted, mapped", t198, 0 },
	{ "T199", "put, get: aborted, not mapped", t199, 0 },
	{ "T201", "put: against unpublish, what was reported good is there", t201, 0 },
	{ "T202", "put, get: the handle is mapped implicitly", t202, 0 },
	{ "T203", "put, get: eight threads, one handle", t203, 0 },
	{ "6.6.jump", "put, get: left by a jump when the handle was mapped", left_by_a_jump, 0 },
	{ "put_get.3", "put, get: data not aligned to the element", transfer_3, 0 },
	{ "put_get.9", "put, get: the range before the barrier", transfer_9, 0 },
	{ "C3", "put, get: aborted, without a barrier", aborted_without_barrier, 0 },
	{ "D-62", "put, get: aborted, explicit mode", aborted_explicit, 0 },
	{ NULL, NULL, NULL, 0 },
};
