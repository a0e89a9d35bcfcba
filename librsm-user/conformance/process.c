/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* fork, exec and the end of importers: B17, and section 1.10. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "segments.h"

/* What the parent has when it forks. */
static struct pair inherited;
static unsigned char *window;

static void writing_child(int line)
{
	fill(inherited.memory, L, 100);
	tell(line, 0);
	hear(line);
	CHECK(is_filled(inherited.memory, L, 100));
}

static void t296(void)
{
	struct peer child;
	int round;

	make_pair(&inherited);
	window = map_all(inherited.import, RSM_PERM_READ, L);
	for (round = 1; round <= 3; round++) {
		child = start(writing_child);
		hear(child.line);
		fill(inherited.memory, L, (unsigned)round);
		CHECK(is_filled(window, L, (unsigned)round));
		tell(child.line, 0);
		finish(&child);
		CHECK(is_filled(window, L, (unsigned)round));
		fill(inherited.memory, L, (unsigned)round + 50);
		CHECK(is_filled(window, L, (unsigned)round + 50));
	}
}

static void do_nothing(int line)
{
	(void)line;
}

static void t297(void)
{
	struct peer child;
	uint8_t byte = 9;

	make_pair(&inherited);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&inherited.barrier));
	child = start(do_nothing);
	finish(&child);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_close_barrier(&inherited.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(inherited.import, 0, &byte, 1));
	CHECK(inherited.memory[0] == 9);
	EXPECT(RSM_SUCCESS, try_connect(inherited.id, RSM_PERM_RDWR));
}

/* Publishes, forks a child that stays, and ends. */
static void exporter_with_heir(int line)
{
	pid_t heir;

	publish_as(export_memory(new_memory(L), L, 0), FREE_ID);
	heir = fork();
	NEED(heir >= 0);
	if (heir == 0)
		for (;;)
			pause();
	tell(line, heir);
	hear(line);
}

static void t298(void)
{
	struct peer exporter = start(exporter_with_heir);
	rsmapi_barrier_t barrier;
	uint8_t byte = 0;
	import_t import;
	pid_t heir;

	heir = (pid_t)hear(exporter.line);
	import = connect_to(FREE_ID, RSM_PERM_RDWR);
	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(import, 0, &byte, 1));
	tell(exporter.line, 0);
	finish(&exporter);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(import, 0, &byte, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_READ));
	publish_as(export_memory(new_memory(L), L, 0), FREE_ID);
	CHECK(kill(heir, SIGKILL) == 0);
}

static void importing_child(int line)
{
	uint8_t byte = 7;

	CHECK(is_filled(window, L, 0));
	window[1] = 42;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(inherited.import, 2, &byte, 1));
	tell(line, 0);
	hear(line);
	/* Taken back: not even what was stored before can be seen. */
	CHECK(!is_filled(window, L, 5));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(inherited.import, 2, &byte, 1));
	fill(window, L, 6);
	CHECK(is_filled(window, L, 6));
}

static void t299(void)
{
	struct peer child;

	make_pair(&inherited);
	window = map_all(inherited.import, RSM_PERM_RDWR, L);
	child = start(importing_child);
	hear(child.line);
	CHECK(inherited.memory[1] == 42 && inherited.memory[2] == 7);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(inherited.segment));
	fill(inherited.memory, L, 5);
	tell(child.line, 0);
	finish(&child);
	CHECK(is_filled(inherited.memory, L, 5));
	CHECK(!is_filled(window, L, 6));
}

static export_t bound, rebindable;

static void child_of_creator(int line)
{
	rsm_memseg_id_t id = 0;

	(void)line;
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_publish(bound, &id, NULL, 0));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_unpublish(inherited.segment));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_republish(inherited.segment, NULL, 0));
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(bound, new_memory(L), 0, L));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_rebind(rebindable, new_memory(L), 0, L));
}

/* Nothing that the child tries changes anything. */
static void inherit(void (*in_child)(int line))
{
	struct peer child;

	make_pair(&inherited);
	bound = export_memory(new_memory(L), L, 0);
	rebindable = export_memory(new_memory(L), L, RSM_ALLOW_REBIND);
	child = start(in_child);
	finish(&child);
	publish(bound);
	EXPECT(RSM_SUCCESS, try_connect(inherited.id, RSM_PERM_RDWR));
}

static void t301(void)
{
	inherit(child_of_creator);
}

/* What the library knows by itself comes before who is asking. */
static void order_in_child(int line)
{
	static rsmapi_access_entry_t many[65];
	rsm_memseg_id_t id = 0, reserved = 1;

	(void)line;
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(inherited.segment, &id, NULL, 0));
	EXPECT(RSMERR_SEG_ALREADY_PUBLISHED, rsm_memseg_export_publish(inherited.segment, &reserved, NULL, 0));
	EXPECT(RSMERR_RESERVED_SEGID, rsm_memseg_export_publish(bound, &reserved, NULL, 0));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_publish(bound, &id, NULL, 1));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_publish(bound, &id, many, 65));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(bound));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(bound, NULL, 0));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_republish(bound, NULL, 1));
	EXPECT(RSMERR_BAD_ACL, rsm_memseg_export_republish(inherited.segment, NULL, 1));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_republish(inherited.segment, many, 65));
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_export_rebind(rebindable, NULL, 0, L));
	EXPECT(RSMERR_NOT_CREATOR, rsm_memseg_export_rebind(rebindable, new_memory(L), 0, PS));
	EXPECT(RSMERR_REBIND_NOT_ALLOWED, rsm_memseg_export_rebind(bound, new_memory(L) + 1, 0, PS));
}

static void child_order(void)
{
	inherit(order_in_child);
}

static void child_of_its_own(int line)
{
	char name[] = "loopback";
	controller_t ctl = NULL;
	struct pair pair;
	uint8_t byte = 3;

	(void)line;
	EXPECT(RSM_SUCCESS, rsm_get_controller(name, &ctl));
	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	CHECK(pair.memory[0] == 3);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, -1));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_release_controller(ctl));
}

static void t302(void)
{
	struct peer child;

	make_pair(&inherited);
	child = start(child_of_its_own);
	finish(&child);
	EXPECT(RSM_SUCCESS, try_connect(inherited.id, RSM_PERM_RDWR));
}

/* ---------------------------------------------------------------- exec */

/* A descriptor that exec does not close, for a stage to answer on. */
static const char *line_for_stage(int line)
{
	static char text[16];

	snprintf(text, sizeof(text), "%d", fcntl(line, F_DUPFD, 400));
	return text;
}

static void after_exec(const char *argument)
{
	int line = atoi(argument);

	tell(line, 0);
	/* What the descriptors of the segments were before. */
	for (;;) {
		int fd = (int)hear(line);

		if (fd < 0)
			break;
		CHECK(fcntl(fd, F_GETFD) < 0);
	}
}

static void execing_importer(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);
	struct pollfd poll_fd;

	map_all(import, RSM_PERM_RDWR, L);
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(import, &poll_fd));
	tell(line, poll_fd.fd);
	run_again("after_exec", line_for_stage(line));
}

static void t303(void)
{
	struct peer importer = start(execing_importer);
	struct pair pair;
	long long fd;

	make_pair(&pair);
	tell(importer.line, pair.id);
	fd = hear(importer.line);
	hear(importer.line);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	tell(importer.line, fd);
	tell(importer.line, -1);
	finish(&importer);
	CHECK(take_events(pair.import) == 1);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
}

static void execing_exporter(int line)
{
	export_t segment = export_memory(new_memory(L), L, 0);
	struct pollfd poll_fd;

	publish_as(segment, FREE_ID);
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(segment, &poll_fd));
	tell(line, poll_fd.fd);
	hear(line);
	run_again("after_exec", line_for_stage(line));
}

static void exporter_execs(void)
{
	struct peer exporter = start(execing_exporter);
	rsmapi_barrier_t barrier;
	import_t import;
	long long fd;

	fd = hear(exporter.line);
	import = connect_to(FREE_ID, RSM_PERM_RDWR);
	window = map_all(import, RSM_PERM_RDWR, L);
	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&barrier));
	tell(exporter.line, 0);
	hear(exporter.line);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&barrier));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_READ));
	publish_as(export_memory(new_memory(L), L, 0), FREE_ID);
	CHECK(load_fault(window) == 0);
	tell(exporter.line, fd);
	tell(exporter.line, -1);
	finish(&exporter);
}

/* ---------------------------------------------------------------- importers */

static void killed_importer(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);

	fill(map_all(import, RSM_PERM_RDWR, L), L, 1);
	tell(line, 0);
	for (;;)
		pause();
}

static void t304(void)
{
	struct peer importers[4];
	struct pair pair;
	int i;

	for (i = 0; i < 4; i++)
		importers[i] = start(killed_importer);
	make_pair(&pair);
	for (i = 0; i < 4; i++) {
		tell(importers[i].line, pair.id);
		hear(importers[i].line);
	}
	for (i = 0; i < 4; i++)
		NEED(kill(importers[i].pid, SIGKILL) == 0);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	for (i = 0; i < 4; i++)
		reap(&importers[i]);
	CHECK(is_filled(pair.memory, L, 1));
	CHECK(take_events(pair.import) == 1);
}

static void stopped_importer(void)
{
	struct peer importer = start(killed_importer);
	struct pair pair;

	make_pair(&pair);
	tell(importer.line, pair.id);
	hear(importer.line);
	/* It does not answer: nobody waits for it. */
	NEED(kill(importer.pid, SIGSTOP) == 0);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	kill_peer(&importer, SIGKILL);
}

/* C8: what a child may do with handles that it has inherited touches only itself. */
static void leaving_child(int line)
{
	(void)line;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(inherited.import));
	CHECK(load_fault(window) == SIGSEGV);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(inherited.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(inherited.segment));
}

static void child_leaves(void)
{
	struct peer child;
	uint8_t byte = 4;

	make_pair(&inherited);
	window = map_all(inherited.import, RSM_PERM_RDWR, L);
	child = start(leaving_child);
	finish(&child);
	CHECK(is_filled(window, L, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(inherited.import, 0, &byte, 1));
	CHECK(inherited.memory[0] == 4);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(inherited.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(inherited.segment, 0));
}

const struct check process_checks[] = {
	{ "T296", "fork: the exported memory stays the parent's", t296, 0 },
	{ "T297", "fork: the child ends", t297, 0 },
	{ "T298", "fork: the parent ends, the child lives", t298, 0 },
	{ "T299", "fork: an importer's child", t299, 0 },
	{ "T301", "fork: a child is no creator", t301, 0 },
	{ "fork.order", "fork: in which order a child is refused", child_order, 0 },
	{ "T302", "fork: segments of the child's own", t302, 0 },
	{ "C8", "fork: a child unmaps, disconnects, destroys", child_leaves, 0 },
	{ "T303", "exec: of an importer", t303, 0 },
	{ "1.10.exec", "exec: of an exporter", exporter_execs, 0 },
	{ "T304", "importers are killed", t304, 0 },
	{ "1.10.stop", "an importer is stopped", stopped_importer, 0 },
	{ NULL, NULL, NULL, 0 },
};

const struct stage process_stages[] = {
	{ "after_exec", after_exec },
	{ NULL, NULL },
};
