/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Signals both ways.  The importer puts a number and signals; the exporter waits
 * on its poll descriptor, beside a pipe as a server would have one, checks the
 * number, and signals back.  What was put before the signal is there after it.
 */
#include <stdint.h>

#include "example.h"

#define ROUNDS 1000

static void serve(struct out_of_band *way, struct out_of_band *stop)
{
	rsmapi_controller_handle_t controller = loopback();
	size_t length = (size_t)sysconf(_SC_PAGESIZE);
	rsm_memseg_export_handle_t segment;
	volatile uint64_t *memory = pages(length);
	rsm_memseg_id_t id = 0;
	struct pollfd fds[2];
	uint64_t rounds = 0;
	int ready;

	must(rsm_memseg_export_create(controller, &segment, (void *)(uintptr_t)memory, length, 0));
	must(rsm_memseg_export_publish(segment, &id, NULL, 0));
	must(rsm_memseg_get_pollfd(segment, &fds[0]));
	fds[1].fd = stop->ends[0];
	fds[1].events = POLLIN;
	tell(way, id);
	for (;;) {
		must(rsm_intr_signal_wait_pollfd(fds, 2, 600000, &ready));
		check(ready >= 1);
		if (fds[0].revents == POLLRDNORM) {
			check(*memory == ++rounds);
			must(rsm_intr_signal_post(segment, 0));
		} else if (fds[1].revents) {
			break;
		}
	}
	check(rounds == ROUNDS);
	must(rsm_memseg_release_pollfd(segment));
	must(rsm_memseg_export_destroy(segment));
	must(rsm_release_controller(controller));
	printf("%d rounds\n", ROUNDS);
}

static void play(struct out_of_band *way, struct out_of_band *stop)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_import_handle_t segment;
	rsmapi_barrier_t barrier;
	uint64_t number;

	must(rsm_memseg_import_connect(controller, local_node(), hear(way), RSM_PERM_RDWR, &segment));
	must(rsm_memseg_import_init_barrier(segment, RSM_BARRIER_NODE, &barrier));
	for (number = 1; number <= ROUNDS; number++) {
		must(rsm_memseg_import_put64(segment, 0, &number, 1));
		must(rsm_intr_signal_post(segment, 0));
		must(rsm_intr_signal_wait(segment, 600000));
	}
	must(rsm_memseg_import_destroy_barrier(&barrier));
	must(rsm_memseg_import_disconnect(segment));
	must(rsm_release_controller(controller));
	tell(stop, 0);
}

int main(void)
{
	struct out_of_band way, stop;
	pid_t player;

	check(pipe(way.ends) == 0 && pipe(stop.ends) == 0);
	player = fork();
	check(player >= 0);
	if (player == 0) {
		play(&way, &stop);
		return 0;
	}
	serve(&way, &stop);
	wait_for(player);
	return 0;
}
