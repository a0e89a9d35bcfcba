/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Local memory handles: B13, and section 6.7. */
#include <string.h>

#include "segments.h"

static int create(void *memory, size_t length, rsm_localmemory_handle_t *handle)
{
	return rsm_create_localmemory_handle(controller(), handle, memory, length);
}

static void t219(void)
{
	rsm_localmemory_handle_t handle;
	unsigned char *memory = new_memory(L);

	EXPECT(RSMERR_BAD_ADDR, rsm_create_localmemory_handle(NULL, &handle, (char *)memory + 1, L));
	EXPECT(RSMERR_BAD_ADDR, create(memory + 1, L, &handle));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_create_localmemory_handle(NULL, &handle, (char *)memory, L));
	/* The controller before the handle. */
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_create_localmemory_handle(NULL, NULL, (char *)memory, 0));
}

static void t221(void)
{
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, create(new_memory(L), L, NULL));
	/* Before the length. */
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, create(new_memory(L), 0, NULL));
}

static void t222(void)
{
	rsm_localmemory_handle_t handle;

	EXPECT(RSMERR_BAD_LENGTH, create(new_memory(L), 0, &handle));
}

static void t223(void)
{
	rsm_localmemory_handle_t handle;

	EXPECT(RSMERR_BAD_ADDR, create(NULL, L, &handle));
}

static void t224(void)
{
	rsm_localmemory_handle_t handle = NULL;

	EXPECT(RSM_SUCCESS, create(new_memory(L), 100, &handle));
	CHECK(handle != NULL);
}

static void t226(void)
{
	rsm_localmemory_handle_t handle = NULL;

	REQUIRE(RSM_SUCCESS, create(new_memory(L), L, &handle));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_free_localmemory_handle(NULL, handle));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_free_localmemory_handle(NULL, NULL));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_free_localmemory_handle(controller(), NULL));
	EXPECT(RSM_SUCCESS, rsm_free_localmemory_handle(controller(), handle));
}

static void t227(void)
{
	unsigned char *memory = new_memory(L);
	rsm_localmemory_handle_t handle = NULL;

	REQUIRE(RSM_SUCCESS, create(memory, L, &handle));
	fill(memory, L, 3);
	EXPECT(RSM_SUCCESS, rsm_free_localmemory_handle(controller(), handle));
	CHECK(is_filled(memory, L, 3));
}

static void transfer_by_handle(void)
{
	unsigned char *memory = new_memory(L);
	rsm_localmemory_handle_t handle = NULL;
	rsm_scat_gath_t request;
	rsm_iovec_t entries[2];
	struct pair pair;

	make_pair(&pair);
	REQUIRE(RSM_SUCCESS, create(memory, L, &handle));
	fill(memory, L, 3);
	memset(&request, 0, sizeof(request));
	memset(entries, 0, sizeof(entries));
	entries[0].io_type = RSM_HANDLE_TYPE;
	entries[0].local.handle = handle;
	entries[0].local_offset = PS;
	entries[0].remote_offset = 2 * PS;
	entries[0].transfer_length = PS;
	entries[1].io_type = RSM_VA_TYPE;
	entries[1].local.vaddr = (char *)memory;
	entries[1].remote_offset = 0;
	entries[1].transfer_length = 10;
	request.io_request_count = 2;
	request.remote_handle = pair.import;
	request.iovec = entries;
	EXPECT(RSM_SUCCESS, rsm_memseg_import_putv(&request));
	CHECK(memcmp(pair.memory + 2 * PS, memory + PS, PS) == 0);
	CHECK(memcmp(pair.memory, memory, 10) == 0);
	fill(pair.memory, L, 4);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_getv(&request));
	CHECK(memcmp(pair.memory + 2 * PS, memory + PS, PS) == 0);
	EXPECT(RSM_SUCCESS, rsm_free_localmemory_handle(controller(), handle));
}

const struct check localmem_checks[] = {
	{ "T219", "create_localmemory_handle: the alignment before the controller", t219, 0 },
	{ "T221", "create_localmemory_handle: no place for the handle", t221, 0 },
	{ "T222", "create_localmemory_handle: no length", t222, 0 },
	{ "T223", "create_localmemory_handle: no address", t223, 0 },
	{ "T224", "create_localmemory_handle: part of a page", t224, 0 },
	{ "T226", "free_localmemory_handle: no controller, no handle", t226, 0 },
	{ "T227", "free_localmemory_handle: the memory stays", t227, 0 },
	{ "localmem.transfer", "putv, getv: local memory by handle", transfer_by_handle, 0 },
	{ NULL, NULL, NULL, 0 },
};
