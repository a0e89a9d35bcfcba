/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* connect, but for access rights: B9, and section 6.5. */
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "segments.h"

static export_t new_export(void)
{
	return export_memory(new_memory(L), L, 0);
}

/* A connect that must fail with this code, and leave no handle. */
static void refused(int code, rsm_node_id_t node, rsm_memseg_id_t id, rsm_permission_t rights)
{
	import_t import = (import_t)(uintptr_t)1;

	EXPECT(code, rsm_memseg_import_connect(controller(), node, id, rights, &import));
	CHECK(import == NULL);
}

static void t122(void)
{
	rsm_memseg_id_t id = publish(new_export());
	import_t import = NULL;

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_import_connect(NULL, local_node(), id, RSM_PERM_READ, &import));
}

static void t123(void)
{
	rsm_memseg_id_t id = publish(new_export());

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_connect(controller(), local_node(), id, RSM_PERM_READ, NULL));
}

static void t124(void)
{
	rsm_memseg_id_t id = publish(new_export());

	refused(RSMERR_PERM_DENIED, local_node(), id, 0601);
	refused(RSMERR_PERM_DENIED, local_node(), id, 0777);
	refused(RSMERR_PERM_DENIED, local_node(), id, 04000);
	/* Before the node, and before the id. */
	refused(RSMERR_PERM_DENIED, local_node() + 1, id, 0777);
	refused(RSMERR_PERM_DENIED, local_node(), 1, 0777);
}

static void t126(void)
{
	refused(RSMERR_SEG_NOT_PUBLISHED, local_node(), 0x654321, RSM_PERM_READ);
	refused(RSMERR_SEG_NOT_PUBLISHED, local_node(), 0, RSM_PERM_READ);
	refused(RSMERR_SEG_NOT_PUBLISHED, local_node(), 1, RSM_PERM_READ);
}

static void t127(void)
{
	export_t segment = new_export();

	refused(RSMERR_SEG_NOT_PUBLISHED, local_node(), FREE_ID, RSM_PERM_READ);
	publish_as(segment, FREE_ID);
	EXPECT(RSM_SUCCESS, try_connect(FREE_ID, RSM_PERM_READ));
}

static void t128(void)
{
	rsm_memseg_id_t id = publish(new_export());
	import_t reader = connect_to(id, RSM_PERM_READ), writer = connect_to(id, RSM_PERM_WRITE);
	import_t both = connect_to(id, RSM_PERM_RDWR);

	CHECK(reader != writer && writer != both && both != reader);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(reader));
	map_all(both, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(writer));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(both));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(both));
}

static void t129(void)
{
	EXPECT(RSM_SUCCESS, try_connect(publish(new_export()), RSM_PERM_RDWR));
}

static volatile int stop;

static void *connect_and_close(void *result)
{
	while (!stop) {
		import_t import = NULL;
		int code = rsm_memseg_import_connect(controller(), local_node(), FREE_ID, RSM_PERM_RDWR, &import);

		if (code == RSM_SUCCESS)
			code = rsm_memseg_import_disconnect(import);
		if (code != RSM_SUCCESS && code != RSMERR_SEG_NOT_PUBLISHED && code != RSMERR_INTERRUPTED)
			*(int *)result = code;
	}
	return NULL;
}

static void t141(void)
{
	long i, count = rounds(100000, 1000);
	export_t segment = new_export();
	int odd = RSM_SUCCESS, before;
	pthread_t connector;

	local_node();
	before = open_descriptors();
	NEED(pthread_create(&connector, NULL, connect_and_close, &odd) == 0);
	for (i = 0; i < count; i++) {
		publish_as(segment, FREE_ID);
		REQUIRE(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	}
	stop = 1;
	NEED(pthread_join(connector, NULL) == 0);
	EXPECT(RSM_SUCCESS, odd);
	CHECK(open_descriptors() == before);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void connect_5(void)
{
	rsm_memseg_id_t id = publish(new_export());

	local_node();
	limit_descriptors(open_descriptors());
	while (dup(1) >= 0)
		;
	refused(RSMERR_INSUFFICIENT_RESOURCES, local_node(), id, RSM_PERM_READ);
	/* Rights that are none come first, whatever the driver finds comes later. */
	refused(RSMERR_PERM_DENIED, local_node(), id, 0700);
	refused(RSMERR_INSUFFICIENT_RESOURCES, local_node() + 1, id, RSM_PERM_READ);
	refused(RSMERR_INSUFFICIENT_RESOURCES, local_node(), FREE_ID, RSM_PERM_READ);
	limit_descriptors(256);
	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_READ));
}

static void connect_7(void)
{
	rsm_memseg_id_t id = publish(new_export());

	refused(RSMERR_CTLR_NOT_PRESENT, local_node() + 1, id, RSM_PERM_READ);
	refused(RSMERR_CTLR_NOT_PRESENT, 0xFFFFFFFFU, id, RSM_PERM_READ);
	/* Before the id. */
	refused(RSMERR_CTLR_NOT_PRESENT, local_node() + 1, 1, RSM_PERM_READ);
}

static void connect_effects(void)
{
	struct pair pair;
	rsm_barrier_mode_t mode = RSM_BARRIER_MODE_EXPLICIT;
	import_t import;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	import = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(import, &mode));
	CHECK(mode == RSM_BARRIER_MODE_IMPLICIT);
	EXPECT(RSMERR_SEG_NOT_MAPPED, rsm_memseg_import_unmap(import));
	CHECK(take_events(import) == 0);
	CHECK(take_events(pair.segment) == 0);
}

const struct check connect_checks[] = {
	{ "T122", "connect: no controller", t122, 0 },
	{ "T123", "connect: no place for the handle", t123, 0 },
	{ "T124", "connect: rights that are none", t124, 0 },
	{ "T126", "connect: unknown and reserved ids", t126, 0 },
	{ "T127", "connect: an id of the future", t127, 0 },
	{ "T128", "connect: independent handles", t128, 0 },
	{ "T129", "connect: to a segment of one's own", t129, 0 },
	{ "T141", "connect: against unpublish", t141, 0 },
	{ "import_connect.5", "connect: no descriptor left", connect_5, 0 },
	{ "import_connect.7", "connect: another node", connect_7, 0 },
	{ "import_connect.effects", "connect: implicit mode, no mapping, no events", connect_effects, 0 },
	{ NULL, NULL, NULL, 0 },
};
