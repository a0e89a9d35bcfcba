/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* disconnect: B10, and section 6.5. */
#include <poll.h>
#include <signal.h>

#include "segments.h"

static void t142(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect(NULL));
}

static void t143(void)
{
	struct pair pair;
	import_t import;
	int before;

	make_pair(&pair);
	before = open_descriptors();
	import = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
	CHECK(open_descriptors() == before);
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
}

static void t144(void)
{
	struct pair pair;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSMERR_SEG_STILL_MAPPED, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
}

static void t146(void)
{
	struct pair pair;
	struct pollfd poll_fd;
	uint8_t byte = 0;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &poll_fd));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
}

static void t147(void)
{
	struct pair pair;
	struct pollfd poll_fd;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &poll_fd));
	EXPECT(RSMERR_SEG_STILL_MAPPED, rsm_memseg_import_disconnect(pair.import));
}

static void t148(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
}

static void importer(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);

	map_all(import, RSM_PERM_RDWR, L);
	tell(line, 0);
	hear(line);
}

static void t149(void)
{
	struct peer peer = start(importer);
	struct pair pair;
	uint8_t byte = 3;

	make_pair(&pair);
	tell(peer.line, pair.id);
	hear(peer.line);
	kill_peer(&peer, SIGKILL);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	CHECK(pair.memory[0] == 3);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
}

/* D-67: the poll reference is looked at before the implicit mapping goes. */
static void disconnect_3(void)
{
	struct pair pair;
	struct pollfd poll_fd;
	void *address = NULL;
	uint8_t byte = 0;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &poll_fd));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSMERR_SEG_ALREADY_MAPPED,
	    rsm_memseg_import_map(pair.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
}

static void disconnect_aborted(void)
{
	struct pair pair;
	import_t implicit;
	rsmapi_barrier_t barrier;
	uint8_t byte = 0;

	make_pair(&pair);
	implicit = connect_to(pair.id, RSM_PERM_RDWR);
	init_barrier(implicit, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get8(implicit, 0, &byte, 1));
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	EXPECT(RSMERR_SEG_STILL_MAPPED, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(implicit));
}

const struct check disconnect_checks[] = {
	{ "T142", "disconnect: no handle", t142, 0 },
	{ "T143", "disconnect: the descriptor goes, the segment stays", t143, 0 },
	{ "T144", "disconnect: mapped", t144, 0 },
	{ "T146", "disconnect: with a poll reference", t146, 0 },
	{ "T147", "disconnect: the mapping before the poll reference", t147, 0 },
	{ "T148", "disconnect: aborted", t148, 0 },
	{ "T149", "disconnect: the importer is killed", t149, 0 },
	{ "import_disconnect.3", "disconnect: implicitly mapped, with a poll reference", disconnect_3, 0 },
	{ "1.8.disconnect", "disconnect: aborted and mapped, both ways", disconnect_aborted, 0 },
	{ NULL, NULL, NULL, 0 },
};
