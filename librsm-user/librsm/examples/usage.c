/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The program that the Programming Interfaces Guide uses as its example, with
 * the names and the header that are printed there.  An exporter publishes 8 KiB
 * under a fixed id and waits for a signal; an importer writes a line into them
 * and signals.
 *
 *  usage                       both, on this machine, with a line of its own
 *  usage -e [-n NODE]          the exporter; NODE is the importer's
 *  usage -i [-n NODE]          the importer, with a line from standard input
 *
 * Build it with -DRSM_GUIDE_NAMES: the Guide says rsm_access_entry_t.
 */
#include <rsm/rsmpai.h>

#include <string.h>

#include "example.h"

#define RSM_ACCESS_TRUSTED 0666

#define SEGMENT_ID 0x400000
#define SEGMENT_SIZE (1024 * 8)

static int export_segment(rsm_node_id_t importer, const char *expected, struct out_of_band *ready)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_export_handle_t segment;
	rsm_memseg_id_t id = SEGMENT_ID;
	rsm_access_entry_t access[1];
	char *buffer = pages(SEGMENT_SIZE);

	must(rsm_memseg_export_create(controller, &segment, buffer, SEGMENT_SIZE, 0));
	access[0].ae_node = importer;
	access[0].ae_permission = RSM_ACCESS_TRUSTED;
	must(rsm_memseg_export_publish(segment, &id, access, 1));
	if (ready)
		tell(ready, 0);
	must(rsm_intr_signal_wait(segment, 600000));
	printf("exporter: the importer wrote: %s\n", buffer);
	if (expected)
		check(strcmp(buffer, expected) == 0);
	must(rsm_memseg_export_unpublish(segment));
	must(rsm_memseg_export_destroy(segment));
	must(rsm_release_controller(controller));
	return 0;
}

static int import_segment(rsm_node_id_t exporter, const char *line)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_import_handle_t segment;
	rsmapi_barrier_t barrier;
	char text[SEGMENT_SIZE] = "";

	strncpy(text, line, sizeof(text) - 1);
	must(rsm_memseg_import_connect(controller, exporter, SEGMENT_ID, RSM_PERM_RDWR, &segment));
	must(rsm_memseg_import_init_barrier(segment, RSM_BAR_DEFAULT, &barrier));
	must(rsm_memseg_import_put(segment, 0, text, strlen(text) + 1));
	must(rsm_intr_signal_post(segment, 0));
	must(rsm_memseg_import_destroy_barrier(&barrier));
	must(rsm_memseg_import_disconnect(segment));
	must(rsm_release_controller(controller));
	return 0;
}

int main(int argc, char **argv)
{
	static const char line[] = "hello from the importer";
	rsm_node_id_t node = local_node();
	struct out_of_band ready;
	char input[256] = "";
	int option, role = 0;
	pid_t importer;

	while ((option = getopt(argc, argv, "ein:")) != -1) {
		if (option == 'n')
			node = (rsm_node_id_t)strtoul(optarg, NULL, 0);
		else if (option == '?')
			return 2;
		else
			role = option;
	}
	if (role == 'e')
		return export_segment(node, NULL, NULL);
	if (role == 'i') {
		check(fgets(input, sizeof(input), stdin) != NULL);
		input[strcspn(input, "\n")] = 0;
		return import_segment(node, input);
	}
	check(pipe(ready.ends) == 0);
	importer = fork();
	check(importer >= 0);
	if (importer == 0) {
		hear(&ready);
		return import_segment(node, line);
	}
	export_segment(node, line, &ready);
	wait_for(importer);
	return 0;
}
