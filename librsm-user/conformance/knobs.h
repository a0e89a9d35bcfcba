/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Settings of the machine that a check may change. */
#ifndef KNOBS_H
#define KNOBS_H

/* Most bytes that may be exported on this machine (Linux: a parameter of the module). */
#define KNOB_EXPORTED_MEMORY "/sys/module/rsm/parameters/max_exported_mem"

/* No setting: 1 has free memory put together, for huge pages. */
#define KNOB_COMPACT "/proc/sys/vm/compact_memory"

/* Sets it; whether that worked.  The runner puts it back after the check. */
int knob_set(const char *knob, long value);

/* For the runner: what the settings are, and that they are so again. */
void knobs_remember(void);
void knobs_restore(void);

#endif
