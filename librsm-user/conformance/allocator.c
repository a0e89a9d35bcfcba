/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory that is refused; see allocator.h.
 *
 * A program's own malloc() and its kin are those of the libraries that it is
 * linked with, too.  Weak, so that where libc is linked statically its own come
 * first, and are all there are.
 */
#include "allocator.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "harness.h"

static long until_refusal;	/* allocations, this one included; 0: none is refused */
static int refuse_all_later;
static long refused;
static long blocks;

void refuse_memory(long nth, int for_good)
{
	refuse_all_later = for_good;
	__atomic_store_n(&refused, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&until_refusal, nth, __ATOMIC_SEQ_CST);
}

long stop_refusing_memory(void)
{
	__atomic_store_n(&until_refusal, 0, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&refused, __ATOMIC_SEQ_CST);
}

long allocated_blocks(void)
{
	return __atomic_load_n(&blocks, __ATOMIC_SEQ_CST);
}

int memory_can_be_refused(void)
{
	void *volatile memory;
	int can;

	refuse_memory(1, 0);
	memory = malloc(1);
	can = stop_refusing_memory() == 1 && !memory;
	free(memory);
	return can;
}

#if defined(__GLIBC__) && !SANITIZED

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

/* Whether this allocation is one to refuse. */
static int is_refused(void)
{
	long left = __atomic_load_n(&until_refusal, __ATOMIC_SEQ_CST);

	if (left == 0)
		return 0;
	if (left > 1 || !refuse_all_later)
		__atomic_store_n(&until_refusal, left - 1, __ATOMIC_SEQ_CST);
	if (left > 1)
		return 0;
	__atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST);
	errno = ENOMEM;
	return 1;
}

static void *counted(void *memory)
{
	if (memory)
		__atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
	return memory;
}

__attribute__((weak)) void *malloc(size_t size)
{
	return is_refused() ? NULL : counted(__libc_malloc(size));
}

__attribute__((weak)) void *calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : counted(__libc_calloc(count, size));
}

__attribute__((weak)) void *realloc(void *old, size_t size)
{
	void *memory;

	if (is_refused())
		return NULL;
	memory = __libc_realloc(old, size);
	if (!old)
		return counted(memory);
	if (!memory && size == 0)
		__atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
	return memory;
}

__attribute__((weak)) void *memalign(size_t alignment, size_t size)
{
	return is_refused() ? NULL : counted(__libc_memalign(alignment, size));
}

__attribute__((weak)) void *aligned_alloc(size_t alignment, size_t size)
{
	return is_refused() ? NULL : counted(__libc_memalign(alignment, size));
}

__attribute__((weak)) int posix_memalign(void **place, size_t alignment, size_t size)
{
	void *memory = is_refused() ? NULL : counted(__libc_memalign(alignment, size));

	if (!memory)
		return ENOMEM;
	*place = memory;
	return 0;
}

__attribute__((weak)) void free(void *memory)
{
	if (memory)
		__atomic_sub_fetch(&blocks, 1, __ATOMIC_RELAXED);
	__libc_free(memory);
}

#endif
