/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The usual preconditions of checks, by the letters that the conformance
 * statements use: a controller, an exported and a published segment, an import,
 * a barrier.  Each gives the check up if it cannot be had.
 */
#ifndef SEGMENTS_H
#define SEGMENTS_H

#include "harness.h"

typedef rsmapi_controller_handle_t controller_t;
typedef rsm_memseg_export_handle_t export_t;
typedef rsm_memseg_import_handle_t import_t;

#define PS (page_size())
#define L (4 * page_size())

/* Ids that programs may choose. */
enum { FREE_ID = 0x600000, ANOTHER_ID = 0x600001 };

/* CTL: got once per process. */
controller_t controller(void);

/* N. */
rsm_node_id_t local_node(void);

/* An access list for the local node; valid until the next call. */
rsmapi_access_entry_t *list_of(rsm_permission_t mode);

/* E over memory of length bytes. */
export_t export_memory(void *memory, size_t length, uint_t flags);

/* P: publishes under an id of the system's, without a list, or with this mode. */
rsm_memseg_id_t publish(export_t segment);
rsm_memseg_id_t publish_mode(export_t segment, rsm_permission_t mode);
void publish_as(export_t segment, rsm_memseg_id_t id);

/* I. */
import_t connect_to(rsm_memseg_id_t id, rsm_permission_t rights);

/* B. */
void init_barrier(import_t import, rsmapi_barrier_t *barrier);

/* A mapping of the whole segment (length bytes) with these rights. */
unsigned char *map_all(import_t import, rsm_permission_t rights, size_t length);

/* Everything at once, in one process. */
struct pair {
	unsigned char *memory;	/* BUF, L bytes, filled with seed 0 */
	export_t segment;
	rsm_memseg_id_t id;
	import_t import;
	rsmapi_barrier_t barrier;
};

void make_pair(struct pair *pair);	/* E, P, I, B */
void make_pair_of(struct pair *pair, uint_t flags, rsm_permission_t rights);

/* The pending events of a handle: takes them all. */
int take_events(void *handle);

/* What a connect returns; a connection that is made is closed again. */
int try_connect(rsm_memseg_id_t id, rsm_permission_t rights);

#endif
