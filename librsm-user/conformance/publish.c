/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* publish: B5, and section 6.4. */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "segments.h"

static int publish_id(export_t segment, rsm_memseg_id_t id)
{
	rsm_memseg_id_t wanted = id;
	int code = rsm_memseg_export_publish(segment, &wanted, NULL, 0);

	CHECK(wanted == id);
	return code;
}

/* With a list of that many entries, all for the local node but one. */
static int publish_list(export_t segment, uint_t count, rsm_node_id_t node, rsm_permission_t mode)
{
	rsmapi_access_entry_t list[80];
	rsm_memseg_id_t id = 0;
	uint_t i;

	for (i = 0; i < count; i++) {
		list[i].ae_node = local_node();
		list[i].ae_permission = 0666;
	}
	if (count) {
		list[count - 1].ae_node = node;
		list[count - 1].ae_permission = mode;
	}
	return rsm_memseg_export_publish(segment, &id, list, count);
}

static export_t new_export(void)
{
	return export_memory(new_memory(L), L, 0);
}

/* It is not published, and can be. */
static void is_bound(export_t segment)
{
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(segment));
	publish(segment);
}

static void t058(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_SEGID, rsm_memseg_export_publish(segment, NULL, NULL, 0));
	is_bound(segment);
}

static void t059(void)
{
	EXPECT(RSMERR_BAD_SEGID, rsm_memseg_export_publish(NULL, NULL, NULL, 0));
}

static void t061(void)
{
	export_t segment = new_export();
	rsm_memseg_id_t id = 0;

	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(segment, &id, NULL, 1));
	is_bound(segment);
}

static void t062(void)
{
	export_t segment = new_export();
	rsm_memseg_id_t id = 0;

	EXPECT(RSM_SUCCESS, rsm_memseg_export_publish(segment, &id, list_of(0), 0));
	/* Not the list's mode, but that of the umask. */
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_RDWR));
}

static void t063(void)
{
	CHECK(publish(new_export()) >= RSM_USER_APP_ID_BASE);
}

static void t064(void)
{
	export_t one = new_export(), two = new_export(), three = new_export();
	rsm_memseg_id_t first = publish(one), second = publish(two), third;

	CHECK(first != second);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(one));
	third = publish(three);
	CHECK(third != first && third != second);
	CHECK(publish(one) != first);
}

static void t066(void)
{
	static const rsm_memseg_id_t ids[] = { 1, 0x0FFFFF, 0x100000, 0x1FFFFF, 0x200000, 0x2FFFFF, 0x300000, 0x3FFFFF };
	export_t segment = new_export();
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		EXPECT(RSMERR_RESERVED_SEGID, publish_id(segment, ids[i]));
	is_bound(segment);
}

static void t067(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_RESERVED_SEGID, publish_id(segment, 0x80000000U));
	EXPECT(RSMERR_RESERVED_SEGID, publish_id(segment, 0xFFFFFFFFU));
	is_bound(segment);
}

static void t068(void)
{
	static const rsm_memseg_id_t ids[] = { 0x400000, 0x500000, 0x600000, 0x7FFFFFFF };
	export_t segment = new_export();
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		EXPECT(RSM_SUCCESS, publish_id(segment, ids[i]));
		EXPECT(RSM_SUCCESS, try_connect(ids[i], RSM_PERM_READ));
		EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	}
}

static void publisher_of_free_id(int line)
{
	publish_as(new_export(), FREE_ID);
	tell(line, 0);
	hear(line);
}

static void id_is_taken(struct peer other)
{
	export_t segment = new_export();

	hear(other.line);
	EXPECT(RSMERR_SEGID_IN_USE, publish_id(segment, FREE_ID));
	EXPECT(RSM_SUCCESS, publish_id(segment, ANOTHER_ID));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_SEGID_IN_USE, publish_id(segment, FREE_ID));
	tell(other.line, 0);
	finish(&other);
	EXPECT(RSM_SUCCESS, publish_id(segment, FREE_ID));
	/* By the caller, too. */
	EXPECT(RSMERR_SEGID_IN_USE, publish_id(new_export(), FREE_ID));
}

static void t069(void)
{
	id_is_taken(start(publisher_of_free_id));
}

static void t069_other_user(void)
{
	struct peer other = start_as(BOB, BOB, (gid_t)-1, publisher_of_free_id);

	become(ALICE, ALICE, (gid_t)-1);
	id_is_taken(other);
}

static void t071(void)
{
	export_t segment = new_export();

	EXPECT(RSM_SUCCESS, publish_list(segment, 1, local_node(), 0666));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
}

static void t072(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 2, local_node(), 0666));
	is_bound(segment);
}

static void t073(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 1, local_node() + 1, 0666));
	is_bound(segment);
}

static void t074(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 1, local_node(), 0667));
	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 1, local_node(), 01000));
	is_bound(segment);
}

static void t076(void)
{
	export_t segment = new_export();
	unsigned char *hole = new_memory(2 * PS);
	rsm_memseg_id_t id = 0;

	NEED(munmap(hole + PS, PS) == 0);
	EXPECT(RSMERR_BAD_ADDR,
	    rsm_memseg_export_publish(segment, &id, (rsmapi_access_entry_t *)(void *)(hole + PS), 1));
	/* The first half of an entry can be read. */
	EXPECT(RSMERR_BAD_ADDR,
	    rsm_memseg_export_publish(segment, &id, (rsmapi_access_entry_t *)(void *)(hole + PS - 4), 1));
	is_bound(segment);
}

static export_t inherited;

static void publishing_child(int line)
{
	(void)line;
	EXPECT(RSMERR_NOT_CREATOR, publish_id(inherited, FREE_ID));
	EXPECT(RSMERR_NOT_CREATOR, publish_list(inherited, 1, local_node(), 0666));
}

static void t077(void)
{
	struct peer child;

	inherited = new_export();
	child = start(publishing_child);
	finish(&child);
	publish(inherited);
}

static void child_with_bad_list(int line)
{
	rsm_memseg_id_t id = 1;

	(void)line;
	EXPECT(RSMERR_NOT_CREATOR, publish_list(inherited, 1, local_node(), 0667));
	EXPECT(RSMERR_NOT_CREATOR, publish_list(inherited, 65, local_node(), 0666));
	/* Checks of the library come first. */
	EXPECT(RSMERR_RESERVED_SEGID, rsm_memseg_export_publish(inherited, &id, NULL, 0));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(inherited, &id, NULL, 1));
}

static void t078(void)
{
	struct peer child;

	inherited = new_export();
	child = start(child_with_bad_list);
	finish(&child);
}

static void t079(void)
{
	export_t segment = new_export();

	publish_as(segment, FREE_ID);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSM_SUCCESS, publish_id(segment, FREE_ID));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSM_SUCCESS, publish_id(segment, ANOTHER_ID));
	EXPECT(RSM_SUCCESS, try_connect(ANOTHER_ID, RSM_PERM_RDWR));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_RDWR));
}

static void publish_2(void)
{
	rsm_memseg_id_t id = 0;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(NULL, &id, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(NULL, &id, NULL, 1));
}

static void publish_4(void)
{
	export_t segment = new_export();
	rsm_memseg_id_t id = publish(segment), reserved = 1;

	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(segment, &id, NULL, 0));
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, publish_id(segment, FREE_ID));
	/* After the list's pointer, before the id. */
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(segment, &id, NULL, 1));
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(segment, &reserved, NULL, 0));
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_RDWR));
}

static void publish_7(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 64, local_node(), 0666));
	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 65, local_node(), 0666));
	EXPECT(RSMERR_BAD_ACL, publish_list(segment, 1, 65, 0666));
	is_bound(segment);
}

static void publish_12(void)
{
	export_t segment = new_export();
	rsm_memseg_id_t id = FREE_ID;

	publish_as(new_export(), FREE_ID);
	/* The list is looked at before the id is taken. */
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(segment, &id, list_of(0667), 1));
	EXPECT(RSMERR_SEGID_IN_USE, rsm_memseg_export_publish(segment, &id, list_of(0666), 1));
	CHECK(id == FREE_ID);
}

const struct check publish_checks[] = {
	{ "T058", "publish: no place for the id", t058, 0 },
	{ "T059", "publish: the id before the handle", t059, 0 },
	{ "T061", "publish: a length without a list", t061, 0 },
	{ "T062", "publish: a list without a length is no list", t062, 0 },
	{ "T063", "publish: the system assigns an id", t063, 0 },
	{ "T064", "publish: assigned ids never come again", t064, 0 },
	{ "T066", "publish: reserved ids below", t066, 0 },
	{ "T067", "publish: reserved ids above", t067, 0 },
	{ "T068", "publish: ends of the free range", t068, 0 },
	{ "T069", "publish: an id that another process has", t069, 0 },
	{ "T069.uid", "publish: an id that another user has", t069_other_user, AS_ROOT },
	{ "T071", "publish: a list", t071, 0 },
	{ "T072", "publish: two entries", t072, 0 },
	{ "T073", "publish: another node", t073, 0 },
	{ "T074", "publish: modes that are none", t074, 0 },
	{ "T076", "publish: a list that cannot be read", t076, 0 },
	{ "T077", "publish: by a child", t077, 0 },
	{ "T078", "publish: by a child, with a bad list", t078, 0 },
	{ "T079", "publish: again, under the same and another id", t079, 0 },
	{ "publish.2", "publish: no handle", publish_2, 0 },
	{ "publish.4", "publish: a published segment", publish_4, 0 },
	{ "publish.7", "publish: lists too long, nodes too high", publish_7, 0 },
	{ "publish.12", "publish: bad list and id in use", publish_12, 0 },
	{ NULL, NULL, NULL, 0 },
};
