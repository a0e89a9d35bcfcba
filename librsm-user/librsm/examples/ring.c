/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A ring of messages in mapped memory.  The importer produces, and brackets what
 * it stores with a barrier: order_barrier has the message complete before the
 * index that announces it, close_barrier says whether all has arrived.  The
 * exporter consumes from its own memory, and signals that there is room again.
 */
#include <stdint.h>
#include <string.h>

#include "example.h"

#define SLOTS 8
#define MESSAGES 1000

struct message {
	uint64_t number;
	char text[56];
};

/* The first page has the indices, the second one the messages. */
struct ring {
	_Alignas(4096) volatile uint64_t written;
	volatile uint64_t taken;
	_Alignas(4096) struct message slot[SLOTS];
};

static void compose(struct message *message, uint64_t number)
{
	memset(message, 0, sizeof(*message));
	message->number = number;
	snprintf(message->text, sizeof(message->text), "message %llu", (unsigned long long)number);
}

static void consume(struct out_of_band *way)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_export_handle_t segment;
	rsmapi_access_entry_t access = { local_node(), 0666 };
	struct ring *ring = pages(sizeof(*ring));
	rsm_memseg_id_t id = 0;
	uint64_t next;

	must(rsm_memseg_export_create(controller, &segment, ring, sizeof(*ring), 0));
	must(rsm_memseg_export_publish(segment, &id, &access, 1));
	tell(way, id);
	for (next = 0; next < MESSAGES; next++) {
		struct message wanted;

		while (ring->written == next)
			must(rsm_intr_signal_wait(segment, 600000));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		compose(&wanted, next);
		check(memcmp(&ring->slot[next % SLOTS], &wanted, sizeof(wanted)) == 0);
		__atomic_thread_fence(__ATOMIC_RELEASE);
		ring->taken = next + 1;
		must(rsm_intr_signal_post(segment, RSM_SIGPOST_NO_ACCUMULATE));
	}
	must(rsm_memseg_export_destroy(segment));
	must(rsm_release_controller(controller));
	printf("consumer: %d messages\n", MESSAGES);
}

static void produce(struct out_of_band *way)
{
	rsmapi_controller_handle_t controller = loopback();
	rsm_memseg_import_handle_t segment;
	rsmapi_barrier_t barrier;
	struct ring *ring;
	void *address;
	uint64_t next;

	must(rsm_memseg_import_connect(controller, local_node(), hear(way), RSM_PERM_RDWR, &segment));
	must(rsm_memseg_import_set_mode(segment, RSM_BARRIER_MODE_EXPLICIT));
	must(rsm_memseg_import_init_barrier(segment, RSM_BARRIER_NODE, &barrier));
	must(rsm_memseg_import_map(segment, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, sizeof(*ring)));
	ring = address;
	for (next = 0; next < MESSAGES; next++) {
		while (next - ring->taken == SLOTS)
			must(rsm_intr_signal_wait(segment, 600000));
		must(rsm_memseg_import_open_barrier(&barrier));
		compose(&ring->slot[next % SLOTS], next);
		must(rsm_memseg_import_order_barrier(&barrier));
		ring->written = next + 1;
		/* The consumer goes away when it has them all. */
		if (next + 1 < MESSAGES)
			must(rsm_memseg_import_close_barrier(&barrier));
		else
			rsm_memseg_import_close_barrier(&barrier);
		rsm_intr_signal_post(segment, 0);
	}
	must(rsm_memseg_import_unmap(segment));
	must(rsm_memseg_import_destroy_barrier(&barrier));
	must(rsm_memseg_import_disconnect(segment));
	must(rsm_release_controller(controller));
}

int main(void)
{
	struct out_of_band way;
	pid_t producer;

	check(pipe(way.ends) == 0);
	producer = fork();
	check(producer >= 0);
	if (producer == 0) {
		produce(&way);
		return 0;
	}
	consume(&way);
	wait_for(producer);
	return 0;
}
