/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory of the heap that is refused on request, to the program and to all
 * libraries in it.
 */
#ifndef ALLOCATOR_H
#define ALLOCATOR_H

/* Whether that works here: with glibc, linked dynamically, without a sanitizer. */
int memory_can_be_refused(void);

/* The nth allocation from now on is refused (1 is the next one), and with for_good all that follow it. */
void refuse_memory(long nth, int for_good);

/* No more of that.  Returns how many were refused. */
long stop_refusing_memory(void);

/* How many blocks are allocated. */
long allocated_blocks(void);

#endif
