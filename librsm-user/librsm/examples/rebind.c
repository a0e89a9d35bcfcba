/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Other memory behind a segment.  While both sides keep still the exporter
 * rebinds the segment to a copy; the importer's mapping shows the copy, its
 * connection and its barriers do not notice.
 */
#include <string.h>

#include "example.h"

static size_t length;

static void export_and_move(struct out_of_band *way)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_export_handle_t segment;
	char *old = pages(length), *new = pages(length);
	rsm_memseg_id_t id = 0;

	strcpy(old, "the old place");
	must(rsm_memseg_export_create(controller, &segment, old, length, RSM_ALLOW_REBIND));
	must(rsm_memseg_export_publish(segment, &id, NULL, 0));
	tell(way, id);
	/* The importer has looked, and keeps still. */
	must(rsm_intr_signal_wait(segment, 600000));
	memcpy(new, old, length);
	strcpy(new, "the new place");
	must(rsm_memseg_export_rebind(segment, new, 0, length));
	check(munmap(old, length) == 0);
	must(rsm_intr_signal_post(segment, 0));
	must(rsm_intr_signal_wait(segment, 600000));
	check(strcmp(new, "written by the importer") == 0);
	must(rsm_memseg_export_destroy(segment));
	must(rsm_release_controller(controller));
	printf("moved\n");
}

static void import_and_look(struct out_of_band *way)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_import_handle_t segment;
	rsmapi_barrier_t barrier;
	void *address;
	char *window;

	must(rsm_memseg_import_connect(controller, local_node(), hear(way), RSM_PERM_RDWR, &segment));
	must(rsm_memseg_import_set_mode(segment, RSM_BARRIER_MODE_EXPLICIT));
	must(rsm_memseg_import_init_barrier(segment, RSM_BARRIER_NODE, &barrier));
	must(rsm_memseg_import_map(segment, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, length));
	window = address;
	must(rsm_memseg_import_open_barrier(&barrier));
	check(strcmp(window, "the old place") == 0);
	must(rsm_intr_signal_post(segment, 0));
	must(rsm_intr_signal_wait(segment, 600000));
	check(strcmp(window, "the new place") == 0);
	strcpy(window, "written by the importer");
	must(rsm_memseg_import_close_barrier(&barrier));
	must(rsm_intr_signal_post(segment, 0));
	must(rsm_memseg_import_unmap(segment));
	must(rsm_memseg_import_destroy_barrier(&barrier));
	must(rsm_memseg_import_disconnect(segment));
	must(rsm_release_controller(controller));
}

int main(void)
{
	struct out_of_band way;
	pid_t importer;

	length = 4 * (size_t)sysconf(_SC_PAGESIZE);
	check(pipe(way.ends) == 0);
	importer = fork();
	check(importer >= 0);
	if (importer == 0) {
		import_and_look(&way);
		return 0;
	}
	export_and_move(&way);
	wait_for(importer);
	return 0;
}
