/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Memory of the heap that is short: the tables of section 6, and that no call ends
 * the process.
 *
 * Each function is called with its first allocation refused, then with its second,
 * and so on until none is; and once more with all later ones refused, too.  It
 * must then do without or, where its table has that error, say so, have changed
 * nothing, and work when there is memory again.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "allocator.h"
#include "namespace.h"
#include "segments.h"

/* What the calls work on. */
static struct {
	struct pair pair;
	controller_t controller;
	unsigned char *other_memory;	/* for rebind: the one that is not bound */
	rsmapi_access_entry_t *list;
	rsm_node_id_t node;
	rsm_topology_t *topology;
	rsm_localmemory_handle_t local;
	struct pollfd poll_fd;
	rsm_iovec_t entry;
	rsm_scat_gath_t request;
	uint64_t data[2];
} with;

/* ---------------------------------------------------------------- before a call */

static void nothing(void)
{
}

static void a_controller(void)
{
	with.controller = controller();
}

static void memory_to_export(void)
{
	a_controller();
	with.pair.memory = new_memory(L);
}

static void an_export(void)
{
	memory_to_export();
	with.pair.segment = export_memory(with.pair.memory, L, RSM_ALLOW_REBIND);
	with.other_memory = new_memory(L);
}

static void a_publication(void)
{
	an_export();
	with.pair.id = publish(with.pair.segment);
	with.list = list_of(0600);
	with.node = local_node();
}

static void a_pair(void)
{
	a_publication();
	with.pair.import = connect_to(with.pair.id, RSM_PERM_RDWR);
	init_barrier(with.pair.import, &with.pair.barrier);
	with.entry.io_type = RSM_VA_TYPE;
	with.entry.local.vaddr = (char *)with.data;
	with.entry.transfer_length = sizeof(with.data);
	with.request.io_request_count = 1;
	with.request.remote_handle = with.pair.import;
	with.request.iovec = &with.entry;
}

static void open_barrier(void)
{
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_open_barrier(&with.pair.barrier));
}

static void an_open_barrier(void)
{
	a_pair();
	open_barrier();
}

static void map_it(void)
{
	map_all(with.pair.import, RSM_PERM_RDWR, L);
}

static void a_mapping(void)
{
	a_pair();
	map_it();
}

static void get_pollfd(void)
{
	REQUIRE(RSM_SUCCESS, rsm_memseg_get_pollfd(with.pair.segment, &with.poll_fd));
}

static void a_reference(void)
{
	an_export();
	get_pollfd();
}

static void post(void)
{
	REQUIRE(RSM_SUCCESS, rsm_intr_signal_post(with.pair.import, 0));
}

static void an_event(void)
{
	a_pair();
	post();
}

static void an_event_to_poll(void)
{
	an_event();
	get_pollfd();
}

static void get_topology(void)
{
	REQUIRE(RSM_SUCCESS, rsm_get_interconnect_topology(&with.topology));
}

static void create_local(void)
{
	REQUIRE(RSM_SUCCESS,
	    rsm_create_localmemory_handle(with.controller, &with.local, (char *)with.pair.memory, L));
}

static void local_memory(void)
{
	memory_to_export();
	create_local();
}

static void a_range(void)
{
	FILE *file;

	hide_directory("/etc");
	NEED(mkdir("/etc/rsm", 0755) == 0);
	file = fopen("/etc/rsm/rsm.segmentid", "w");
	NEED(file && fputs("reserved SUNWfoo 0x600000 1000\n", file) >= 0 && fclose(file) == 0);
}

/* ---------------------------------------------------------------- the calls */

/* Results of a call that fails are left alone, or NULL where its text says so. */
#define UNTOUCHED ((void *)&with)

static int call_get_controller(void)
{
	controller_t handle = UNTOUCHED;
	int code = rsm_get_controller(NULL, &handle);

	if (code == RSM_SUCCESS)
		with.controller = handle;
	else
		CHECK(handle == UNTOUCHED);
	return code;
}

static int call_get_controller_attr(void)
{
	rsmapi_controller_attr_t attributes;

	return rsm_get_controller_attr(with.controller, &attributes);
}

static int call_release_controller(void)
{
	return rsm_release_controller(with.controller);
}

static int call_get_interconnect_topology(void)
{
	int code = rsm_get_interconnect_topology(&with.topology);

	CHECK((code == RSM_SUCCESS) == (with.topology != NULL));
	return code;
}

static int call_free_interconnect_topology(void)
{
	rsm_free_interconnect_topology(with.topology);
	return RSM_SUCCESS;
}

static int call_get_segmentid_range(void)
{
	rsm_memseg_id_t base = 0;
	uint32_t length = 0;
	int code = rsm_get_segmentid_range("SUNWfoo", &base, &length);

	CHECK(base == 0x600000 && length == 1000);
	return code;
}

static int call_export_create(void)
{
	int code = rsm_memseg_export_create(with.controller, &with.pair.segment, with.pair.memory, L, RSM_ALLOW_REBIND);

	CHECK((code == RSM_SUCCESS) == (with.pair.segment != NULL));
	return code;
}

static int call_export_destroy(void)
{
	return rsm_memseg_export_destroy(with.pair.segment);
}

static int call_export_publish(void)
{
	with.pair.id = 0;
	return rsm_memseg_export_publish(with.pair.segment, &with.pair.id, NULL, 0);
}

static int call_export_unpublish(void)
{
	return rsm_memseg_export_unpublish(with.pair.segment);
}

static int call_export_republish(void)
{
	return rsm_memseg_export_republish(with.pair.segment, with.list, 1);
}

static int call_export_rebind(void)
{
	return rsm_memseg_export_rebind(with.pair.segment, with.other_memory, 0, L);
}

static int call_import_connect(void)
{
	int code = rsm_memseg_import_connect(with.controller, with.node, with.pair.id, RSM_PERM_RDWR, &with.pair.import);

	CHECK((code == RSM_SUCCESS) == (with.pair.import != NULL));
	return code;
}

static int call_import_disconnect(void)
{
	return rsm_memseg_import_disconnect(with.pair.import);
}

static int call_import_map(void)
{
	void *address = NULL;

	return rsm_memseg_import_map(with.pair.import, &address, RSM_MAP_NONE, RSM_PERM_RDWR, 0, L);
}

static int call_import_unmap(void)
{
	return rsm_memseg_import_unmap(with.pair.import);
}

#define TRANSFER(name, type) \
	static int call_import_##name(void) \
	{ \
		return rsm_memseg_import_##name(with.pair.import, 0, (type *)(void *)with.data, 1); \
	}

TRANSFER(put, void)
TRANSFER(put8, uint8_t)
TRANSFER(put16, uint16_t)
TRANSFER(put32, uint32_t)
TRANSFER(put64, uint64_t)
TRANSFER(get, void)
TRANSFER(get8, uint8_t)
TRANSFER(get16, uint16_t)
TRANSFER(get32, uint32_t)
TRANSFER(get64, uint64_t)

static int call_import_putv(void)
{
	return rsm_memseg_import_putv(&with.request);
}

static int call_import_getv(void)
{
	return rsm_memseg_import_getv(&with.request);
}

static int call_create_localmemory_handle(void)
{
	rsm_localmemory_handle_t handle = UNTOUCHED;
	int code = rsm_create_localmemory_handle(with.controller, &handle, (char *)with.pair.memory, L);

	if (code == RSM_SUCCESS)
		with.local = handle;
	else
		CHECK(handle == UNTOUCHED);
	return code;
}

static int call_free_localmemory_handle(void)
{
	return rsm_free_localmemory_handle(with.controller, with.local);
}

static int call_import_init_barrier(void)
{
	return rsm_memseg_import_init_barrier(with.pair.import, RSM_BARRIER_NODE, &with.pair.barrier);
}

#define BARRIER(name) \
	static int call_import_##name##_barrier(void) \
	{ \
		return rsm_memseg_import_##name##_barrier(&with.pair.barrier); \
	}

BARRIER(open)
BARRIER(order)
BARRIER(close)
BARRIER(destroy)

static int call_import_set_mode(void)
{
	return rsm_memseg_import_set_mode(with.pair.import, RSM_BARRIER_MODE_EXPLICIT);
}

static int call_import_get_mode(void)
{
	rsm_barrier_mode_t mode;

	return rsm_memseg_import_get_mode(with.pair.import, &mode);
}

static int call_signal_post(void)
{
	return rsm_intr_signal_post(with.pair.import, 0);
}

static int call_signal_wait(void)
{
	return rsm_intr_signal_wait(with.pair.segment, 0);
}

static int call_get_pollfd(void)
{
	struct pollfd poll_fd = { -1, 0, 0 };
	int code = rsm_memseg_get_pollfd(with.pair.segment, &poll_fd);

	CHECK((code == RSM_SUCCESS) == (poll_fd.fd >= 0 && poll_fd.events));
	return code;
}

static int call_release_pollfd(void)
{
	return rsm_memseg_release_pollfd(with.pair.segment);
}

static int call_signal_wait_pollfd(void)
{
	int number;

	return rsm_intr_signal_wait_pollfd(&with.poll_fd, 1, 0, &number);
}

/* ---------------------------------------------------------------- after one that succeeded */

#define UNDO(name, call) \
	static void name(void) \
	{ \
		REQUIRE(RSM_SUCCESS, call()); \
	}

UNDO(release_controller, call_release_controller)
UNDO(get_controller, call_get_controller)
UNDO(free_topology, call_free_interconnect_topology)
UNDO(destroy, call_export_destroy)
UNDO(create, call_export_create)
UNDO(unpublish, call_export_unpublish)
UNDO(publish_again, call_export_publish)
UNDO(disconnect, call_import_disconnect)
UNDO(connect_again, call_import_connect)
UNDO(unmap, call_import_unmap)
UNDO(free_local, call_free_localmemory_handle)
UNDO(init_again, call_import_init_barrier)
UNDO(take_event, call_signal_wait)
UNDO(release_pollfd, call_release_pollfd)

static void exchange_memory(void)
{
	unsigned char *bound = with.other_memory;

	with.other_memory = with.pair.memory;
	with.pair.memory = bound;
}

/* ---------------------------------------------------------------- all functions */

/* Whether the function's table has an error for it; a handle of local memory has those of create. */
enum { MAY_SAY_SO = 1, MUST_DO_WITHOUT = 0 };

struct function {
	const char *name;
	int may_say_so;
	void (*before)(void);
	int (*call)(void);
	void (*undo)(void);
};

static const struct function range_function = {
	"get_segmentid_range", MUST_DO_WITHOUT, a_range, call_get_segmentid_range, nothing,
};

static const struct function functions[] = {
	{ "get_controller", MAY_SAY_SO, nothing, call_get_controller, release_controller },
	{ "get_controller_attr", MUST_DO_WITHOUT, a_controller, call_get_controller_attr, nothing },
	{ "release_controller", MUST_DO_WITHOUT, a_controller, call_release_controller, get_controller },
	{ "get_interconnect_topology", MAY_SAY_SO, nothing, call_get_interconnect_topology, free_topology },
	{ "free_interconnect_topology", MUST_DO_WITHOUT, get_topology, call_free_interconnect_topology, get_topology },
	{ "memseg_export_create", MAY_SAY_SO, memory_to_export, call_export_create, destroy },
	{ "memseg_export_destroy", MUST_DO_WITHOUT, an_export, call_export_destroy, create },
	{ "memseg_export_publish", MAY_SAY_SO, an_export, call_export_publish, unpublish },
	{ "memseg_export_unpublish", MUST_DO_WITHOUT, a_publication, call_export_unpublish, publish_again },
	{ "memseg_export_republish", MUST_DO_WITHOUT, a_publication, call_export_republish, nothing },
	{ "memseg_export_rebind", MAY_SAY_SO, an_export, call_export_rebind, exchange_memory },
	{ "memseg_import_connect", MAY_SAY_SO, a_publication, call_import_connect, disconnect },
	{ "memseg_import_disconnect", MUST_DO_WITHOUT, a_pair, call_import_disconnect, connect_again },
	{ "memseg_import_map", MUST_DO_WITHOUT, a_pair, call_import_map, unmap },
	{ "memseg_import_unmap", MUST_DO_WITHOUT, a_mapping, call_import_unmap, map_it },
	/* Each makes the mapping that it needs. */
	{ "memseg_import_put", MUST_DO_WITHOUT, a_pair, call_import_put, unmap },
	{ "memseg_import_put8", MUST_DO_WITHOUT, a_pair, call_import_put8, unmap },
	{ "memseg_import_put16", MUST_DO_WITHOUT, a_pair, call_import_put16, unmap },
	{ "memseg_import_put32", MUST_DO_WITHOUT, a_pair, call_import_put32, unmap },
	{ "memseg_import_put64", MUST_DO_WITHOUT, a_pair, call_import_put64, unmap },
	{ "memseg_import_get", MUST_DO_WITHOUT, a_pair, call_import_get, unmap },
	{ "memseg_import_get8", MUST_DO_WITHOUT, a_pair, call_import_get8, unmap },
	{ "memseg_import_get16", MUST_DO_WITHOUT, a_pair, call_import_get16, unmap },
	{ "memseg_import_get32", MUST_DO_WITHOUT, a_pair, call_import_get32, unmap },
	{ "memseg_import_get64", MUST_DO_WITHOUT, a_pair, call_import_get64, unmap },
	{ "memseg_import_putv", MUST_DO_WITHOUT, a_pair, call_import_putv, unmap },
	{ "memseg_import_getv", MUST_DO_WITHOUT, a_pair, call_import_getv, unmap },
	{ "create_localmemory_handle", MAY_SAY_SO, memory_to_export, call_create_localmemory_handle, free_local },
	{ "free_localmemory_handle", MUST_DO_WITHOUT, local_memory, call_free_localmemory_handle, create_local },
	{ "memseg_import_init_barrier", MAY_SAY_SO, a_pair, call_import_init_barrier, nothing },
	{ "memseg_import_open_barrier", MUST_DO_WITHOUT, a_pair, call_import_open_barrier, nothing },
	{ "memseg_import_order_barrier", MUST_DO_WITHOUT, an_open_barrier, call_import_order_barrier, nothing },
	{ "memseg_import_close_barrier", MUST_DO_WITHOUT, an_open_barrier, call_import_close_barrier, open_barrier },
	{ "memseg_import_destroy_barrier", MUST_DO_WITHOUT, a_pair, call_import_destroy_barrier, init_again },
	{ "memseg_import_set_mode", MUST_DO_WITHOUT, a_pair, call_import_set_mode, nothing },
	{ "memseg_import_get_mode", MUST_DO_WITHOUT, a_pair, call_import_get_mode, nothing },
	{ "intr_signal_post", MUST_DO_WITHOUT, a_pair, call_signal_post, take_event },
	{ "intr_signal_wait", MUST_DO_WITHOUT, an_event, call_signal_wait, post },
	{ "memseg_get_pollfd", MAY_SAY_SO, an_export, call_get_pollfd, release_pollfd },
	{ "memseg_release_pollfd", MUST_DO_WITHOUT, a_reference, call_release_pollfd, get_pollfd },
	{ "intr_signal_wait_pollfd", MAY_SAY_SO, an_event_to_poll, call_signal_wait_pollfd, post },
};

#define FUNCTIONS (sizeof(functions) / sizeof(functions[0]))

_Static_assert(FUNCTIONS + 1 == 42, "all functions of the library");

/* ---------------------------------------------------------------- refusals */

/* More allocations than any call makes. */
#define MANY 100

/* Refuses one allocation after another.  Returns how many calls met a refusal. */
static int refuse_each(const struct function *function, int for_good, int is_warm)
{
	int descriptors = open_descriptors(), calls = 0;
	long nth, refused = 1;

	for (nth = 1; refused; nth++) {
		long blocks = allocated_blocks();
		int code;

		NEED(nth < MANY);
		refuse_memory(nth, for_good);
		code = function->call();
		refused = stop_refusing_memory();
		calls += refused > 0;
		if (code == RSM_SUCCESS) {
			function->undo();
			descriptors = open_descriptors();
			continue;
		}
		EXPECT(function->may_say_so && refused ? RSMERR_INSUFFICIENT_MEM : RSM_SUCCESS, code);
		CHECK(open_descriptors() == descriptors);
		/* At first there may be some that stay for good, for all handles. */
		if (is_warm)
			CHECK(allocated_blocks() == blocks);
	}
	return calls;
}

/* In a process that has not used the library: what it makes once and keeps is made here. */
static void refuse_all(const struct function *function, int for_good)
{
	long blocks;

	function->before();
	if (!refuse_each(function, for_good, 0))
		return;
	blocks = allocated_blocks();
	refuse_each(function, for_good, 1);
	CHECK(allocated_blocks() == blocks);
}

static const struct function *chosen;

static void once(int line)
{
	(void)line;
	refuse_all(chosen, 0);
}

static void for_good(int line)
{
	(void)line;
	refuse_all(chosen, 1);
}

static void need_refusals(void)
{
	if (!memory_can_be_refused())
		skip("needs an allocator that can be replaced: glibc, without a sanitizer");
}

/* In a process of its own, which may be ended by the call. */
static void try_in_child(void (*part)(int line))
{
	struct peer peer = start(part);
	siginfo_t end;

	memset(&end, 0, sizeof(end));
	if (waitid(P_PID, (id_t)peer.pid, &end, WEXITED | WNOWAIT) || end.si_code != CLD_EXITED || end.si_status)
		note("rsm_%s", chosen->name);
	finish(&peer);
}

/* What is refused to the program is refused to the library. */
static void library_is_refused(void)
{
	need_refusals();
	refuse_memory(1, 1);
	EXPECT(RSMERR_INSUFFICIENT_MEM, rsm_get_interconnect_topology(&with.topology));
	CHECK(stop_refusing_memory() > 0);
	EXPECT(RSM_SUCCESS, rsm_get_interconnect_topology(&with.topology));
}

static void all_functions(void)
{
	need_refusals();
	for (chosen = functions; chosen < functions + FUNCTIONS; chosen++) {
		try_in_child(once);
		try_in_child(for_good);
	}
}

static void ranges(void)
{
	need_refusals();
	refuse_all(&range_function, 0);
	refuse_each(&range_function, 1, 1);
}

const struct check shortage_checks[] = {
	{ "shortage.library", "no memory: the library gets what the program gets", library_is_refused, 0 },
	{ "shortage.functions", "no memory: no function ends the process, or changes anything", all_functions, 0 },
	{ "shortage.range", "no memory: get_segmentid_range does without", ranges, 0 },
	{ NULL, NULL, NULL, 0 },
};
