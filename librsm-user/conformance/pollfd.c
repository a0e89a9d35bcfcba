/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Poll descriptors: B16, and section 6.10. */
#include <poll.h>

#include "segments.h"

static export_t new_export(void)
{
	return export_memory(new_memory(L), L, 0);
}

static void t271(void)
{
	struct pollfd poll_fd;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(NULL, &poll_fd));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(NULL, NULL));
}

static void t272(void)
{
	export_t segment = new_export();

	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_get_pollfd(segment, NULL));
	/* No reference was taken. */
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void poll_fd_is_set(void *handle)
{
	struct pollfd poll_fd = { -1, 0, 0x55 };

	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(handle, &poll_fd));
	CHECK(poll_fd.fd >= 0);
	CHECK(poll_fd.events == POLLRDNORM);
	CHECK(poll_fd.revents == 0x55);
}

static void t273(void)
{
	struct pair pair;

	poll_fd_is_set(new_export());
	make_pair(&pair);
	poll_fd_is_set(pair.segment);
	poll_fd_is_set(pair.import);
}

static void t274(void)
{
	export_t segment = new_export();
	struct pollfd one, two;

	publish(segment);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &one));
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &two));
	CHECK(one.fd == two.fd);
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void t276(void)
{
	export_t segment = new_export();
	struct pollfd poll_fd;

	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	/* The count has not gone below nothing. */
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	EXPECT(RSMERR_POLLFD_IN_USE, rsm_memseg_export_destroy(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void t277(void)
{
	struct pollfd poll_fd, every;
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.segment, &poll_fd));
	CHECK(poll(&poll_fd, 1, 0) == 0);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	CHECK(poll(&poll_fd, 1, 0) == 1);
	CHECK(poll(&poll_fd, 1, 0) == 1);
	CHECK(poll_fd.revents == POLLRDNORM);
	every = poll_fd;
	every.events = POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;
	CHECK(poll(&every, 1, 0) == 1);
	CHECK(every.revents == POLLRDNORM);
	CHECK(take_events(pair.segment) == 1);
	CHECK(poll(&poll_fd, 1, 0) == 0);
}

static void t278(void)
{
	struct pollfd poll_fd;
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	CHECK(poll(&poll_fd, 1, 0) == 0);
	CHECK(poll_fd.revents == 0);
}

static void release_1(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_release_pollfd(NULL));
}

const struct check pollfd_checks[] = {
	{ "T271", "get_pollfd: no handle", t271, 0 },
	{ "T272", "get_pollfd: no place for the descriptor", t272, 0 },
	{ "T273", "get_pollfd: in any state", t273, 0 },
	{ "T274", "get_pollfd: references count", t274, 0 },
	{ "T276", "release_pollfd: without a reference", t276, 0 },
	{ "T277", "poll: shows events, takes none", t277, 0 },
	{ "T278", "poll: the end of the connection shows nothing", t278, 0 },
	{ "release_pollfd.1", "release_pollfd: no handle", release_1, 0 },
	{ NULL, NULL, NULL, 0 },
};
