/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory that is taken back, by calls and by force: B17, and sections 1.7, 1.8, 1.10. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "segments.h"

static import_t mapped_import(rsm_memseg_id_t id, unsigned char **window)
{
	import_t import = connect_to(id, RSM_PERM_RDWR);

	*window = map_all(import, RSM_PERM_RDWR, L);
	return import;
}

static void storing_importer(int line)
{
	unsigned char *window;

	mapped_import((rsm_memseg_id_t)hear(line), &window);
	tell(line, 0);
	hear(line);
	fill(window, L, 200);
	tell(line, 0);
	hear(line);
	CHECK(is_filled(window, L, 200));
}

static void t289(void)
{
	struct peer other = start(storing_importer);
	struct pair pair;
	unsigned char *window;
	size_t i;

	make_pair(&pair);
	tell(other.line, pair.id);
	hear(other.line);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	for (i = 0; i < L; i += 256)
		NEED(load_fault(window + i) == 0);
	fill(window, L, 100);
	CHECK(is_filled(pair.memory, L, 0));
	tell(other.line, 0);
	hear(other.line);
	/* The other's stores are its own, and so are ours. */
	CHECK(is_filled(window, L, 100));
	CHECK(is_filled(pair.memory, L, 0));
	tell(other.line, 0);
	finish(&other);
}

static void t291(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_READ, L);
	CHECK(load_fault(window) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	CHECK(load_fault(window) == 0);
	CHECK(store_fault(window) == SIGSEGV);
	/* Also where nobody had looked before. */
	CHECK(store_fault(window + 2 * PS) == SIGSEGV);
}

/* Publishes FREE_ID, and ends in the way it is told. */
static void dying_exporter(int line)
{
	struct rlimit none = { 0, 0 };

	publish_as(export_memory(new_memory(L), L, 0), FREE_ID);
	tell(line, 0);
	switch (hear(line)) {
	case 0:
		_exit(0);
	case 1:
		tell(line, 0);
		pause();
		break;
	default:
		setrlimit(RLIMIT_CORE, &none);
		abort();
	}
}

static void exporter_dies(int how)
{
	struct peer exporter = start(dying_exporter);
	rsmapi_barrier_t barrier;
	unsigned char *window;
	import_t import;

	hear(exporter.line);
	import = mapped_import(FREE_ID, &window);
	init_barrier(import, &barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&barrier));
	CHECK(is_filled(window, L, 0));
	tell(exporter.line, how);
	if (how == 1) {
		hear(exporter.line);
		kill_peer(&exporter, SIGKILL);
	} else {
		reap(&exporter);
	}
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&barrier));
	fill(window, L, 1);
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(FREE_ID, RSM_PERM_READ));
	publish_as(export_memory(new_memory(L), L, 0), FREE_ID);
	EXPECT(RSM_SUCCESS, try_connect(FREE_ID, RSM_PERM_READ));
}

static void t292_exit(void)
{
	exporter_dies(0);
}

static void t292_kill(void)
{
	exporter_dies(1);
}

static void t292_crash(void)
{
	exporter_dies(2);
}

/* An exporter whose limit of locked memory is what it exports. */
static void exporter_at_limit(int line)
{
	double end = seconds() + 50;
	export_t segment;
	int code;

	/* Its predecessor is gone; the kernel may take a moment to settle the account. */
	do
		code = rsm_memseg_export_create(controller(), &segment, new_memory(L), L, 0);
	while (code == RSMERR_INSUFFICIENT_MEM && seconds() < end);
	EXPECT(RSM_SUCCESS, code);
	tell(line, 0);
	pause();
}

static void t292_limits(void)
{
	struct rlimit limit;
	int i;

	limit.rlim_cur = limit.rlim_max = L;
	NEED(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	for (i = 0; i < 3; i++) {
		struct peer exporter = start_as(DAVE, DAVE, (gid_t)-1, exporter_at_limit);

		hear(exporter.line);
		kill_peer(&exporter, SIGKILL);
	}
}

static void t293(void)
{
	struct peer exporter = start(dying_exporter);
	rsmapi_barrier_t old_barrier, new_barrier;
	import_t old, new;
	uint8_t byte = 5;

	hear(exporter.line);
	old = connect_to(FREE_ID, RSM_PERM_RDWR);
	init_barrier(old, &old_barrier);
	tell(exporter.line, 0);
	reap(&exporter);
	exporter = start(dying_exporter);
	hear(exporter.line);
	new = connect_to(FREE_ID, RSM_PERM_RDWR);
	init_barrier(new, &new_barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(new, 0, &byte, 1));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(old, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&old_barrier));
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&old_barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(old));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(new, 0, &byte, 1));
	tell(exporter.line, 0);
	reap(&exporter);
}

/* C6: what a dead segment says, be it published or bound in the library's memory. */
static void is_dead(export_t segment)
{
	rsm_memseg_id_t id = 0;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(segment, &id, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(segment, new_memory(L), 0, L));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(segment, NULL, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void t294(void)
{
	struct pair pair;
	unsigned char *window, *after;
	uint8_t byte = 0;

	make_pair_of(&pair, RSM_ALLOW_REBIND, RSM_PERM_RDWR);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	NEED(munmap(pair.memory + PS, PS) == 0);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(pair.id, RSM_PERM_READ));
	/* Memory that comes in its place is not reached. */
	after = mmap(pair.memory + PS, PS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	NEED(after == pair.memory + PS);
	fill(after, PS, 1);
	fill(window, L, 2);
	CHECK(is_filled(after, PS, 1));
	CHECK(is_filled(pair.memory, PS, 0));
	is_dead(pair.segment);
}

static void t294_bound(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = export_memory(memory, L, RSM_ALLOW_REBIND);

	NEED(munmap(memory, L) == 0);
	is_dead(segment);
}

/* C4: without write permission anywhere in the range the segment is dead. */
static void protected_read_only(void)
{
	struct pair pair;
	uint8_t byte = 0;

	make_pair_of(&pair, RSM_ALLOW_REBIND, RSM_PERM_RDWR);
	map_all(pair.import, RSM_PERM_RDWR, L);
	NEED(mprotect(pair.memory + 3 * PS, PS, PROT_READ) == 0);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	NEED(mprotect(pair.memory + 3 * PS, PS, PROT_READ | PROT_WRITE) == 0);
	is_dead(pair.segment);
	CHECK(is_filled(pair.memory, L, 0));
}

static void protected_as_before(void)
{
	struct pair pair;
	uint8_t byte = 1;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	NEED(mprotect(pair.memory, L, PROT_READ | PROT_WRITE) == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	CHECK(pair.memory[0] == 1);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
}

static void dead_events(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	NEED(munmap(pair.memory, L) == 0);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	CHECK(take_events(pair.segment) == 1);
	CHECK(take_events(pair.import) == 1);
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(pair.import, 0));
}

/* A6: what an importer does whose exporter has gone. */
static void recovery(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(pair.import, RSM_BARRIER_MODE_EXPLICIT));
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(pair.segment));
	CHECK(store_fault(window) == 0);
	EXPECT(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
	EXPECT(RSMERR_SEG_NOT_PUBLISHED, try_connect(pair.id, RSM_PERM_RDWR));
}

const struct check revocation_checks[] = {
	{ "T289", "revoked: nobody's stores are seen by anybody else", t289, 0 },
	{ "T291", "revoked: read-only stays read-only", t291, 0 },
	{ "T292.exit", "revoked: the exporter calls _exit", t292_exit, 0 },
	{ "T292.kill", "revoked: the exporter is killed", t292_kill, 0 },
	{ "T292.crash", "revoked: the exporter crashes", t292_crash, 0 },
	{ "T292.limits", "revoked: a killed exporter's limits are credited", t292_limits, AS_ROOT },
	{ "T293", "revoked: a new exporter, the old handle stays aborted", t293, 0 },
	{ "T294", "revoked: the exporter unmaps a part", t294, 0 },
	{ "T294.bound", "dead: what the handle is good for", t294_bound, 0 },
	{ "C4.lost", "revoked: the exporter may no longer write", protected_read_only, 0 },
	{ "C4.kept", "not revoked: the exporter may still read and write", protected_as_before, 0 },
	{ "C6", "dead: events", dead_events, 0 },
	{ "A6", "revoked: recovery", recovery, 0 },
	{ NULL, NULL, NULL, 0 },
};
