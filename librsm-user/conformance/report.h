/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How the processes of a check tell the runner what they have seen. */
#ifndef REPORT_H
#define REPORT_H

enum {
	REPORT_FD = 200,	/* where the runner listens */
	REPORT_MAX = 400,	/* short enough to arrive in one piece */
};

enum {
	REPORT_FAILURE = 'F',
	REPORT_SKIP = 'S',
	REPORT_NOTE = 'N',
};

/* One line of the report. */
void report(char kind, const char *text);

#endif
