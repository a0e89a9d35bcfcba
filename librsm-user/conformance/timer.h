/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals that interrupt calls. */
#ifndef TIMER_H
#define TIMER_H

/* From now on a signal is caught every 100 ms; calls are not restarted. */
void start_interrupting(void);
void stop_interrupting(void);

#endif
