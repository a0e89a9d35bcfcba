/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Handles of the wrong kind: section 1.9. */
#include <string.h>

#include "segments.h"

static struct pair pair;

/* The export handle, where an import handle should be. */
static import_t wrong_import(void)
{
	make_pair(&pair);
	return (import_t)(void *)pair.segment;
}

static export_t wrong_export(void)
{
	make_pair(&pair);
	return (export_t)(void *)pair.import;
}

/* Nothing has happened to either. */
static void all_is_well(void)
{
	uint8_t byte = 1;

	EXPECT(RSM_SUCCESS, rsm_memseg_import_put8(pair.import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, try_connect(pair.id, RSM_PERM_RDWR));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	publish(pair.segment);
}

static void transfers_of_export(void)
{
	import_t wrong = wrong_import();
	uint64_t word = 0;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put(wrong, 0, &word, 8));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get(wrong, 0, &word, 8));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put8(wrong, 0, (uint8_t *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get8(wrong, 0, (uint8_t *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put16(wrong, 0, (uint16_t *)(void *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get16(wrong, 0, (uint16_t *)(void *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put32(wrong, 0, (uint32_t *)(void *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get32(wrong, 0, (uint32_t *)(void *)&word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put64(wrong, 0, &word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get64(wrong, 0, &word, 1));
	/* Local pointers come first. */
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_put64(wrong, 0, NULL, 1));
	all_is_well();
}

static void unmap_of_export(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_unmap(wrong_import()));
	all_is_well();
}

static void disconnect_of_export(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect(wrong_import()));
	all_is_well();
}

static void scatter_of_export(void)
{
	rsm_scat_gath_t request;
	rsm_iovec_t entry;
	char byte = 0;

	memset(&request, 0, sizeof(request));
	memset(&entry, 0, sizeof(entry));
	entry.io_type = RSM_VA_TYPE;
	entry.local.vaddr = &byte;
	entry.transfer_length = 1;
	request.io_request_count = 1;
	request.iovec = &entry;
	request.remote_handle = wrong_import();
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_putv(&request));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_getv(&request));
	all_is_well();
}

static void barrier_of_export(void)
{
	rsm_barrier_mode_t mode;
	rsmapi_barrier_t barrier;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(wrong_import(), RSM_BARRIER_NODE, &barrier));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_set_mode(wrong_import(), RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get_mode(wrong_import(), &mode));
	all_is_well();
}

static void publish_of_import(void)
{
	rsm_memseg_id_t id = 0;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(wrong_export(), &id, NULL, 0));
	all_is_well();
}

static void unpublish_of_import(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(wrong_export()));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(wrong_export(), NULL, 0));
	all_is_well();
}

static void rebind_of_import(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(wrong_export(), new_memory(L), 0, L));
	all_is_well();
}

static void destroy_of_import(void)
{
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(wrong_export()));
	all_is_well();
}

/* All calls that take the handle of an export. */
static void export_is_gone(export_t segment)
{
	rsm_memseg_id_t id = 0;
	struct pollfd poll_fd;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_publish(segment, &id, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_unpublish(segment));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_republish(segment, NULL, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_rebind(segment, new_memory(L), 0, L));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(segment, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(segment, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(segment, &poll_fd));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_release_pollfd(segment));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_export_destroy(segment));
}

static void import_is_gone(import_t import)
{
	rsm_barrier_mode_t mode;
	struct pollfd poll_fd;
	void *address = NULL;
	rsmapi_barrier_t new;
	uint64_t word = 0;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_put64(import, 0, &word, 1));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get(import, 0, &word, 8));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_unmap(import));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_set_mode(import, RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get_mode(import, &mode));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(import, RSM_BARRIER_NODE, &new));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_post(import, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_intr_signal_wait(import, 0));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_get_pollfd(import, &poll_fd));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_disconnect(import));
}

static void barrier_is_gone(rsmapi_barrier_t *barrier)
{
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_open_barrier(barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_order_barrier(barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_close_barrier(barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, rsm_memseg_import_destroy_barrier(barrier));
}

/* Also when others have come in their places. */
static void gone(void)
{
	struct pair old;

	make_pair(&old);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_open_barrier(&old.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(old.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(old.segment));
	import_is_gone(old.import);
	barrier_is_gone(&old.barrier);
	export_is_gone(old.segment);
	make_pair(&pair);
	import_is_gone(old.import);
	barrier_is_gone(&old.barrier);
	export_is_gone(old.segment);
	all_is_well();
}

static void gone_controller(void)
{
	controller_t old = NULL, new = NULL;
	rsmapi_controller_attr_t attributes;
	rsm_localmemory_handle_t local;
	unsigned char *memory = new_memory(L);
	export_t segment = NULL;
	import_t import = NULL;
	char name[] = "loopback";
	int round;

	REQUIRE(RSM_SUCCESS, rsm_get_controller(name, &old));
	EXPECT(RSM_SUCCESS, rsm_create_localmemory_handle(old, &local, (char *)memory, L));
	EXPECT(RSM_SUCCESS, rsm_free_localmemory_handle(old, local));
	EXPECT(RSMERR_BAD_LOCALMEM_HNDL, rsm_free_localmemory_handle(old, local));
	EXPECT(RSM_SUCCESS, rsm_release_controller(old));
	for (round = 0; round < 2; round++) {
		EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller_attr(old, &attributes));
		EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_export_create(old, &segment, memory, L, 0));
		EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_memseg_import_connect(old, 0, FREE_ID, RSM_PERM_READ, &import));
		EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_create_localmemory_handle(old, &local, (char *)memory, L));
		EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_free_localmemory_handle(old, local));
		EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_release_controller(old));
		if (round == 0)
			REQUIRE(RSM_SUCCESS, rsm_get_controller(name, &new));
	}
	EXPECT(RSM_SUCCESS, rsm_get_controller_attr(new, &attributes));
}

const struct check handle_checks[] = {
	{ "1.9.transfer", "put, get: of an export", transfers_of_export, 0 },
	{ "1.9.unmap", "unmap: of an export", unmap_of_export, 0 },
	{ "1.9.disconnect", "disconnect: of an export", disconnect_of_export, 0 },
	{ "1.9.scatter", "putv, getv: of an export", scatter_of_export, 0 },
	{ "1.9.barrier", "init_barrier, set_mode, get_mode: of an export", barrier_of_export, 0 },
	{ "1.9.publish", "publish: of an import", publish_of_import, 0 },
	{ "1.9.unpublish", "unpublish, republish: of an import", unpublish_of_import, 0 },
	{ "1.9.rebind", "rebind: of an import", rebind_of_import, 0 },
	{ "1.9.destroy", "destroy: of an import", destroy_of_import, 0 },
	{ "1.7.gone", "handles of segments that are gone", gone, 0 },
	{ "D-04.gone", "handles of a controller that was released", gone_controller, 0 },
	{ NULL, NULL, NULL, 0 },
};
