/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Checks that try the runner: what becomes of each is in its title. */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness.h"

static void pass(void)
{
	CHECK(1);
	EXPECT(RSM_SUCCESS, RSM_SUCCESS);
	EXPECT_EITHER(RSMERR_TIMEOUT, RSM_SUCCESS, RSM_SUCCESS);
}

static void wrong_code(void)
{
	EXPECT(RSM_SUCCESS, RSMERR_TIMEOUT);
}

static void wrong_condition(void)
{
	CHECK(0);
}

static void failing_peer(int line)
{
	tell(line, 0);
	CHECK(0);
}

static void peer_fails(void)
{
	struct peer peer = start(failing_peer);

	hear(peer.line);
	finish(&peer);
}

/* Nobody waits for it. */
static void forgotten_peer_fails(void)
{
	struct peer peer = start(failing_peer);
	char byte;

	hear(peer.line);
	/* Until it has ended. */
	while (read(peer.line, &byte, 1) > 0)
		continue;
}

static void leaving_peer(int line)
{
	(void)line;
}

static void peer_leaves(void)
{
	hear(start(leaving_peer).line);
}

static void crashing_peer(int line)
{
	(void)line;
	raise(SIGKILL);
}

static void peer_crashes(void)
{
	struct peer peer = start(crashing_peer);

	finish(&peer);
}

static void crash(void)
{
	raise(SIGKILL);
}

static void status(void)
{
	_exit(3);
}

static void hang(void)
{
	for (;;)
		pause();
}

static void hanging_peer(int line)
{
	tell(line, 0);
	hang();
}

/* The runner does not wait for it, and it does not survive. */
static void peer_is_left(void)
{
	hear(start(hanging_peer).line);
}

static void skipped(void)
{
	skip("as it should");
}

static void faults(void)
{
	unsigned char byte = 0;

	CHECK(load_fault(&byte) == 0 && store_fault(&byte) == 0);
	CHECK(load_fault((void *)8) == SIGSEGV && store_fault((void *)8) == SIGSEGV);
}

/* ---------------------------------------------------------------- sanitizers */

#if SANITIZED
static volatile int eight = 8;

static void bad_read(void)
{
	/* Volatile: what it points to is not known when this is compiled. */
	unsigned char *volatile memory = malloc(8);

	memory[0] = 0;
	note("%d", memory[eight]);
}

static void bad_peer(int line)
{
	tell(line, 0);
	bad_read();
}

static void peer_reads_badly(void)
{
	struct peer peer = start(bad_peer);

	hear(peer.line);
	finish(&peer);
}

static void overflow(void)
{
	note("%d", INT_MAX - 7 + eight);
}

static void leak(void)
{
	note("%p", malloc((size_t)eight));
}
#endif

const struct check selftest_checks[] = {
	{ "self.pass", "passes", pass, 0 },
	{ "self.code", "fails: expected SUCCESS (0), got TIMEOUT (42)", wrong_code, 0 },
	{ "self.condition", "fails: not so: 0", wrong_condition, 0 },
	{ "self.peer", "fails: a process of the check has failed", peer_fails, 0 },
	{ "self.forgotten", "fails: not so: 0", forgotten_peer_fails, 0 },
	{ "self.leaves", "fails: has ended early", peer_leaves, 0 },
	{ "self.killed", "fails: a process of the check was killed by signal 9", peer_crashes, 0 },
	{ "self.crash", "fails: killed by signal 9 (Killed)", crash, 0 },
	{ "self.status", "fails: ended with status 3", status, 0 },
	{ "self.hang", "fails: not done after", hang, 0 },
	{ "self.left", "passes: a peer is left behind", peer_is_left, 0 },
	{ "self.skip", "skipped", skipped, 0 },
	{ "self.faults", "passes: faults are seen", faults, 0 },
#if SANITIZED
	{ "self.bad_read", "fails: ended with status 1", bad_read, 0 },
	{ "self.bad_peer", "fails: a process of the check has failed", peer_reads_badly, 0 },
	{ "self.overflow", "fails: ended with status 1", overflow, 0 },
	{ "self.leak", "fails: ended with status 1", leak, 0 },
#endif
	{ NULL, NULL, NULL, 0 },
};
