/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* unpublish and destroy: B6, and section 6.4. */
#include <poll.h>
#include <sys/resource.h>

#include "segments.h"

static export_t new_export(void)
{
	return export_memory(new_memory(L), L, 0);
}

static void t081(void)
{
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(new_export()));
}

static void t082(void)
{
	export_t segment = new_export();

	publish_as(segment, FREE_ID);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_READ));
	publish_as(new_export(), FREE_ID);
}

/* An importer in another process: hears the id, opens a barrier, closes it when told. */
static void importer_with_open_barrier(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);
	rsmapi_barrier_t barrier;

	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&barrier));
	tell(line, 0);
	hear(line);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
}

static void t083(void)
{
	struct peer importer = start(importer_with_open_barrier);
	struct pair pair;

	make_pair(&pair);
	tell(importer.line, pair.id);
	hear(importer.line);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	tell(importer.line, 0);
	finish(&importer);
}

static void t084(void)
{
	export_t segment = new_export();

	publish(segment);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(segment));
}

static void t086(void)
{
	export_t segment = new_export();
	struct pollfd poll_fd;

	publish(segment);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
}

static void t087(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	CHECK(is_filled(pair.memory, L, 0));
	fill(window, L, 7);
	CHECK(is_filled(pair.memory, L, 0));
	fill(pair.memory, L, 8);
	CHECK(is_filled(pair.memory, L, 8));
	/* The memory is still exported: it can be published again. */
	CHECK(is_filled(map_all(connect_to(publish(pair.segment), RSM_PERM_READ), RSM_PERM_READ, L), L, 8));
}

static void t088(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(NULL));
}

static void t089(void)
{
	unsigned char *memory = new_memory(L);
	struct rlimit limit;
	int i;

	limit.rlim_cur = limit.rlim_max = L;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	become(DAVE, DAVE, (gid_t)-1);
	for (i = 0; i < 3; i++) {
		export_t segment = export_memory(memory, L, 0);

		fill(memory, L, (unsigned)i);
		publish(segment);
		EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
		CHECK(is_filled(memory, L, (unsigned)i));
	}
	fill(memory, L, 9);
}

static void t091(void)
{
	struct pair pair;
	struct pollfd poll_fd;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.segment, &poll_fd));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, 0));
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	publish(pair.segment);
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
}

static void t092(void)
{
	export_t segment = new_export();
	struct pollfd poll_fd;

	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static export_t inherited;

static void destroying_child(int line)
{
	(void)line;
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(inherited));
}

static void t093(void)
{
	struct pair pair;
	struct peer child;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	inherited = pair.segment;
	child = start(destroying_child);
	finish(&child);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
}

static void idle_child(int line)
{
	tell(line, 0);
	hear(line);
}

static void t094(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = export_memory(memory, L, 0);
	rsmapi_barrier_t barrier;
	struct peer child;
	import_t import;

	publish_as(segment, FREE_ID);
	import = connect_to(FREE_ID, RSM_PERM_RDWR);
	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&barrier));
	child = start(idle_child);
	hear(child.line);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&barrier));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_READ));
	publish_as(new_export(), FREE_ID);
	tell(child.line, 0);
	finish(&child);
	EXPECT(RSM_SUCCESS, try_connect(FREE_ID, RSM_PERM_READ));
}

static void unpublish_1(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(NULL));
}

static void destroy_published(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(pair.id, RSM_PERM_READ));
	CHECK(is_filled(pair.memory, L, 0));
}

const struct check unpublish_checks[] = {
	{ "T081", "unpublish: not published", t081, 0 },
	{ "T082", "unpublish: no new connections, the id is free", t082, 0 },
	{ "T083", "unpublish: importers are cut off when it returns", t083, 0 },
	{ "T084", "unpublish: twice", t084, 0 },
	{ "T086", "unpublish: with a poll reference", t086, 0 },
	{ "T087", "unpublish: the memory is the exporter's alone", t087, 0 },
	{ "T088", "destroy: no handle", t088, 0 },
	{ "T089", "destroy: locked memory is credited, the memory stays", t089, AS_ROOT },
	{ "T091", "destroy: with a poll reference", t091, 0 },
	{ "T092", "destroy: poll references nest", t092, 0 },
	{ "T093", "destroy: by a child", t093, 0 },
	{ "T094", "destroy: while a child has the descriptor", t094, 0 },
	{ "unpublish.1", "unpublish: no handle", unpublish_1, 0 },
	{ "destroy.published", "destroy: of a published segment unpublishes", destroy_published, 0 },
	{ NULL, NULL, NULL, 0 },
};
