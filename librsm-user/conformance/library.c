/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Types, numbers, descriptors, threads: B18, and section 7. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "segments.h"

#if SANITIZED
/* From <sanitizer/allocator_interface.h>, which GCC does not have. */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

/* ---------------------------------------------------------------- the header */

static const struct {
	const char *name;
	size_t is, should_be;
} layout[] = {
#define TYPE(type, size, alignment) { "sizeof " #type, sizeof(type), size },
#define FIELD(type, field, offset) { "offset of " #type "." #field, offsetof(type, field), offset },
#define VALUE(name, value)
#define FUNCTION(name)
#include "abi.def"
#undef TYPE
#undef FIELD
#undef VALUE
};

static const struct {
	const char *name;
	uint64_t is, should_be;
} values[] = {
#undef FUNCTION
#undef VALUE
#define TYPE(type, size, alignment)
#define FIELD(type, field, offset)
#define VALUE(name, value) { #name, (uint64_t)(name), value },
#define FUNCTION(name)
#include "abi.def"
};

static void t307(void)
{
	size_t i;

	if (sizeof(void *) != 8)
		skip("pointers do not have 64 bits");
	for (i = 0; i < sizeof(layout) / sizeof(layout[0]); i++)
		if (!CHECK(layout[i].is == layout[i].should_be))
			note("%s is %zu, not %zu", layout[i].name, layout[i].is, layout[i].should_be);
}

static void t308(void)
{
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (!CHECK(values[i].is == values[i].should_be))
			note("%s is %llu", values[i].name, (unsigned long long)values[i].is);
}

/* ---------------------------------------------------------------- codes */

static uint64_t random_state;

static uint64_t random_number(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* Sizes and offsets that are likely to be near something. */
static size_t random_size(void)
{
	static const size_t bases[] = { 0, 1, 8, 64, 4096, 8192, 16384, SIZE_MAX / 2, SIZE_MAX - 8191 };

	return bases[random_number(9)] + random_number(17) - 8;
}

static struct {
	struct pair pair;
	unsigned char *memory, *hole;
	uint64_t *words;
} fuzz;

static void *random_address(void)
{
	switch (random_number(6)) {
	case 0: return NULL;
	case 1: return fuzz.hole;
	case 2: return fuzz.memory + 1;
	default: return fuzz.memory;
	}
}

static import_t random_import(void)
{
	return random_number(8) ? fuzz.pair.import : NULL;
}

static export_t random_export(void)
{
	return random_number(8) ? fuzz.pair.segment : NULL;
}

static int random_call(void)
{
	off_t offset = (off_t)random_size();
	size_t size = random_size();
	void *data = random_number(8) ? fuzz.words : NULL;
	rsm_permission_t rights = (rsm_permission_t)random_number(3) * 0200;
	rsm_memseg_id_t id = (rsm_memseg_id_t)random_size();
	rsmapi_access_entry_t list[2];
	export_t segment = NULL;
	import_t import = NULL;
	void *address = NULL;
	uint8_t byte;
	int code;

	/* Transfers within the segment stay within the local memory, too: it is as long. */
	switch (random_number(22)) {
	case 0:
		code = rsm_memseg_export_create(controller(), &segment, random_address(), size, (uint_t)random_number(8));
		if (code == RSM_SUCCESS)
			EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
		return code;
	case 1: return rsm_memseg_export_publish(random_export(), random_number(8) ? &id : NULL, NULL, (uint_t)random_number(2));
	case 2:
		memset(list, 0, sizeof(list));
		list[0].ae_node = (rsm_node_id_t)random_number(3);
		list[0].ae_permission = (rsm_permission_t)random_number(01000);
		return rsm_memseg_export_republish(random_export(), list, (uint_t)random_number(3));
	case 3: return random_number(4) ? RSM_SUCCESS : rsm_memseg_export_unpublish(random_export());
	case 4: return rsm_memseg_export_rebind(random_export(), random_address(), (offset_t)offset, size);
	case 5:
		code = rsm_memseg_import_connect(controller(), (rsm_node_id_t)random_number(3), id,
		    (rsm_permission_t)random_number(01000), &import);
		if (code == RSM_SUCCESS)
			EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
		return code;
	case 6: return rsm_memseg_import_map(random_import(), &address, RSM_MAP_NONE, rights, offset, size);
	case 7: return rsm_memseg_import_unmap(random_import());
	case 8: return rsm_memseg_import_get(random_import(), offset, data, size);
	case 9: return rsm_memseg_import_get8(random_import(), offset, data, size);
	case 10: return rsm_memseg_import_get16(random_import(), offset, data, size);
	case 11: return rsm_memseg_import_get32(random_import(), offset, data, size);
	case 12: return rsm_memseg_import_get64(random_import(), offset, data, size);
	case 13: return rsm_memseg_import_put(random_import(), offset, data, size);
	case 14: return rsm_memseg_import_put8(random_import(), offset, data, size);
	case 15: return rsm_memseg_import_put64(random_import(), offset, data, size);
	case 16: return rsm_intr_signal_post(random_number(2) ? (void *)random_import() : (void *)random_export(), (uint_t)size);
	case 17: return rsm_intr_signal_wait(random_number(2) ? (void *)random_import() : (void *)random_export(), 0);
	case 18: return rsm_memseg_import_set_mode(random_import(), (rsm_barrier_mode_t)random_number(3));
	case 19: return rsm_memseg_import_open_barrier(&fuzz.pair.barrier);
	case 20: return rsm_memseg_import_close_barrier(&fuzz.pair.barrier);
	default:
		byte = (uint8_t)random_number(256);
		return rsm_memseg_import_put8(random_import(), (off_t)random_number(L), &byte, 1);
	}
}

static void t311(void)
{
	const char *seed = getenv("RSM_SEED");
	long i, count = rounds(10000000, 20000);

	random_state = seed ? strtoull(seed, NULL, 0) : 1;
	note("RSM_SEED=%llu", (unsigned long long)random_state);
	random_state = random_state * 0x9e3779b97f4a7c15 | 1;
	make_pair_of(&fuzz.pair, RSM_ALLOW_REBIND, RSM_PERM_RDWR);
	fuzz.memory = new_memory(2 * L);
	fuzz.words = (uint64_t *)(void *)new_memory(2 * L);
	fuzz.hole = new_memory(2 * L);
	NEED(munmap(fuzz.hole, 2 * L) == 0);
	for (i = 0; i < count; i++) {
		int code = random_call();

		if (!is_public_code(code)) {
			note("round %ld: %s", i, code_name(code));
			NEED(is_public_code(code));
		}
		/* Aborted for good: go on with another one. */
		if (i % 500 == 499) {
			rsm_memseg_import_unmap(fuzz.pair.import);
			REQUIRE(RSM_SUCCESS, rsm_memseg_import_disconnect(fuzz.pair.import));
			REQUIRE(RSM_SUCCESS, rsm_memseg_export_destroy(fuzz.pair.segment));
			make_pair_of(&fuzz.pair, RSM_ALLOW_REBIND, RSM_PERM_RDWR);
		}
	}
}

/* ---------------------------------------------------------------- descriptors */

static int standard_descriptors_are_closed(void)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 0;
	return 1;
}

static void stdio_closed(const char *unused)
{
	struct pair pair;
	struct pollfd poll_fd;

	(void)unused;
	CHECK(standard_descriptors_are_closed());
	local_node();
	controller();
	CHECK(standard_descriptors_are_closed());
	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.segment, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(&poll_fd, 1, 0, NULL));
}

static void t312(void)
{
	int fd;

	for (fd = 0; fd < 3; fd++)
		close(fd);
	run_again("stdio_closed", "");
}

static void counting_descriptors(const char *before)
{
	CHECK(open_descriptors() == atoi(before));
}

static void t313(void)
{
	struct pollfd of_export, of_import;
	int before = open_descriptors();
	struct pair pair;
	char text[16];

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.segment, &of_export));
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &of_import));
	CHECK(fcntl(of_export.fd, F_GETFD) & FD_CLOEXEC);
	CHECK(fcntl(of_import.fd, F_GETFD) & FD_CLOEXEC);
	/* All others that the library has: the same program finds as many as it found. */
	snprintf(text, sizeof(text), "%d", before);
	run_again("counting_descriptors", text);
}

/* ---------------------------------------------------------------- threads */

#define THREADS 64

static void *live_alone(void *number)
{
	unsigned seed = (unsigned)(uintptr_t)number;
	long i, count = rounds(2000, 15);

	for (i = 0; i < count; i++) {
		unsigned char *memory = new_memory(L);
		export_t segment = export_memory(memory, L, 0);
		import_t import = connect_to(publish(segment), RSM_PERM_RDWR);
		unsigned char *window;
		rsmapi_barrier_t barrier;

		init_barrier(import, &barrier);
		window = map_all(import, RSM_PERM_RDWR, L);
		fill(window, L, seed);
		NEED(is_filled(memory, L, seed));
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_put(import, 0, window + PS, PS));
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(import, 0));
		NEED(take_events(segment) == 1);
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_unmap(import));
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
		REQUIRE(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
		NEED(memcmp(memory, memory + PS, PS) == 0);
		NEED(munmap(memory, L) == 0);
	}
	return NULL;
}

static void t314(void)
{
	pthread_t threads[THREADS];
	uintptr_t i;
	int before;

	controller();
	local_node();
	limit_descriptors(1024);
	before = open_descriptors();
	for (i = 0; i < THREADS; i++)
		NEED(pthread_create(&threads[i], NULL, live_alone, (void *)i) == 0);
	for (i = 0; i < THREADS; i++)
		NEED(pthread_join(threads[i], NULL) == 0);
	CHECK(open_descriptors() == before);
}

/* ---------------------------------------------------------------- leaks */

/* What a process has, of which the library must not keep any. */
struct possessions {
	int descriptors;
	size_t allocated;	/* bytes */
	unsigned long mapped;	/* pages; 0 with a sanitizer, which keeps what is freed for a while */
};

static size_t allocated_bytes(void)
{
#if SANITIZED
	return __sanitizer_get_current_allocated_bytes();
#elif defined(__GLIBC__)
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

static void count_possessions(struct possessions *all)
{
	char text[64] = "";
	int fd;

	all->descriptors = open_descriptors();
	all->allocated = allocated_bytes();
	fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	NEED(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
	all->mapped = SANITIZED ? 0 : strtoul(text, NULL, 10);
}

/* What the library allocates is counted.  To the byte with a sanitizer only. */
static void allocations_are_seen(void)
{
	size_t before = allocated_bytes(), amid;
	rsm_topology_t *topology = NULL;

	REQUIRE(RSM_SUCCESS, rsm_get_interconnect_topology(&topology));
	amid = allocated_bytes();
	rsm_free_interconnect_topology(topology);
	CHECK(amid > before);
	CHECK(allocated_bytes() == before);
}

/* Everything that is made by one call and taken back by another. */
static void make_and_take_back(unsigned char *memory)
{
	export_t segment = export_memory(memory, L, 0);
	rsm_memseg_id_t id = publish(segment);
	import_t import = connect_to(id, RSM_PERM_RDWR), other = connect_to(id, RSM_PERM_RDWR);
	rsm_localmemory_handle_t local;
	rsmapi_barrier_t barrier;
	struct pollfd poll_fd;
	uint64_t word = 1;

	/* A mapping that goes with its connection, and one that has to be taken away. */
	init_barrier(other, &barrier);
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_put64(other, 0, &word, 1));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_disconnect(other));
	init_barrier(import, &barrier);
	map_all(import, RSM_PERM_RDWR, L);
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_put64(import, 8, &word, 1));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_get64(import, 0, &word, 1));
	REQUIRE(RSM_SUCCESS, rsm_create_localmemory_handle(controller(), &local, (char *)memory, L));
	REQUIRE(RSM_SUCCESS, rsm_free_localmemory_handle(controller(), local));
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(import, 0));
	REQUIRE(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(&poll_fd, 1, -1, NULL));
	REQUIRE(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&barrier));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_unmap(import));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
	REQUIRE(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void no_leaks(void)
{
	long i, count = rounds(100000, 2000), warm = count / 20;
	unsigned char *memory = new_memory(L);
	struct possessions before, after;

	for (i = 0; i < count; i++) {
		if (i == warm) {
			if (SANITIZED)
				allocations_are_seen();
			count_possessions(&before);
		}
		make_and_take_back(memory);
	}
	count_possessions(&after);
	if (!CHECK(after.descriptors == before.descriptors) || !CHECK(after.allocated == before.allocated) ||
	    !CHECK(after.mapped == before.mapped))
		note("descriptors %d, then %d; bytes %zu, then %zu; pages %lu, then %lu", before.descriptors,
		    after.descriptors, before.allocated, after.allocated, before.mapped, after.mapped);
}

const struct check library_checks[] = {
	{ "T307", "header: sizes and offsets", t307, 0 },
	{ "T308", "header: values", t308, 0 },
	{ "T311", "library: only RSM codes, whatever the arguments", t311, 0 },
	{ "T312", "library: standard input, output and error are closed", t312, 0 },
	{ "T313", "library: descriptors are close-on-exec", t313, 0 },
	{ "T314", "library: 64 threads", t314, 0 },
	{ "library.leak", "library: thousands of rounds leave nothing behind", no_leaks, 0 },
	{ NULL, NULL, NULL, 0 },
};

const struct stage library_stages[] = {
	{ "stdio_closed", stdio_closed },
	{ "counting_descriptors", counting_descriptors },
	{ NULL, NULL },
};
