/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The usual preconditions of checks; see segments.h. */
#include "segments.h"

#include <string.h>

controller_t controller(void)
{
	static controller_t handle;
	char name[] = "loopback";

	if (!handle) {
		REQUIRE(RSM_SUCCESS, rsm_get_controller(name, &handle));
		NEED(handle != NULL);
	}
	return handle;
}

rsm_node_id_t local_node(void)
{
	rsm_topology_t *topology = NULL;
	rsm_node_id_t node;

	REQUIRE(RSM_SUCCESS, rsm_get_interconnect_topology(&topology));
	NEED(topology != NULL);
	node = topology->topology_hdr.local_nodeid;
	rsm_free_interconnect_topology(topology);
	return node;
}

rsmapi_access_entry_t *list_of(rsm_permission_t mode)
{
	static rsmapi_access_entry_t entry;

	entry.ae_node = local_node();
	entry.ae_permission = mode;
	return &entry;
}

export_t export_memory(void *memory, size_t length, uint_t flags)
{
	export_t segment = NULL;

	REQUIRE(RSM_SUCCESS, rsm_memseg_export_create(controller(), &segment, memory, length, flags));
	NEED(segment != NULL);
	return segment;
}

rsm_memseg_id_t publish(export_t segment)
{
	rsm_memseg_id_t id = 0;

	REQUIRE(RSM_SUCCESS, rsm_memseg_export_publish(segment, &id, NULL, 0));
	return id;
}

rsm_memseg_id_t publish_mode(export_t segment, rsm_permission_t mode)
{
	rsm_memseg_id_t id = 0;

	REQUIRE(RSM_SUCCESS, rsm_memseg_export_publish(segment, &id, list_of(mode), 1));
	return id;
}

void publish_as(export_t segment, rsm_memseg_id_t id)
{
	REQUIRE(RSM_SUCCESS, rsm_memseg_export_publish(segment, &id, NULL, 0));
}

import_t connect_to(rsm_memseg_id_t id, rsm_permission_t rights)
{
	import_t import = NULL;

	REQUIRE(RSM_SUCCESS, rsm_memseg_import_connect(controller(), local_node(), id, rights, &import));
	NEED(import != NULL);
	return import;
}

void init_barrier(import_t import, rsmapi_barrier_t *barrier)
{
	memset(barrier, 0, sizeof(*barrier));
	REQUIRE(RSM_SUCCESS, rsm_memseg_import_init_barrier(import, RSM_BARRIER_NODE, barrier));
}

unsigned char *map_all(import_t import, rsm_permission_t rights, size_t length)
{
	void *address = NULL;

	REQUIRE(RSM_SUCCESS, rsm_memseg_import_map(import, &address, RSM_MAP_NONE, rights, 0, length));
	NEED(address != NULL);
	return address;
}

void make_pair_of(struct pair *pair, uint_t flags, rsm_permission_t rights)
{
	pair->memory = new_memory(L);
	pair->segment = export_memory(pair->memory, L, flags);
	pair->id = publish(pair->segment);
	pair->import = connect_to(pair->id, rights);
	init_barrier(pair->import, &pair->barrier);
}

void make_pair(struct pair *pair)
{
	make_pair_of(pair, 0, RSM_PERM_RDWR);
}

int take_events(void *handle)
{
	int count = 0;

	while (rsm_intr_signal_wait(handle, 0) == RSM_SUCCESS)
		count++;
	return count;
}

int try_connect(rsm_memseg_id_t id, rsm_permission_t rights)
{
	import_t import = NULL;
	int code = rsm_memseg_import_connect(controller(), local_node(), id, rights, &import);

	if (code == RSM_SUCCESS)
		EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(import));
	else
		CHECK(import == NULL);
	return code;
}
