/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals: B15, and section 6.10. */
#include <pthread.h>
#include <stdint.h>

#include "segments.h"
#include "timer.h"

static export_t new_export(void)
{
	return export_memory(new_memory(L), L, 0);
}

static void t251(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(NULL, -1));
}

static void t252(void)
{
	export_t segment = new_export();
	double start;

	publish(segment);
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(segment, 0));
	start = seconds();
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(segment, 100));
	CHECK(seconds() - start >= 0.1);
}

static void t253(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, 1000));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.segment, 0));
	CHECK(take_events(pair.import) == 0);
}

static void t254(void)
{
	struct pair pair;
	int i;

	make_pair(&pair);
	for (i = 0; i < 3; i++)
		EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	for (i = 0; i < 3; i++)
		EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.segment, 0));
}

static void counting_importer(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_READ);

	tell(line, 0);
	hear(line);
	CHECK(take_events(import) == 1);
}

static void t256(void)
{
	struct peer importers[3];
	import_t here, too;
	export_t segment;
	rsm_memseg_id_t id;
	int i;

	for (i = 0; i < 3; i++)
		importers[i] = start(counting_importer);
	segment = new_export();
	id = publish(segment);
	for (i = 0; i < 3; i++) {
		tell(importers[i].line, id);
		hear(importers[i].line);
	}
	here = connect_to(id, RSM_PERM_READ);
	too = connect_to(id, RSM_PERM_NONE);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	for (i = 0; i < 3; i++) {
		tell(importers[i].line, 0);
		finish(&importers[i]);
	}
	CHECK(take_events(here) == 1);
	CHECK(take_events(too) == 1);
	CHECK(take_events(segment) == 0);
}

static void t257(void)
{
	export_t segment = new_export();
	rsm_memseg_id_t id = publish(segment);

	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	CHECK(take_events(connect_to(id, RSM_PERM_READ)) == 0);
}

static void t258(void)
{
	export_t segment = new_export();

	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	CHECK(take_events(segment) == 0);
}

static void t259(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, -1));
}

struct waiter {
	pthread_t thread;
	void *handle;
	int timeout;
	volatile pid_t id;	/* 0 until it begins to wait */
	volatile int code;	/* -1 while it waits */
};

static void *wait_in_thread(void *argument)
{
	struct waiter *waiter = argument;

	waiter->id = thread_id();
	waiter->code = rsm_intr_signal_wait(waiter->handle, waiter->timeout);
	return NULL;
}

static void start_waiting(struct waiter *waiter, void *handle, int timeout)
{
	waiter->handle = handle;
	waiter->timeout = timeout;
	waiter->id = 0;
	waiter->code = -1;
	NEED(pthread_create(&waiter->thread, NULL, wait_in_thread, waiter) == 0);
	while (waiter->id == 0)
		sleep_ms(1);
	wait_until_asleep(waiter->id);
}

static void t261(void)
{
	struct waiter one, two;
	struct pair pair;
	int timeout = 700;

	make_pair(&pair);
	for (;;) {
		start_waiting(&one, pair.segment, timeout);
		start_waiting(&two, pair.segment, timeout);
		EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
		NEED(pthread_join(one.thread, NULL) == 0 && pthread_join(two.thread, NULL) == 0);
		if (one.code == RSM_SUCCESS || two.code == RSM_SUCCESS || timeout > 20000)
			break;
		/* Neither waited any more when it was posted? Then it is there, and they wait longer. */
		CHECK(take_events(pair.segment) == 1);
		timeout *= 3;
	}
	CHECK((one.code == RSM_SUCCESS && two.code == RSMERR_TIMEOUT) ||
	    (one.code == RSMERR_TIMEOUT && two.code == RSM_SUCCESS));
}

static void t262(void)
{
	struct waiter one, two;
	struct pair pair;

	make_pair(&pair);
	start_waiting(&one, pair.segment, -1);
	start_waiting(&two, pair.segment, -1);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	while (one.code < 0 && two.code < 0)
		sleep_ms(1);
	wait_until_asleep(one.code < 0 ? one.id : two.id);
	CHECK((one.code == RSM_SUCCESS && two.code == -1) || (one.code == -1 && two.code == RSM_SUCCESS));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	NEED(pthread_join(one.thread, NULL) == 0 && pthread_join(two.thread, NULL) == 0);
	EXPECT(RSM_SUCCESS, one.code);
	EXPECT(RSM_SUCCESS, two.code);
}

static void t263(void)
{
	struct pair pair;

	make_pair(&pair);
	start_interrupting();
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.segment, -1));
	EXPECT(RSMERR_INTERRUPTED, rsm_intr_signal_wait(pair.segment, 600000));
	stop_interrupting();
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, -1));
}

static void t264(void)
{
	struct waiter waiter;
	struct pair pair;
	double start;

	make_pair(&pair);
	start = seconds();
	start_waiting(&waiter, pair.import, 700);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	NEED(pthread_join(waiter.thread, NULL) == 0);
	EXPECT(RSMERR_TIMEOUT, waiter.code);
	CHECK(seconds() - start >= 0.7);
}

static void other_publisher(int line)
{
	export_t segment = new_export();

	hear(line);
	publish_as(segment, FREE_ID);
	tell(line, 0);
	hear(line);
	CHECK(take_events(segment) == 0);
}

static void t266(void)
{
	struct peer other = start(other_publisher);
	export_t segment = new_export();
	import_t import;

	publish_as(segment, FREE_ID);
	import = connect_to(FREE_ID, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(import, 0));
	tell(other.line, 0);
	hear(other.line);
	EXPECT(RSMERR_CONN_ABORTED, rsm_intr_signal_post(import, 0));
	tell(other.line, 0);
	finish(&other);
	CHECK(take_events(segment) == 0);
}

static void t267(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	publish(pair.segment);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.segment, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.segment, 0));
}

static void t268(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(pair.import, 0));
	EXPECT(RSMERR_TIMEOUT, rsm_intr_signal_wait(pair.import, 0));
}

static void putting_and_posting(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_RDWR);
	uint64_t count = (uint64_t)hear(line), value;
	rsmapi_barrier_t barrier;

	init_barrier(import, &barrier);
	for (value = 1; value <= count; value++) {
		REQUIRE(RSM_SUCCESS, rsm_memseg_import_put64(import, 0, &value, 1));
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(import, 0));
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_wait(import, -1));
	}
}

static void t269(void)
{
	struct peer importer = start(putting_and_posting);
	long count = rounds(1000000, 2000), value;
	unsigned char *memory = new_memory(L);
	export_t segment = export_memory(memory, L, 0);

	tell(importer.line, publish(segment));
	tell(importer.line, count);
	for (value = 1; value <= count; value++) {
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_wait(segment, -1));
		NEED(*(volatile uint64_t *)(void *)memory == (uint64_t)value);
		REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	}
	finish(&importer);
}

static void no_accumulate(void)
{
	struct pair pair;
	int i;

	make_pair(&pair);
	for (i = 0; i < 3; i++) {
		EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, RSM_SIGPOST_NO_ACCUMULATE));
		EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.segment, RSM_SIGPOST_NO_ACCUMULATE));
	}
	CHECK(take_events(pair.segment) == 1);
	CHECK(take_events(pair.import) == 1);
	/* Without the flag events count, whatever is pending. */
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, RSM_SIGPOST_NO_ACCUMULATE));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, RSM_SIGPOST_NO_ACCUMULATE));
	CHECK(take_events(pair.segment) == 2);
}

static void unknown_flags(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0xF0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, RSM_IMPLICIT_SIGPOST));
	CHECK(take_events(pair.segment) == 2);
}

/* C2: another publication, even of the same segment, is none of an aborted import's business. */
static void post_to_aborted(void)
{
	export_t segment = new_export();
	import_t old, new;

	publish_as(segment, FREE_ID);
	old = connect_to(FREE_ID, RSM_PERM_READ);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	publish_as(segment, FREE_ID);
	new = connect_to(FREE_ID, RSM_PERM_READ);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	CHECK(take_events(old) == 1);
	CHECK(take_events(new) == 1);
}

static export_t inherited;

static void posting_child(int line)
{
	(void)line;
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(inherited, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(inherited, 0));
}

/* C8: no ownership check, and one counter for both. */
static void post_by_child(void)
{
	struct pair pair;
	struct peer child;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(pair.import, 0));
	inherited = pair.segment;
	child = start(posting_child);
	finish(&child);
	CHECK(take_events(pair.segment) == 0);
	CHECK(take_events(pair.import) == 1);
}

const struct check signal_checks[] = {
	{ "T251", "signal_post, signal_wait: no handle", t251, 0 },
	{ "T252", "signal_wait: nothing in time", t252, 0 },
	{ "T253", "signal_post: one wait for one post", t253, 0 },
	{ "T254", "signal_post: events accumulate", t254, 0 },
	{ "T256", "signal_post: one event for each importer", t256, 0 },
	{ "T257", "signal_post: not for importers of the future", t257, 0 },
	{ "T258", "signal_post: not published", t258, 0 },
	{ "T259", "signal_wait: after the post", t259, 0 },
	{ "T261", "signal_wait: two waiters, one post", t261, 0 },
	{ "T262", "signal_wait: the other waiter goes on waiting", t262, 0 },
	{ "T263", "signal_wait: interrupted", t263, 0 },
	{ "T264", "signal_wait: the end of the connection wakes nobody", t264, 0 },
	{ "T266", "signal_post: aborted, and the id is another's", t266, 0 },
	{ "T267", "signal_wait: pending through unpublish and publish", t267, 0 },
	{ "T268", "signal_wait: pending when the connection ends", t268, 0 },
	{ "T269", "signal_post: what was put is there", t269, 0 },
	{ "D-42", "signal_post: without accumulation", no_accumulate, 0 },
	{ "signal_post.flags", "signal_post: unknown flags", unknown_flags, 0 },
	{ "C2", "signal_post: to an aborted import of the same id", post_to_aborted, 0 },
	{ "C8.post", "signal_post, signal_wait: by a child", post_by_child, 0 },
	{ NULL, NULL, NULL, 0 },
};
