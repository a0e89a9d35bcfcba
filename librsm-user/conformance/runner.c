/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs the checks, one after another, and reports in the Test Anything Protocol,
 * version 14.
 *
 *  rsm-conformance [-l] [WORD...]
 *  rsm-conformance --serve
 *  rsm-conformance --selftest
 *
 * WORD selects the checks with that number, or with that text in their titles
 * or in the name of their theme; -l lists and runs nothing.  --serve takes numbers
 * of checks from standard input, one a line, and ends each answer with a line
 * "# done".  --selftest tries the runner on checks of which it is known what becomes
 * of them.  Exit status: 0 all passed or skipped, 1 some failed, 2 bad arguments.
 *
 * Each check is this program started anew with --run.  It reports through a
 * pipe that all its processes inherit: when the pipe has no writer left, all
 * have gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "knobs.h"
#include "report.h"

static const struct {
	const char *name;
	const struct check *checks;
} themes[] = {
	{ "controllers", controller_checks }, { "topology", topology_checks },
	{ "segmentid", segmentid_checks }, { "create", create_checks },
	{ "publish", publish_checks }, { "unpublish", unpublish_checks },
	{ "republish", republish_checks }, { "rebind", rebind_checks },
	{ "connect", connect_checks }, { "permissions", permission_checks },
	{ "disconnect", disconnect_checks }, { "map", map_checks },
	{ "transfer", transfer_checks }, { "scatter", scatter_checks },
	{ "localmem", localmem_checks }, { "barrier", barrier_checks },
	{ "signal", signal_checks }, { "pollfd", pollfd_checks },
	{ "wait_pollfd", wait_pollfd_checks }, { "revocation", revocation_checks },
	{ "process", process_checks }, { "handle", handle_checks }, { "library", library_checks },
	{ "shortage", shortage_checks },
};

static const struct stage *const stages[] = { library_stages, process_stages, controller_stages };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *program;

/* ---------------------------------------------------------------- one check */

void run_again(const char *stage, const char *argument)
{
	/* Open since the start, so that it is found whatever has been mounted since. */
	const char *path = getenv("RSM_CONFORMANCE_PROGRAM");

	execl(path ? path : "/proc/self/exe", "rsm-conformance", "--stage", stage, argument, (char *)NULL);
	note("cannot start the program again: %s", strerror(errno));
	_exit(1);
}

static const struct check *check_with_id(const char *id)
{
	const struct check *check;
	size_t i;

	for (i = 0; i < COUNT(themes); i++)
		for (check = themes[i].checks; check->id; check++)
			if (strcmp(check->id, id) == 0)
				return check;
	for (check = selftest_checks; check->id; check++)
		if (strcmp(check->id, id) == 0)
			return check;
	return NULL;
}

/* Runs in the process of the check; what fails has been reported. */
static int run_one(const char *id)
{
	const struct check *check = check_with_id(id);

	if (!check)
		return 2;
	check->run();
	return 0;
}

static int run_stage(const char *name, const char *argument)
{
	const struct stage *stage;
	size_t i;

	for (i = 0; i < COUNT(stages); i++)
		for (stage = stages[i]; stage->name; stage++)
			if (strcmp(stage->name, name) == 0) {
				stage->run(argument);
				return 0;
			}
	return 2;
}

/* ---------------------------------------------------------------- its process */

static unsigned own_limit;	/* of a check of the runner, or 0 */

static unsigned time_limit(void)
{
	const char *value = getenv("RSM_TIMEOUT");

	if (own_limit)
		return own_limit;
	if (value && atoi(value) > 0)
		return (unsigned)atoi(value);
	return soak() ? 3600 : 60;
}

static void start_check(const struct check *check, int report_fd)
{
	struct rlimit limit;

	setpgid(0, 0);
	umask(022);
	if (dup2(report_fd, REPORT_FD) < 0)
		_exit(2);
	if (geteuid() == 0 && !(check->flags & AS_ROOT)) {
		/* As much as several segments of a check need, however little users have. */
		if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < 64 << 20) {
			limit.rlim_cur = 64 << 20;
			if (limit.rlim_max < limit.rlim_cur)
				limit.rlim_max = limit.rlim_cur;
			setrlimit(RLIMIT_MEMLOCK, &limit);
		}
		/* In a container without that user checks run as they are. */
		if (setgroups(0, NULL) || setregid(ALICE, ALICE) || setreuid(ALICE, ALICE))
			fprintf(stderr, "%s: runs as root: %s\n", check->id, strerror(errno));
	}
	execl(program, "rsm-conformance", "--run", check->id, (char *)NULL);
	fprintf(stderr, "cannot start %s: %s\n", program, strerror(errno));
	_exit(2);
}

struct verdict {
	int failed;
	char skipped[REPORT_MAX + 1];
	char *text;		/* failures and notes, a line each */
	size_t length;
};

static void add_line(struct verdict *verdict, const char *line)
{
	size_t more = strlen(line) + 2;
	char *text = realloc(verdict->text, verdict->length + more);

	if (!text)
		return;
	verdict->text = text;
	snprintf(text + verdict->length, more, "%s\n", line);
	verdict->length += more - 1;
}

static void take_report(struct verdict *verdict, const char *line)
{
	switch (line[0]) {
	case REPORT_FAILURE:
		verdict->failed = 1;
		add_line(verdict, line + 1);
		break;
	case REPORT_SKIP:
		snprintf(verdict->skipped, sizeof(verdict->skipped), "%.*s", REPORT_MAX, line + 1);
		break;
	case REPORT_NOTE:
		add_line(verdict, line + 1);
		break;
	}
}

/*
 * Reads reports until nobody is left to write any, or time is up; then ends
 * whoever is left, and reads the rest.
 */
static int listen_to(int fd, pid_t first, struct verdict *verdict, int *status)
{
	double end = seconds() + time_limit();
	char buffer[4096];
	size_t used = 0;
	int in_time = 1, ended = 0, killed = 0;

	for (;;) {
		struct pollfd poll_fd = { fd, POLLIN, 0 };
		ssize_t got;
		char *line_end;

		if (!ended && waitpid(first, status, WNOHANG) == first)
			ended = 1;
		if (!killed && (ended || seconds() > end)) {
			in_time = ended;
			/* The first process is done: the others have no business any more. */
			kill(-first, SIGKILL);
			killed = 1;
			end = seconds() + 10 + time_limit();
		} else if (killed && seconds() > end) {
			verdict->failed = 1;
			add_line(verdict, "a process of the check could not be killed");
			break;
		}
		if (poll(&poll_fd, 1, 20) <= 0)
			continue;
		got = read(fd, buffer + used, sizeof(buffer) - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
		buffer[used] = 0;
		while ((line_end = strchr(buffer, '\n'))) {
			*line_end = 0;
			take_report(verdict, buffer);
			used -= (size_t)(line_end + 1 - buffer);
			memmove(buffer, line_end + 1, used + 1);
		}
		if (used == sizeof(buffer) - 1)
			used = 0;
	}
	if (!ended) {
		kill(-first, SIGKILL);
		while (waitpid(first, status, 0) < 0 && errno == EINTR)
			;
	}
	return in_time;
}

static void judge(const struct check *check, struct verdict *verdict)
{
	int fds[2], status = 0;
	char text[120];
	pid_t pid;

	memset(verdict, 0, sizeof(*verdict));
	if ((check->flags & AS_ROOT) && geteuid() != 0) {
		snprintf(verdict->skipped, sizeof(verdict->skipped), "needs root");
		return;
	}
	if (pipe(fds) || (pid = fork()) < 0) {
		perror("rsm-conformance");
		exit(2);
	}
	if (pid == 0) {
		close(fds[0]);
		start_check(check, fds[1]);
	}
	setpgid(pid, pid);
	close(fds[1]);
	if (!listen_to(fds[0], pid, verdict, &status)) {
		verdict->failed = 1;
		snprintf(text, sizeof(text), "not done after %u seconds", time_limit());
		add_line(verdict, text);
	} else if (WIFSIGNALED(status)) {
		verdict->failed = 1;
		snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
		add_line(verdict, text);
	} else if (WEXITSTATUS(status) && !verdict->failed) {
		verdict->failed = 1;
		snprintf(text, sizeof(text), "ended with status %d", WEXITSTATUS(status));
		add_line(verdict, text);
	}
	close(fds[0]);
}

/* ---------------------------------------------------------------- all of them */

static int is_selected(const struct check *check, const char *theme, int words, char **word)
{
	int i;

	for (i = 0; i < words; i++)
		if (strcmp(check->id, word[i]) == 0 || strstr(check->title, word[i]) || strstr(theme, word[i]))
			return 1;
	return words == 0;
}

static void print_diagnosis(struct verdict *verdict)
{
	char *line = verdict->text, *line_end;

	for (; line && *line; line = line_end + 1) {
		line_end = strchr(line, '\n');
		printf("# %.*s\n", (int)(line_end - line), line);
	}
	free(verdict->text);
}

/* Counts of test points. */
struct totals {
	int number, failed, skipped;
};

static void run_and_print(const struct check *check, struct totals *totals)
{
	struct verdict verdict;

	fflush(stdout);
	judge(check, &verdict);
	knobs_restore();
	printf("%s %d - %s %s", verdict.failed ? "not ok" : "ok", ++totals->number, check->id, check->title);
	if (!verdict.failed && verdict.skipped[0]) {
		printf(" # SKIP %s", verdict.skipped);
		totals->skipped++;
	}
	printf("\n");
	totals->failed += verdict.failed;
	print_diagnosis(&verdict);
}

static int run_all(int words, char **word)
{
	struct totals totals = { 0, 0, 0 };
	int planned = 0;
	const struct check *check;
	size_t i;

	for (i = 0; i < COUNT(themes); i++)
		for (check = themes[i].checks; check->id; check++)
			planned += is_selected(check, themes[i].name, words, word);
	printf("TAP version 14\n1..%d\n", planned);
	knobs_remember();
	for (i = 0; i < COUNT(themes); i++)
		for (check = themes[i].checks; check->id; check++)
			if (is_selected(check, themes[i].name, words, word))
				run_and_print(check, &totals);
	printf("# %d passed, %d failed, %d skipped\n", planned - totals.failed - totals.skipped, totals.failed,
	    totals.skipped);
	return totals.failed ? 1 : 0;
}

static int serve(void)
{
	struct totals totals = { 0, 0, 0 };
	const struct check *check;
	char id[64];

	printf("TAP version 14\n");
	knobs_remember();
	while (fgets(id, sizeof(id), stdin)) {
		id[strcspn(id, "\n")] = 0;
		check = check_with_id(id);
		if (check)
			run_and_print(check, &totals);
		else
			printf("not ok %d - %s is no check\n", ++totals.number, id);
		totals.failed += !check;
		printf("# done\n");
		fflush(stdout);
	}
	printf("1..%d\n", totals.number);
	return totals.failed ? 1 : 0;
}

/*
 * Checks whose titles begin with "fails: " must fail, and the rest of the title be
 * in what is said about it; "skipped" must be skipped, others pass.
 */
static int selftest(void)
{
	int number = 0, wrong = 0;
	const struct check *check;

	printf("TAP version 14\n");
	for (check = selftest_checks; check->id; check++) {
		struct verdict verdict;
		int should_fail = strncmp(check->title, "fails: ", 7) == 0;
		int right;

		fflush(stdout);
		/* What hangs need not do so for long. */
		own_limit = strstr(check->title, "not done") ? 1 : 0;
		judge(check, &verdict);
		right = verdict.failed == should_fail &&
			(!should_fail || (verdict.text && strstr(verdict.text, check->title + 7))) &&
			(verdict.skipped[0] != 0) == (strncmp(check->title, "skipped", 7) == 0);
		wrong += !right;
		printf("%s %d - %s\n", right ? "ok" : "not ok", ++number, check->title);
		print_diagnosis(&verdict);
	}
	printf("1..%d\n", number);
	return wrong ? 1 : 0;
}

static void list_all(int words, char **word)
{
	const struct check *check;
	size_t i;

	for (i = 0; i < COUNT(themes); i++)
		for (check = themes[i].checks; check->id; check++)
			if (is_selected(check, themes[i].name, words, word))
				printf("%-24s %-12s %s\n", check->id, themes[i].name, check->title);
}

/* Every number is there once: a check that hides another would never run. */
static int has_duplicates(void)
{
	const struct check *check;
	size_t i;

	for (i = 0; i < COUNT(themes); i++)
		for (check = themes[i].checks; check->id; check++)
			if (check_with_id(check->id) != check) {
				fprintf(stderr, "two checks are called %s\n", check->id);
				return 1;
			}
	return 0;
}

int main(int argc, char **argv)
{
	static char path[4096];
	int is_served, is_selftest;

	if (argc == 3 && strcmp(argv[1], "--run") == 0)
		return run_one(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--stage") == 0)
		return run_stage(argv[2], argv[3]);
	if (argc > 1 && strcmp(argv[1], "-l") == 0) {
		list_all(argc - 2, argv + 2);
		return has_duplicates() ? 2 : 0;
	}
	is_served = argc == 2 && strcmp(argv[1], "--serve") == 0;
	is_selftest = argc == 2 && strcmp(argv[1], "--selftest") == 0;
	if (argc > 1 && argv[1][0] == '-' && !is_served && !is_selftest) {
		fprintf(stderr, "usage: rsm-conformance [-l] [WORD...] | --serve | --selftest\n");
		return 2;
	}
	/* A path without links, for those who cannot see /proc/self/exe. */
	program = realpath(strchr(argv[0], '/') ? argv[0] : "/proc/self/exe", path);
	if (!program) {
		perror(argv[0]);
		return 2;
	}
	setenv("RSM_CONFORMANCE_PROGRAM", program, 1);
	signal(SIGPIPE, SIG_IGN);
	if (is_selftest)
		return selftest();
	return is_served ? serve() : run_all(argc - 1, argv + 1);
}
