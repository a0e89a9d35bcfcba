/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What all checks share; see harness.h. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

/* ---------------------------------------------------------------- expectations */

static int failures;	/* of this process */

static void fail(const char *file, int line, const char *what)
{
	char text[2 * REPORT_MAX];

	failures++;
	snprintf(text, sizeof(text), "%s:%d: %s", file, line, what);
	report(REPORT_FAILURE, text);
}

int expect(const char *file, int line, const char *call, int code, int got)
{
	char text[REPORT_MAX];
	char wanted[64];

	if (got == code)
		return 1;
	snprintf(wanted, sizeof(wanted), "%s", code_name(code));
	snprintf(text, sizeof(text), "%s: expected %s, got %s", call, wanted, code_name(got));
	fail(file, line, text);
	return 0;
}

int expect_either(const char *file, int line, const char *call, int one, int other, int got)
{
	return got == other || expect(file, line, call, one, got);
}

int check_that(const char *file, int line, const char *condition, int holds)
{
	char text[REPORT_MAX];

	if (holds)
		return 1;
	snprintf(text, sizeof(text), "not so: %s", condition);
	fail(file, line, text);
	return 0;
}

void give_up(void)
{
	_exit(1);
}

void skip(const char *why)
{
	report(REPORT_SKIP, why);
	_exit(0);
}

void note(const char *format, ...)
{
	char text[REPORT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report(REPORT_NOTE, text);
}

/* ---------------------------------------------------------------- counts */

static int is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && strcmp(value, "1") == 0;
}

int soak(void)
{
	return is_set("RSM_SOAK");
}

long rounds(long full, long few)
{
	if (soak())
		return full;
	return is_set("RSM_BRIEF") ? (few + 9) / 10 : few;
}

/* ---------------------------------------------------------------- processes */

void become(uid_t uid, gid_t gid, gid_t more)
{
	int many = more != (gid_t)-1;

	if (setgroups((size_t)many, &more) || setregid(gid, gid) || setreuid(uid, uid)) {
		note("cannot become user %ld: %s", (long)uid, strerror(errno));
		fail(__FILE__, __LINE__, "cannot become another user");
		give_up();
	}
}

static struct peer start_child(int other_user, uid_t uid, gid_t gid, gid_t more, void (*part)(int))
{
	struct peer peer;
	int lines[2];

	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, lines) == 0);
	/* Out of the way of checks that count or limit descriptors. */
	peer.line = fcntl(lines[0], F_DUPFD_CLOEXEC, 300);
	NEED(peer.line >= 0);
	close(lines[0]);
	peer.pid = fork();
	NEED(peer.pid >= 0);
	if (peer.pid > 0) {
		close(lines[1]);
		return peer;
	}
	close(peer.line);
	{
		int line = fcntl(lines[1], F_DUPFD_CLOEXEC, 300);

		close(lines[1]);
		failures = 0;
		NEED(line >= 0);
		if (other_user)
			become(uid, gid, more);
		part(line);
	}
	_exit(failures ? 1 : 0);
}

struct peer start(void (*part)(int line))
{
	return start_child(0, 0, 0, 0, part);
}

struct peer start_as(uid_t uid, gid_t gid, gid_t more, void (*part)(int line))
{
	return start_child(1, uid, gid, more, part);
}

void tell(int line, long long value)
{
	/* If nobody listens any more, that is for whoever waits for it to find out. */
	(void)!send(line, &value, sizeof(value), MSG_NOSIGNAL);
}

long long hear(int line)
{
	long long value;
	ssize_t got;

	do
		got = recv(line, &value, sizeof(value), MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	if (got != (ssize_t)sizeof(value)) {
		fail(__FILE__, __LINE__, "the other process of the check has ended early");
		give_up();
	}
	return value;
}

static int wait_for(struct peer *peer)
{
	int status;

	while (waitpid(peer->pid, &status, 0) < 0)
		NEED(errno == EINTR);
	close(peer->line);
	peer->line = -1;
	return status;
}

void finish(struct peer *peer)
{
	int status = wait_for(peer);
	char text[80];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "a process of the check was killed by signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "a process of the check has failed");
	fail(__FILE__, __LINE__, text);
}

void kill_peer(struct peer *peer, int signal)
{
	NEED(kill(peer->pid, signal) == 0);
	reap(peer);
}

void reap(struct peer *peer)
{
	int status = wait_for(peer);

	CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) != 1);
}

/* ---------------------------------------------------------------- time */

double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void sleep_ms(long ms)
{
	struct timespec left;

	left.tv_sec = ms / 1000;
	left.tv_nsec = ms % 1000 * 1000000;
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

#ifdef __linux__

pid_t thread_id(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* The state is behind the name of the program, which is in parentheses. */
static char state_of(pid_t thread)
{
	char path[64], text[512];
	const char *name_end;
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[length < 0 ? 0 : length] = 0;
	name_end = strrchr(text, ')');
	return name_end && name_end[1] ? name_end[2] : 0;
}

void wait_until_asleep(pid_t thread)
{
	char state;

	while ((state = state_of(thread)) && state != 'S' && state != 'Z' && state != 'X')
		sleep_ms(1);
}

#else

/* Nothing is known of threads but that they have had time. */
pid_t thread_id(void)
{
	return getpid();
}

void wait_until_asleep(pid_t thread)
{
	(void)thread;
	sleep_ms(300);
}

#endif

/* ---------------------------------------------------------------- memory */

size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

unsigned char *new_memory(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NEED(memory != MAP_FAILED);
	fill(memory, length, 0);
	return memory;
}

/*
 * Byte i of the pattern is 31 * i + 7 * (i / 256) + 101 * seed + 1: in each row of 256
 * bytes the multiples of 31, beginning at another one.
 */
#define ROW 256

static unsigned char multiples[2 * ROW];
static unsigned char place_of[ROW];	/* the first place of each byte in there */

__attribute__((constructor))
static void make_multiples(void)
{
	size_t i;

	for (i = 2 * ROW; i-- > 0;) {
		multiples[i] = (unsigned char)(31 * i);
		place_of[multiples[i]] = (unsigned char)i;
	}
}

static const unsigned char *row_at(size_t index, unsigned seed)
{
	return multiples + place_of[(unsigned char)(index / ROW * 7 + seed * 101 + 1)];
}

void fill(volatile unsigned char *memory, size_t length, unsigned seed)
{
	size_t row, i;

	for (row = 0; row < length; row += ROW) {
		const unsigned char *bytes = row_at(row, seed);
		size_t count = length - row < ROW ? length - row : ROW;
		size_t words = (uintptr_t)memory % 8 ? 0 : count / 8 * 8;

		for (i = 0; i < words; i += 8) {
			uint64_t word;

			memcpy(&word, bytes + i, 8);
			*(volatile uint64_t *)(volatile void *)(memory + row + i) = word;
		}
		for (; i < count; i++)
			memory[row + i] = bytes[i];
	}
}

int is_filled(const volatile unsigned char *memory, size_t length, unsigned seed)
{
	size_t row, i;

	for (row = 0; row < length; row += ROW) {
		const unsigned char *bytes = row_at(row, seed);
		size_t count = length - row < ROW ? length - row : ROW;
		size_t words = (uintptr_t)memory % 8 ? 0 : count / 8 * 8;

		for (i = 0; i < words; i += 8) {
			uint64_t word = *(const volatile uint64_t *)(const volatile void *)(memory + row + i);

			if (memcmp(&word, bytes + i, 8) != 0)
				return 0;
		}
		for (; i < count; i++)
			if (memory[row + i] != bytes[i])
				return 0;
	}
	return 1;
}

static sigjmp_buf after_fault;

static void on_fault(int signal)
{
	siglongjmp(after_fault, signal);
}

int fault_in(void (*work)(void *), void *argument)
{
	struct sigaction action, segv, bus;
	int signal;

	memset(&action, 0, sizeof(action));
	action.sa_handler = on_fault;
	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	signal = sigsetjmp(after_fault, 1);
	if (signal == 0)
		work(argument);
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return signal;
}

static void load(void *address)
{
	volatile unsigned char byte = *(volatile unsigned char *)address;

	(void)byte;
}

static void store(void *address)
{
	*(volatile unsigned char *)address = 0;
}

int load_fault(const volatile void *address)
{
	return fault_in(load, (void *)(uintptr_t)address);
}

int store_fault(volatile void *address)
{
	return fault_in(store, (void *)(uintptr_t)address);
}

/* ---------------------------------------------------------------- descriptors */

int open_descriptors(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

void limit_descriptors(int count)
{
	struct rlimit limit;

	NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = (rlim_t)count;
	NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}
