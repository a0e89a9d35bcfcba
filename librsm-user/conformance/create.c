/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* export_create: B4, and section 6.4. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <unistd.h>

#include "knobs.h"
#include "namespace.h"
#include "segments.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int create(export_t *segment, void *memory, size_t length)
{
	return rsm_memseg_export_create(controller(), segment, memory, length, 0);
}

/* A create that must fail with this code, and leave no handle. */
#define REFUSED(code, memory, length) \
	do { \
		export_t segment_ = (export_t)(uintptr_t)1; \
		EXPECT(code, create(&segment_, memory, length)); \
		CHECK(segment_ == NULL); \
	} while (0)

static void lock_at_most(size_t bytes)
{
	struct rlimit limit;

	limit.rlim_cur = limit.rlim_max = bytes;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

static void t036(void)
{
	export_t segment = (export_t)(uintptr_t)1;

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_export_create(NULL, &segment, new_memory(L), L, 0));
	CHECK(segment == (export_t)(uintptr_t)1);
}

static void t037(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, create(NULL, new_memory(L), L));
}

static void t038(void)
{
	REFUSED(RSMERR_BAD_ADDR, NULL, 0);
}

static void t039(void)
{
	REFUSED(RSMERR_BAD_LENGTH, new_memory(L), 0);
	REFUSED(RSMERR_BAD_LENGTH, new_memory(L) + 1, 0);
}

static void t041(void)
{
	REFUSED(RSMERR_BAD_MEM_ALIGNMENT, new_memory(L), PS + 1);
}

static void t042(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = NULL;

	fill(memory, L, 3);
	EXPECT(RSM_SUCCESS, create(&segment, memory, L));
	CHECK(segment != NULL);
	CHECK(is_filled(memory, L, 3));
	CHECK(store_fault(memory) == 0 && store_fault(memory + L - 1) == 0);
}

static void t043(void)
{
	export_t segment = NULL;

	EXPECT(RSM_SUCCESS, rsm_memseg_export_create(controller(), &segment, new_memory(L), L,
	    RSM_ALLOW_REBIND | RSM_CREATE_SEG_DONTWAIT));
}

static void t044(void)
{
	export_t segment = NULL;
	unsigned char *other = new_memory(L);

	EXPECT(RSM_SUCCESS, rsm_memseg_export_create(controller(), &segment, new_memory(L), L, 0xF0));
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(segment, other, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_create(controller(), &segment, other, L, RSM_LOCK_OPS));
}

static void t046(void)
{
	unsigned char *memory = new_memory(L);
	size_t i;

	lock_at_most(L);
	become(DAVE, DAVE, (gid_t)-1);
	NEED(munmap(memory + PS, PS) == 0);
	REFUSED(RSMERR_BAD_ADDR, memory, L);
	/* All of the limit is there. */
	for (i = 0; i < L; i += PS)
		export_memory(new_memory(PS), PS, 0);
}

static void t047(void)
{
	unsigned char *memory = new_memory(L);

	NEED(mprotect(memory, L, PROT_READ) == 0);
	REFUSED(RSMERR_PERM_DENIED, memory, L);
	/* One page of it is enough. */
	memory = new_memory(L);
	NEED(mprotect(memory + 2 * PS, PS, PROT_READ) == 0);
	REFUSED(RSMERR_PERM_DENIED, memory, L);
}

/* A file of L bytes, without a name. */
static int regular_file(const char *directory)
{
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s/rsm-conformance-XXXXXX", directory);
	fd = mkstemp(name);
	NEED(fd >= 0);
	unlink(name);
	NEED(ftruncate(fd, (off_t)L) == 0);
	return fd;
}

static void t048(void)
{
	void *memory;

	/* Files of ramfs are not shared memory to the kernel, unlike those of tmpfs. */
	mount_empty("/tmp", "ramfs");
	memory = mmap(NULL, L, PROT_READ | PROT_WRITE, MAP_SHARED, regular_file("/tmp"), 0);
	NEED(memory != MAP_FAILED);
	REFUSED(RSMERR_BAD_ADDR, memory, L);
}

static void t049(void)
{
	unsigned char *memory = mmap(NULL, L, PROT_READ | PROT_WRITE, MAP_PRIVATE, regular_file("/tmp"), 0);
	export_t segment = NULL;
	unsigned char *window;

	NEED(memory != MAP_FAILED);
	EXPECT(RSM_SUCCESS, create(&segment, memory, L));
	fill(memory, L, 5);
	window = map_all(connect_to(publish(segment), RSM_PERM_RDWR), RSM_PERM_RDWR, L);
	CHECK(is_filled(window, L, 5));
}

static void t051(void)
{
	unsigned char *memory = new_memory(L);
	export_t one = export_memory(memory, L, 0), two = export_memory(memory, L, 0);
	export_t part = export_memory(memory + PS, 2 * PS, 0);
	rsm_memseg_id_t id;

	CHECK(one != two && two != part);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(one));
	id = publish(two);
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_RDWR));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(two));
	publish(part);
}

static void t052(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = NULL;
	int i;

	/* A user of its own: nobody else's memory is charged to it. */
	lock_at_most(L);
	become(DAVE, DAVE, (gid_t)-1);
	REFUSED(RSMERR_INSUFFICIENT_MEM, new_memory(2 * L), 2 * L);
	for (i = 0; i < 5; i++) {
		REQUIRE(RSM_SUCCESS, create(&segment, memory, L));
		REFUSED(RSMERR_INSUFFICIENT_MEM, new_memory(PS), PS);
		/* The same memory again is charged again. */
		REFUSED(RSMERR_INSUFFICIENT_MEM, memory, L);
		EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
	}
}

static void t053(void)
{
	export_t segment = NULL;

	if (!knob_set(KNOB_EXPORTED_MEMORY, (long)L))
		skip("the limit of exported memory cannot be set here");
	REFUSED(RSMERR_INSUFFICIENT_MEM, new_memory(L + PS), L + PS);
	EXPECT(RSM_SUCCESS, create(&segment, new_memory(L), L));
	REFUSED(RSMERR_INSUFFICIENT_MEM, new_memory(PS), PS);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
	EXPECT(RSM_SUCCESS, create(&segment, new_memory(L), L));
}

static void t054(void)
{
	unsigned char *memory = new_memory(L), *hole = new_memory(L);
	export_t segment = NULL;

	NEED(munmap(hole, L) == 0);
	controller();
	limit_descriptors(open_descriptors());
	/* There may be holes below the limit: fill them. */
	while (dup(1) >= 0)
		;
	REFUSED(RSMERR_INSUFFICIENT_RESOURCES, memory, L);
	/* Arguments come first, the memory comes later. */
	REFUSED(RSMERR_BAD_ADDR, NULL, L);
	REFUSED(RSMERR_BAD_LENGTH, memory, 0);
	REFUSED(RSMERR_BAD_MEM_ALIGNMENT, memory + 1, L);
	REFUSED(RSMERR_INSUFFICIENT_RESOURCES, hole, L);
	limit_descriptors(256);
	EXPECT(RSM_SUCCESS, create(&segment, memory, L));
}

/*
 * The same 8 MiB again and again, of huge pages: that takes little memory and time.  What is
 * above 4 GiB comes once.
 */
static unsigned char *four_gibibytes_and(size_t tail)
{
	const size_t huge = 2 << 20, part = 4 * huge, four = (size_t)4 << 30;
	int file = memfd_create("conformance", MFD_CLOEXEC), tries = 20;
	unsigned char *memory;
	size_t at;

	NEED(file >= 0 && ftruncate(file, (off_t)part) == 0);
	memory = mmap(NULL, four + huge + tail, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEED(memory != MAP_FAILED);
	memory += -(uintptr_t)memory % huge;
	for (at = 0; at < four; at += part)
		NEED(mmap(memory + at, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == memory + at);
	memset(memory, 1, part);
	while (madvise(memory, part, MADV_COLLAPSE) != 0 && --tries > 0)
		knob_set(KNOB_COMPACT, 1);
	if (tries == 0)
		note("no huge pages: this takes long");
	close(file);
	return memory;
}

static void t056(void)
{
	const size_t four = (size_t)4 << 30, length = four + L;
	unsigned char *memory = four_gibibytes_and(L), *above = memory + four;
	unsigned char copy[64], bytes[64];
	struct rlimit limit;
	export_t segment = NULL;
	rsmapi_barrier_t barrier;
	import_t import, mapped;
	void *window = NULL;
	rsm_memseg_id_t id;
	uint64_t word = 0;
	size_t at;
	uint8_t byte = 0;

	limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	fill(memory, L, 1);
	fill(above, L, 2);
	REQUIRE(RSM_SUCCESS, create(&segment, memory, length));
	id = publish(segment);
	import = connect_to(id, RSM_PERM_RDWR);
	init_barrier(import, &barrier);
	above[L - 1] = 42;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get8(import, (off_t)length - 1, &byte, 1));
	CHECK(byte == 42);
	EXPECT(RSMERR_BAD_OFFSET, rsm_memseg_import_get8(import, (off_t)length, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get64(import, (off_t)four, &word, 1));
	CHECK(memcmp(&word, above, sizeof(word)) == 0 && memcmp(&word, memory, sizeof(word)) != 0);
	word = 0x0123456789abcdef;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put64(import, (off_t)(length - 8), &word, 1));
	CHECK(memcmp(&word, above + L - 8, sizeof(word)) == 0);
	memset(bytes, 7, sizeof(bytes));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put(import, (off_t)(four + PS - 1), bytes, sizeof(bytes)));
	CHECK(memcmp(above + PS - 1, bytes, sizeof(bytes)) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get(import, (off_t)(four + PS - 1), copy, sizeof(copy)));
	CHECK(memcmp(copy, bytes, sizeof(copy)) == 0);

	mapped = connect_to(id, RSM_PERM_RDWR);
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_import_map(mapped, &window, RSM_MAP_NONE, RSM_PERM_RDWR,
	    (off_t)four, L + PS));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_map(mapped, &window, RSM_MAP_NONE, RSM_PERM_RDWR, (off_t)four, L));
	CHECK(memcmp(window, above, L) == 0);
	fill(window, L, 3);
	CHECK(is_filled(above, L, 3));
	/* What is 4 GiB below has been left alone by all that. */
	CHECK(is_filled(memory, L, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
	word = 0;
	for (at = 0; at < L; at++)
		word |= ((unsigned char *)window)[at];
	CHECK(word == 0);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put64(import, (off_t)four, &word, 1));
}

static void t057(void)
{
	long i, count = rounds(100000, 2000), warm = count / 4;
	unsigned char *memory = new_memory(L);
	struct rusage before, after;
	int descriptors = 0;

	if (SANITIZED)
		skip("AddressSanitizer keeps what is freed: the process grows");
	/* With a limit of locked memory that a few segments left over would fill. */
	lock_at_most(4 * L);
	become(DAVE, DAVE, (gid_t)-1);
	for (i = 0; i < count; i++) {
		export_t segment = export_memory(memory, L, 0);

		REQUIRE(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
		if (i == warm) {
			descriptors = open_descriptors();
			getrusage(RUSAGE_SELF, &before);
		}
	}
	getrusage(RUSAGE_SELF, &after);
	CHECK(open_descriptors() == descriptors);
	/* In KiB: less than a quarter of a byte a round would be noise. */
	CHECK(after.ru_maxrss - before.ru_maxrss < 256 + count / 256);
}

static void create_5(void)
{
	REFUSED(RSMERR_BAD_MEM_ALIGNMENT, new_memory(L) + 1, PS);
	REFUSED(RSMERR_BAD_MEM_ALIGNMENT, new_memory(L) + PS / 2, PS);
	/* Alignment is looked at before the memory. */
	REFUSED(RSMERR_BAD_MEM_ALIGNMENT, (void *)(uintptr_t)1, PS);
}

static void create_14(void)
{
	unsigned char *hole = new_memory(L);
	export_t segment = NULL;
	struct pair pair;
	unsigned char *window;

	NEED(munmap(hole, L) == 0);
	REFUSED(RSMERR_BAD_ADDR, hole, L);
	/* Limits come before the memory; there may be none. */
	EXPECT_EITHER(RSMERR_INSUFFICIENT_MEM, RSMERR_BAD_ADDR, create(&segment, new_memory(PS), (size_t)1 << 46));
	CHECK(segment == NULL);
	/* C5: what has been imported cannot be exported. */
	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	REFUSED(RSMERR_BAD_ADDR, window, L);
}

static void create_system_v(void)
{
	int key = shmget(IPC_PRIVATE, L, IPC_CREAT | 0600);
	unsigned char *memory;
	export_t segment = NULL;

	NEED(key >= 0);
	memory = shmat(key, NULL, 0);
	shmctl(key, IPC_RMID, NULL);
	NEED(memory != (void *)-1);
	EXPECT(RSM_SUCCESS, create(&segment, memory, L));
	fill(memory, L, 9);
	CHECK(is_filled(map_all(connect_to(publish(segment), RSM_PERM_READ), RSM_PERM_READ, L), L, 9));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

const struct check create_checks[] = {
	{ "T036", "export_create: no controller", t036, 0 },
	{ "T037", "export_create: no place for the handle", t037, 0 },
	{ "T038", "export_create: no address; address before length", t038, 0 },
	{ "T039", "export_create: no length", t039, 0 },
	{ "T041", "export_create: length not in pages", t041, 0 },
	{ "T042", "export_create: memory keeps its content and stays writable", t042, 0 },
	{ "T043", "export_create: both flags", t043, 0 },
	{ "T044", "export_create: unknown flags", t044, 0 },
	{ "T046", "export_create: a hole in the range, nothing stays pinned", t046, AS_ROOT },
	{ "T047", "export_create: read-only memory", t047, 0 },
	{ "T048", "export_create: a shared file", t048, AS_ROOT },
	{ "T049", "export_create: a private file mapping", t049, 0 },
	{ "T051", "export_create: twice the same, overlapping", t051, 0 },
	{ "T052", "export_create: limit of locked memory, credited again", t052, AS_ROOT },
	{ "T053", "export_create: limit of exported memory", t053, AS_ROOT },
	{ "T054", "export_create: no descriptor left", t054, 0 },
	{ "T056", "export_create: more than 4 GiB", t056, AS_ROOT },
	{ "T057", "export_create: many times, without growth", t057, AS_ROOT },
	{ "export_create.5", "export_create: address not on a page", create_5, 0 },
	{ "export_create.14", "export_create: nothing there, too much, an import", create_14, 0 },
	{ "export_create.vaddr", "export_create: System V shared memory", create_system_v, 0 },
	{ NULL, NULL, NULL, 0 },
};
