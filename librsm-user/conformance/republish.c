/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* republish: B7, and section 6.4. */
#include <string.h>
#include <sys/mman.h>

#include "segments.h"

static int republish(export_t segment, rsm_permission_t mode)
{
	return rsm_memseg_export_republish(segment, list_of(mode), 1);
}

/* P of this user's, with a list. */
static export_t published(rsm_permission_t mode, rsm_memseg_id_t *id)
{
	export_t segment = export_memory(new_memory(L), L, 0);

	*id = publish_mode(segment, mode);
	return segment;
}

static void t096(void)
{
	export_t segment = export_memory(new_memory(L), L, 0);

	EXPECT(RSMERR_SEG_NOT_PUBLISHED, republish(segment, 0667));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(segment, NULL, 1));
}

/* The list 0400 is in force. */
static void list_is_kept(rsm_memseg_id_t id)
{
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_READ));
	EXPECT(RSMERR_PERM_DENIED, try_connect(id, RSM_PERM_RDWR));
}

static void t097(void)
{
	rsm_memseg_id_t id;
	export_t segment = published(0400, &id);

	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(segment, NULL, 1));
	list_is_kept(id);
}

static void t098(void)
{
	rsm_memseg_id_t id;
	export_t segment = published(0400, &id);
	rsmapi_access_entry_t list[2];

	EXPECT(RSMERR_BAD_ACL, republish(segment, 0667));
	list[0] = list[1] = *list_of(0666);
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(segment, list, 2));
	list[0].ae_node++;
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(segment, list, 1));
	list_is_kept(id);
}

static export_t inherited;

static void republishing_child(int line)
{
	(void)line;
	EXPECT(RSMERR_NOT_CREATOR, republish(inherited, 0666));
	/* Ownership before the list. */
	EXPECT(RSMERR_NOT_CREATOR, republish(inherited, 0667));
}

static void t099(void)
{
	rsm_memseg_id_t id;
	struct peer child;

	inherited = published(0400, &id);
	child = start(republishing_child);
	finish(&child);
	list_is_kept(id);
}

static void t101(void)
{
	rsm_memseg_id_t id;
	export_t segment = published(0666, &id);
	import_t import = connect_to(id, RSM_PERM_RDWR);
	unsigned char *window = map_all(import, RSM_PERM_RDWR, L);
	rsmapi_barrier_t barrier;
	uint8_t byte = 1;

	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, republish(segment, 0444));
	EXPECT(RSMERR_PERM_DENIED, try_connect(id, RSM_PERM_RDWR));
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_READ));
	/* The connection there was goes on, even with a new mapping. */
	CHECK(store_fault(window) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(import));
	window = map_all(import, RSM_PERM_RDWR, L);
	CHECK(store_fault(window) == 0);
}

static void t102(void)
{
	rsm_memseg_id_t id;

	published(0, &id);
	EXPECT(RSMERR_PERM_DENIED, try_connect(id, RSM_PERM_READ));
}

static void t103(void)
{
	rsm_memseg_id_t id;
	export_t segment = published(0444, &id);
	import_t import = connect_to(id, RSM_PERM_READ);
	rsmapi_barrier_t barrier;
	uint8_t byte = 1;

	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, republish(segment, 0666));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put8(import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_RDWR));
}

static void reading_stranger(int line)
{
	rsm_memseg_id_t id = (rsm_memseg_id_t)hear(line);

	EXPECT(RSMERR_PERM_DENIED, try_connect(id, RSM_PERM_READ));
	tell(line, 0);
	hear(line);
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_READ));
	EXPECT(RSMERR_PERM_DENIED, try_connect(id, RSM_PERM_WRITE));
}

static void t104(void)
{
	struct peer stranger = start_as(BOB, BOB, (gid_t)-1, reading_stranger);
	rsm_memseg_id_t id;
	export_t segment;

	become(ALICE, ALICE, (gid_t)-1);
	segment = published(0600, &id);
	tell(stranger.line, id);
	hear(stranger.line);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_republish(segment, NULL, 0));
	tell(stranger.line, 0);
	finish(&stranger);
}

static void republish_1(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(NULL, list_of(0666), 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(NULL, NULL, 1));
}

static void republish_6(void)
{
	rsm_memseg_id_t id;
	export_t segment = published(0400, &id);
	unsigned char *hole = new_memory(PS);
	rsmapi_access_entry_t list[65];
	size_t i;

	for (i = 0; i < 65; i++)
		list[i] = *list_of(0666);
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(segment, list, 65));
	NEED(munmap(hole, PS) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_republish(segment, (rsmapi_access_entry_t *)(void *)hole, 1));
	/* The length before the list. */
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(segment, (rsmapi_access_entry_t *)(void *)hole, 65));
	list_is_kept(id);
}

static void republish_events(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, republish(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_close_barrier(&pair.barrier));
	CHECK(take_events(pair.segment) == 1);
	CHECK(take_events(pair.import) == 1);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_republish(pair.segment, NULL, 0));
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
}

const struct check republish_checks[] = {
	{ "T096", "republish: not published, before the list", t096, 0 },
	{ "T097", "republish: a length without a list", t097, 0 },
	{ "T098", "republish: bad lists", t098, 0 },
	{ "T099", "republish: by a child", t099, 0 },
	{ "T101", "republish: less for new connections, the same for old ones", t101, 0 },
	{ "T102", "republish: a mode that admits nobody", t102, 0 },
	{ "T103", "republish: more for new connections, the same for old ones", t103, 0 },
	{ "T104", "republish: without a list the umask counts", t104, AS_ROOT },
	{ "republish.1", "republish: no handle", republish_1, 0 },
	{ "republish.6", "republish: lists too long, unreadable", republish_6, 0 },
	{ "republish.effects", "republish: events, barriers and id stay", republish_events, 0 },
	{ NULL, NULL, NULL, 0 },
};
