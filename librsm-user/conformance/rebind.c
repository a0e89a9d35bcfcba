/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* rebind: B8, and section 6.4. */
#include <sys/mman.h>
#include <sys/resource.h>

#include "segments.h"

static export_t rebindable(void)
{
	return export_memory(new_memory(L), L, RSM_ALLOW_REBIND);
}

/* I, P, E over BUF and a BUF2 filled with seed 2. */
static unsigned char *make_rebindable(struct pair *pair)
{
	unsigned char *other = new_memory(L);

	make_pair_of(pair, RSM_ALLOW_REBIND, RSM_PERM_RDWR);
	fill(other, L, 2);
	return other;
}

/* What a get of the whole segment returns is this pattern. */
static int get_is(import_t import, unsigned seed)
{
	unsigned char *copy = new_memory(L);
	int same;

	EXPECT(RSM_SUCCESS, rsm_memseg_import_get(import, 0, copy, L));
	same = is_filled(copy, L, seed);
	munmap(copy, L);
	return same;
}

static void t107(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(NULL, new_memory(L), 0, L));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(NULL, NULL, 0, L));
}

static void t108(void)
{
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(rebindable(), NULL, 0, L));
}

static void t109(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(pair.segment, new_memory(L), 0, L));
	/* Before the length. */
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(pair.segment, new_memory(L), 0, PS));
	CHECK(get_is(pair.import, 0));
}

static void rebind_2(void)
{
	export_t segment = export_memory(new_memory(L), L, RSM_ALLOW_REBIND);
	void *import = connect_to(publish(segment), RSM_PERM_RDWR);

	/* The address before the kind of the handle, the kind before all else. */
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(import, NULL, 0, L));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(import, new_memory(L), 0, PS));
}

static export_t inherited;

static void rebinding_child(int line)
{
	(void)line;
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_rebind(inherited, new_memory(L), 0, L));
	/* Ownership before the length. */
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_rebind(inherited, new_memory(L), 0, PS));
}

static void t111(void)
{
	struct peer child;

	inherited = rebindable();
	child = start(rebinding_child);
	finish(&child);
}

static void t112(void)
{
	unsigned char *other = new_memory(2 * L);
	export_t segment = rebindable();

	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(segment, other, 0, L - PS));
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(segment, other, 0, L + PS));
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(segment, other, 0, 0));
	/* The length before the alignment. */
	EXPECT(RSMERR_BAD_LENGTH, rsm_memseg_export_rebind(segment, other + 1, 0, L - PS));
}

static void t113(void)
{
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(rebindable(), new_memory(2 * L) + 1, 0, L));
}

static void t114(void)
{
	struct pair pair;

	make_rebindable(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, pair.memory, 0, L));
	CHECK(get_is(pair.import, 0));
}

static void t116(void)
{
	unsigned char *hole = new_memory(L), *constant = new_memory(L), *window;
	struct pair pair;

	make_rebindable(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	NEED(munmap(hole + PS, PS) == 0);
	NEED(mprotect(constant, L, PROT_READ) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(pair.segment, hole, 0, L));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_export_rebind(pair.segment, constant, 0, L));
	CHECK(is_filled(window, L, 0));
	fill(pair.memory, L, 6);
	CHECK(is_filled(window, L, 6));
}

static void t117(void)
{
	struct pair pair;
	unsigned char *other = make_rebindable(&pair);
	uint8_t byte = 99;

	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, other, 0, L));
	CHECK(get_is(pair.import, 2));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 5, &byte, 1));
	CHECK(other[5] == 99);
	CHECK(is_filled(pair.memory, L, 0));
}

static void t118(void)
{
	struct pair pair;
	unsigned char *other = make_rebindable(&pair), *window;

	window = map_all(pair.import, RSM_PERM_RDWR, L);
	CHECK(is_filled(window, L, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, other, 0, L));
	CHECK(is_filled(window, L, 2));
	fill(window, L, 4);
	CHECK(is_filled(other, L, 4));
	CHECK(is_filled(pair.memory, L, 0));
	/* The old memory goes: nothing happens to the importer. */
	NEED(munmap(pair.memory, L) == 0);
	CHECK(is_filled(window, L, 4));
	CHECK(get_is(pair.import, 4));
}

static void t119(void)
{
	struct pair pair;
	unsigned char *other = make_rebindable(&pair);

	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, other, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_close_barrier(&pair.barrier));
}

static void t121(void)
{
	unsigned char *other = new_memory(L);
	export_t segment = rebindable();
	rsmapi_barrier_t barrier;
	import_t import;

	fill(other, L, 2);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(segment, other, 0, L));
	import = connect_to(publish(segment), RSM_PERM_READ);
	init_barrier(import, &barrier);
	CHECK(get_is(import, 2));
}

static void rebind_10(void)
{
	unsigned char *memory = new_memory(L), *other = new_memory(L), *window;
	struct rlimit limit;
	export_t segment;

	limit.rlim_cur = limit.rlim_max = 2 * L - PS;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	become(DAVE, DAVE, (gid_t)-1);
	segment = export_memory(memory, L, RSM_ALLOW_REBIND);
	window = map_all(connect_to(publish(segment), RSM_PERM_READ), RSM_PERM_READ, L);
	/* C7: both are charged until the old memory is unpinned. */
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_memseg_export_rebind(segment, other, 0, L));
	CHECK(is_filled(window, L, 0));
	fill(memory, L, 5);
	CHECK(is_filled(window, L, 5));
	/* The charge is that of one. */
	export_memory(other, L - PS, 0);
}

static void rebind_charge(void)
{
	unsigned char *memory = new_memory(L), *other = new_memory(L);
	struct rlimit limit;
	export_t segment;
	int i;

	limit.rlim_cur = limit.rlim_max = 2 * L;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	become(DAVE, DAVE, (gid_t)-1);
	segment = export_memory(memory, L, RSM_ALLOW_REBIND);
	for (i = 0; i < 10; i++)
		REQUIRE(RSM_SUCCESS, rsm_memseg_export_rebind(segment, i % 2 ? memory : other, 0, L));
}

static void rebind_off(void)
{
	struct pair pair;
	unsigned char *other = make_rebindable(&pair);

	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, other, (offset_t)PS + 1, L));
	CHECK(get_is(pair.import, 2));
}

static void rebind_events(void)
{
	struct pair pair;
	unsigned char *other = make_rebindable(&pair);

	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_rebind(pair.segment, other, 0, L));
	CHECK(take_events(pair.segment) == 1);
	CHECK(take_events(pair.import) == 1);
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
}

const struct check rebind_checks[] = {
	{ "T107", "rebind: no handle", t107, 0 },
	{ "T108", "rebind: no address", t108, 0 },
	{ "T109", "rebind: without the flag", t109, 0 },
	{ "T111", "rebind: by a child", t111, 0 },
	{ "T112", "rebind: other lengths", t112, 0 },
	{ "T113", "rebind: address not on a page", t113, 0 },
	{ "T114", "rebind: to where it is", t114, 0 },
	{ "T116", "rebind: a hole, read-only memory; the old binding stays", t116, 0 },
	{ "T117", "rebind: transfers use the new memory", t117, 0 },
	{ "T118", "rebind: existing mappings show the new memory", t118, 0 },
	{ "T119", "rebind: barriers do not fail", t119, 0 },
	{ "T121", "rebind: before publish", t121, 0 },
	{ "rebind.2", "rebind: no address, of an import", rebind_2, 0 },
	{ "rebind.10", "rebind: limit of locked memory; nothing changes (C7)", rebind_10, AS_ROOT },
	{ "rebind.charge", "rebind: the old memory's charge is returned", rebind_charge, AS_ROOT },
	{ "rebind.off", "rebind: the offset is ignored", rebind_off, 0 },
	{ "rebind.effects", "rebind: events, connections and id stay", rebind_events, 0 },
	{ NULL, NULL, NULL, 0 },
};
