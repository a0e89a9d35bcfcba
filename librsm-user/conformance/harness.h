/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What all checks share: expectations, and processes to play the parts.
 *
 * A check is a function without arguments, in a table of its file.  It runs in
 * a process of its own, which the runner has started anew (so the library has
 * just been loaded), in a process group of its own, with a time limit.  It fails
 * if an expectation in any of its processes is not met, if it is killed, or if
 * it is not done in time.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stddef.h>
#include <sys/types.h>

#include <rsmapi.h>

/* ---------------------------------------------------------------- tables */

enum {
	/*
	 * Started as root, to become others.  A check without it runs as an
	 * ordinary user: root may override access lists.
	 */
	AS_ROOT = 1,
};

struct check {
	const char *id;		/* T057, or what a file's table says */
	const char *title;
	void (*run)(void);
	int flags;
};

/* The tables, one a file; each ends with an empty entry. */
extern const struct check controller_checks[], topology_checks[], segmentid_checks[],
	create_checks[], publish_checks[], unpublish_checks[], republish_checks[],
	rebind_checks[], connect_checks[], permission_checks[], disconnect_checks[],
	map_checks[], transfer_checks[], scatter_checks[], localmem_checks[],
	barrier_checks[], signal_checks[], pollfd_checks[], wait_pollfd_checks[],
	revocation_checks[], process_checks[], handle_checks[], library_checks[], shortage_checks[];

/* Checks of the runner, and whether it has to say that they fail. */
extern const struct check selftest_checks[];

/* ---------------------------------------------------------------- expectations */

/*
 * EXPECT(code, call): the call returns this code; if not, the check has failed
 * and goes on.  REQUIRE: it cannot go on.
 */
#define EXPECT(code, call) expect(__FILE__, __LINE__, #call, (code), (call))
#define REQUIRE(code, call) \
	do { if (!expect(__FILE__, __LINE__, #call, (code), (call))) give_up(); } while (0)

/* Either of two codes. */
#define EXPECT_EITHER(one, other, call) expect_either(__FILE__, __LINE__, #call, (one), (other), (call))

/* A condition. */
#define CHECK(condition) check_that(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)
#define NEED(condition) \
	do { if (!check_that(__FILE__, __LINE__, #condition, (condition) ? 1 : 0)) give_up(); } while (0)

int expect(const char *file, int line, const char *call, int code, int got);
int expect_either(const char *file, int line, const char *call, int one, int other, int got);
int check_that(const char *file, int line, const char *condition, int holds);

/* Ends this process of the check. */
void give_up(void) __attribute__((noreturn));

/* The check does not apply here; ends this process.  For its first one only. */
void skip(const char *why) __attribute__((noreturn));

/* Built with AddressSanitizer, which has an allocator of its own, and most of the address space. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* A line for whoever reads the output. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "BAD_ADDR (16)", and whether a code is one that functions may return. */
const char *code_name(int code);
int is_public_code(int code);

/* ---------------------------------------------------------------- counts */

/* Whether checks run in full (RSM_SOAK=1). */
int soak(void);

/* How often: FULL times in full, otherwise FEW, or a tenth of that with RSM_BRIEF=1. */
long rounds(long full, long few);

/* ---------------------------------------------------------------- processes */

/* Users of checks that need several; all groups but their own are empty. */
enum { ALICE = 61000, BOB, CAROL, DAVE };

/*
 * A child of the check that plays a part.  Both ends tell() each other numbers,
 * which is how they take turns; hear() waits for one.  If the other end has
 * gone, hear() fails the check.
 */
struct peer {
	pid_t pid;
	int line;
};

/* Runs part(line) in a child. */
struct peer start(void (*part)(int line));

/* The same as another user, with its own group and one more (or -1). */
struct peer start_as(uid_t uid, gid_t gid, gid_t more, void (*part)(int line));

void tell(int line, long long value);
long long hear(int line);

/* Waits for the peer's end, which must be a good one. */
void finish(struct peer *peer);

/* Ends a peer the hard way, and waits until it has gone. */
void kill_peer(struct peer *peer, int signal);

/* Waits for a peer that ends by a signal, or with a status that is no failure. */
void reap(struct peer *peer);

/* Becomes this user for good. */
void become(uid_t uid, gid_t gid, gid_t more);

/* Runs this program again, in place of this process: function STAGE with an argument. */
void run_again(const char *stage, const char *argument) __attribute__((noreturn));

/* What run_again() can name. */
struct stage {
	const char *name;
	void (*run)(const char *argument);
};
extern const struct stage library_stages[], process_stages[], controller_stages[];

/* ---------------------------------------------------------------- time */

double seconds(void);
void sleep_ms(long ms);

/* This thread, and waiting for one that is about to sleep in a call until it does, or has ended. */
pid_t thread_id(void);
void wait_until_asleep(pid_t thread);

/* ---------------------------------------------------------------- memory */

size_t page_size(void);

/* Private anonymous memory, readable and writable, with a pattern in it. */
unsigned char *new_memory(size_t length);

/* Fills with a pattern that depends on seed; whether it is (still) in there. */
void fill(volatile unsigned char *memory, size_t length, unsigned seed);
int is_filled(const volatile unsigned char *memory, size_t length, unsigned seed);

/* Whether work(argument) raises SIGSEGV or SIGBUS, whose handler jumps out of it: which, or 0. */
int fault_in(void (*work)(void *), void *argument);

/* Whether a load (store) at this address raises a signal: which, or 0. */
int load_fault(const volatile void *address);
int store_fault(volatile void *address);

/* ---------------------------------------------------------------- descriptors */

/* How many descriptors are open; the highest that is looked at is 1023. */
int open_descriptors(void);

/* No more than this many may be open from now on. */
void limit_descriptors(int count);

#endif
