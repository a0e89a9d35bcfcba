/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An exporter dies, and an importer goes on.  What the importer stores meanwhile
 * goes nowhere, and does no harm; close_barrier tells.  It cleans up, and
 * connects again as soon as a successor has published the id.
 */
#include <signal.h>
#include <string.h>

#include "example.h"

#define SEGMENT_ID 0x600000

static size_t length;

/* Publishes, says so, and stays until it is killed. */
static pid_t start_exporter(const char *text, struct out_of_band *way)
{
	rsmapi_controller_handle_t controller;
	rsm_memseg_export_handle_t segment;
	rsm_memseg_id_t id = SEGMENT_ID;
	char *memory;
	pid_t pid = fork();

	check(pid >= 0);
	if (pid > 0)
		return pid;
	controller = loopback();
	memory = pages(length);
	strcpy(memory, text);
	must(rsm_memseg_export_create(controller, &segment, memory, length, 0));
	must(rsm_memseg_export_publish(segment, &id, NULL, 0));
	tell(way, 0);
	/* Not for ever: who should kill us may have given up. */
	sleep(600);
	exit(1);
}

struct connection {
	rsm_memseg_import_handle_t segment;
	rsmapi_barrier_t barrier;
	char *window;
};

static int open_connection(rsmapi_controller_handle_t controller, struct connection *connection)
{
	void *address;
	int code;

	code = rsm_memseg_import_connect(controller, local_node(), SEGMENT_ID, RSM_PERM_RDWR, &connection->segment);
	if (code != RSM_SUCCESS)
		return code;
	must(rsm_memseg_import_set_mode(connection->segment, RSM_BARRIER_MODE_EXPLICIT));
	must(rsm_memseg_import_init_barrier(connection->segment, RSM_BARRIER_NODE, &connection->barrier));
	must(rsm_memseg_import_map(connection->segment, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, length));
	connection->window = address;
	return RSM_SUCCESS;
}

static void close_connection(struct connection *connection)
{
	must(rsm_memseg_import_unmap(connection->segment));
	must(rsm_memseg_import_destroy_barrier(&connection->barrier));
	must(rsm_memseg_import_disconnect(connection->segment));
}

static void end(pid_t exporter)
{
	check(kill(exporter, SIGKILL) == 0);
	check(waitpid(exporter, NULL, 0) == exporter);
}

int main(void)
{
	rsmapi_controller_handle_t controller;
	struct connection connection;
	struct out_of_band way;
	pid_t exporter;

	length = (size_t)sysconf(_SC_PAGESIZE);
	check(pipe(way.ends) == 0);
	exporter = start_exporter("the first one", &way);
	hear(&way);
	controller = loopback();
	must(open_connection(controller, &connection));
	check(strcmp(connection.window, "the first one") == 0);

	must(rsm_memseg_import_open_barrier(&connection.barrier));
	end(exporter);
	strcpy(connection.window, "lost");
	expect(RSMERR_CONN_ABORTED, rsm_memseg_import_close_barrier(&connection.barrier));
	/* A wait is not woken: waiters take a timeout, and try a barrier. */
	expect(RSMERR_TIMEOUT, rsm_intr_signal_wait(connection.segment, 100));
	close_connection(&connection);
	expect(RSMERR_SEG_NOT_PUBLISHED, open_connection(controller, &connection));

	exporter = start_exporter("its successor", &way);
	hear(&way);
	must(open_connection(controller, &connection));
	check(strcmp(connection.window, "its successor") == 0);
	must(rsm_memseg_import_open_barrier(&connection.barrier));
	strcpy(connection.window, "arrived");
	must(rsm_memseg_import_close_barrier(&connection.barrier));
	close_connection(&connection);
	end(exporter);
	must(rsm_release_controller(controller));
	printf("recovered\n");
	return 0;
}
