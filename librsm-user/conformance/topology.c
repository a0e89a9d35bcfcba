/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Topology: B2, and section 6.2. */
#include <stdint.h>

#include "segments.h"

static void t017(void)
{
	EXPECT(RSMERR_BAD_TOPOLOGY_PTR, rsm_get_interconnect_topology(NULL));
}

static void t018(void)
{
	rsm_topology_t *topology = NULL;
	uintptr_t start, last;
	uint_t i;

	REQUIRE(RSM_SUCCESS, rsm_get_interconnect_topology(&topology));
	NEED(topology != NULL);
	start = (uintptr_t)topology;
	CHECK(start % 8 == 0);
	/* One block: records follow the pointers, and each other. */
	last = (uintptr_t)&topology->connections[topology->topology_hdr.local_cntlr_count];
	for (i = 0; i < topology->topology_hdr.local_cntlr_count; i++) {
		uintptr_t record = (uintptr_t)topology->connections[i];

		CHECK(record >= last && record - start < 1 << 24 && record % 8 == 0);
		last = record;
	}
	rsm_free_interconnect_topology(topology);
}

static void t019(void)
{
	rsm_topology_t *topology = NULL;

	REQUIRE(RSM_SUCCESS, rsm_get_interconnect_topology(&topology));
	CHECK(topology->topology_hdr.local_cntlr_count == 0);
	CHECK(topology->topology_hdr.local_nodeid <= 63);
	rsm_free_interconnect_topology(topology);
}

static void t021(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = export_memory(memory, L, 0);
	rsm_memseg_id_t id = publish_mode(segment, 0666);

	EXPECT(RSM_SUCCESS, try_connect(id, RSM_PERM_RDWR));
}

static void t022(void)
{
	rsm_free_interconnect_topology(NULL);
}

const struct check topology_checks[] = {
	{ "T017", "get_interconnect_topology: no place for the pointer", t017, 0 },
	{ "T018", "get_interconnect_topology: one aligned block", t018, 0 },
	{ "T019", "get_interconnect_topology: loopback is not listed", t019, 0 },
	{ "T021", "get_interconnect_topology: the node id is that of connect and access lists", t021, 0 },
	{ "T022", "free_interconnect_topology: nothing", t022, 0 },
	{ NULL, NULL, NULL, 0 },
};
