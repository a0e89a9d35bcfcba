/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals that interrupt calls; see timer.h. */
#include "timer.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>

static void do_nothing(int signal)
{
	(void)signal;
}

static void set_timer(long microseconds)
{
	struct itimerval timer;

	timer.it_value.tv_sec = timer.it_interval.tv_sec = 0;
	timer.it_value.tv_usec = timer.it_interval.tv_usec = microseconds;
	setitimer(ITIMER_REAL, &timer, NULL);
}

void start_interrupting(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = do_nothing;
	sigaction(SIGALRM, &action, NULL);
	set_timer(100000);
}

void stop_interrupting(void)
{
	set_timer(0);
}
