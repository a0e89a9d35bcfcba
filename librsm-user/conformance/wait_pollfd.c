/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* signal_wait_pollfd: B16, and section 6.10. */
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "segments.h"
#include "timer.h"

/* P, I, and a poll descriptor of P in fds[0]; a pipe in fds[1]. */
struct scene {
	struct pair pair;
	struct pollfd fds[2];
	int pipe_in;
};

static void make_scene(struct scene *scene)
{
	int ends[2];

	make_pair(&scene->pair);
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(scene->pair.segment, &scene->fds[0]));
	NEED(pipe(ends) == 0);
	scene->fds[1].fd = ends[0];
	scene->fds[1].events = POLLIN;
	scene->pipe_in = ends[1];
	scene->fds[0].revents = scene->fds[1].revents = 0x55;
}

static void post(struct scene *scene)
{
	REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(scene->pair.import, 0));
}

static void t279(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 1, -1, &count));
	CHECK(count == 1);
	CHECK(scene.fds[0].revents == POLLRDNORM);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(scene.fds, 1, 0, &count));
	CHECK(count == 0);
	CHECK(take_events(scene.pair.segment) == 0);
}

static void t281(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	NEED(write(scene.pipe_in, "x", 1) == 1);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 1);
	CHECK(scene.fds[0].revents == 0);
	CHECK(scene.fds[1].revents == POLLIN);
	/* Both: one event is taken, the pipe is left alone. */
	post(&scene);
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 2);
	CHECK(scene.fds[0].revents == POLLRDNORM && scene.fds[1].revents == POLLIN);
	CHECK(take_events(scene.pair.segment) == 1);
}

static void t282(void)
{
	struct scene scene;
	int count = 77;
	double start;

	make_scene(&scene);
	start = seconds();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(scene.fds, 2, 100, &count));
	CHECK(seconds() - start >= 0.1);
	CHECK(count == 0);
}

static void t283(void)
{
	struct scene scene;

	make_scene(&scene);
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 1, 0, NULL));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(scene.fds, 1, 0, NULL));
}

static void t284(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	EXPECT(RSM_SUCCESS, rsm_memseg_release_pollfd(scene.pair.segment));
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 1, 0, &count));
	CHECK(count == 1);
	CHECK(take_events(scene.pair.segment) == 1);
}

static void t286(void)
{
	struct pair pairs[10];
	struct pollfd fds[10];
	int i, count = 77;

	for (i = 0; i < 10; i++) {
		make_pair(&pairs[i]);
		REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(pairs[i].segment, &fds[i]));
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(pairs[i].import, 0));
	}
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(fds, 10, -1, &count));
	CHECK(count == 10);
	for (i = 0; i < 10; i++) {
		CHECK(fds[i].revents == POLLRDNORM);
		CHECK(take_events(pairs[i].segment) == 0);
	}
}

static void t287(void)
{
	struct pollfd fds[65];
	int i, count = 77;

	for (i = 0; i < 65; i++) {
		fds[i].fd = -1;
		fds[i].events = POLLIN;
	}
	limit_descriptors(64);
	EXPECT(RSMERR_BAD_ARGS_ERRORS, rsm_intr_signal_wait_pollfd(fds, 65, 0, &count));
	CHECK(count == 0);
}

static void t288(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	start_interrupting();
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 0);
	stop_interrupting();
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
}

static void wait_pollfd_2(void)
{
	unsigned char *hole = new_memory(PS);
	int count = 77;

	NEED(munmap(hole, PS) == 0);
	EXPECT(RSMERR_BAD_ADDR, rsm_intr_signal_wait_pollfd((struct pollfd *)(void *)hole, 1, 0, &count));
	CHECK(count == 0);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(NULL, 0, 0, &count));
}

static void listed_twice(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	scene.fds[1] = scene.fds[0];
	post(&scene);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 1);
	CHECK((scene.fds[0].revents == POLLRDNORM && scene.fds[1].revents == 0) ||
	    (scene.fds[0].revents == 0 && scene.fds[1].revents == POLLRDNORM));
	CHECK(take_events(scene.pair.segment) == 0);
}

static void of_import(void)
{
	struct pair pair;
	struct pollfd poll_fd;
	int count = 77;

	make_pair(&pair);
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(pair.import, &poll_fd));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(&poll_fd, 1, -1, &count));
	CHECK(count == 1);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait_pollfd(&poll_fd, 1, 100, &count));
}

static void odd_descriptors(void)
{
	struct scene scene;
	int count = 77;

	make_scene(&scene);
	post(&scene);
	scene.fds[1].fd = -1;
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 1);
	/* As poll() has it: a descriptor that is not open is an event. */
	scene.fds[1].fd = 1000;
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait_pollfd(scene.fds, 2, -1, &count));
	CHECK(count == 1);
	CHECK(scene.fds[1].revents == POLLNVAL);
}

const struct check wait_pollfd_checks[] = {
	{ "T279", "signal_wait_pollfd: takes one event", t279, 0 },
	{ "T281", "signal_wait_pollfd: other descriptors", t281, 0 },
	{ "T282", "signal_wait_pollfd: nothing in time", t282, 0 },
	{ "T283", "signal_wait_pollfd: no place for the number", t283, 0 },
	{ "T284", "signal_wait_pollfd: after release", t284, 0 },
	{ "T286", "signal_wait_pollfd: ten segments", t286, 0 },
	{ "T287", "signal_wait_pollfd: too many entries", t287, 0 },
	{ "T288", "signal_wait_pollfd: interrupted", t288, 0 },
	{ "signal_wait_pollfd.2", "signal_wait_pollfd: no entries", wait_pollfd_2, 0 },
	{ "signal_wait_pollfd.twice", "signal_wait_pollfd: a segment listed twice", listed_twice, 0 },
	{ "signal_wait_pollfd.import", "signal_wait_pollfd: an import, aborted", of_import, 0 },
	{ "signal_wait_pollfd.poll", "signal_wait_pollfd: entries without a descriptor", odd_descriptors, 0 },
	{ NULL, NULL, NULL, 0 },
};
