/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The header is what abi.def says.  Compiles, or does not; in C and in C++, of
 * any age.
 */
#include <rsmapi.h>
#include <rsmapi.h>	/* a second time does no harm */

#define CHECK_(line, condition) typedef char check_##line[(condition) ? 1 : -1]
#define CHECK(line, condition) CHECK_(line, condition)

/* The alignment of a type is where it goes behind a char. */
#define ALIGNMENT(type) offsetof(struct behind_##type, value)

#define TYPE(type, size, alignment) \
	struct behind_##type { char before; type value; }; \
	typedef char size_of_##type[sizeof(type) == (size) ? 1 : -1]; \
	typedef char alignment_of_##type[ALIGNMENT(type) == (alignment) ? 1 : -1];
#define FIELD(type, field, offset) \
	typedef char offset_of_##type##_##field[offsetof(type, field) == (offset) ? 1 : -1];
#define VALUE(name, value) \
	typedef char value_of_##name[(name) == (value) ? 1 : -1];
#define FUNCTION(name)

#ifdef __LP64__
#include "abi.def"
#endif

CHECK(handle_is_first, offsetof(rsm_iovec_t, local.handle) == offsetof(rsm_iovec_t, local.vaddr));
CHECK(default_barrier, RSM_BAR_DEFAULT == RSM_BARRIER_NODE);
CHECK(misspelt_flag, RSM_SIG_POST_NO_ACCUMULATE == RSM_SIGPOST_NO_ACCUMULATE);
CHECK(guide_type, sizeof(rsm_map_attr_t) == sizeof(rsm_attribute_t));
CHECK(true_is_one, B_FALSE == 0 && B_TRUE == 1);
#ifdef RSM_GUIDE_NAMES
CHECK(guide_entry, sizeof(rsm_access_entry_t) == sizeof(rsmapi_access_entry_t));
#endif

/* All functions are there, with C linkage and with these types. */
struct functions {
	int (*get_controller)(char *, rsmapi_controller_handle_t *);
	int (*get_controller_attr)(rsmapi_controller_handle_t, rsmapi_controller_attr_t *);
	int (*release_controller)(rsmapi_controller_handle_t);
	int (*get_topology)(rsm_topology_t **);
	void (*free_topology)(rsm_topology_t *);
	int (*get_range)(const char *, rsm_memseg_id_t *, uint32_t *);
	int (*create)(rsmapi_controller_handle_t, rsm_memseg_export_handle_t *, void *, size_t, unsigned int);
	int (*on_export[2])(rsm_memseg_export_handle_t);
	int (*rebind)(rsm_memseg_export_handle_t, void *, offset_t, size_t);
	int (*publish)(rsm_memseg_export_handle_t, rsm_memseg_id_t *, rsmapi_access_entry_t *, unsigned int);
	int (*republish)(rsm_memseg_export_handle_t, rsmapi_access_entry_t *, unsigned int);
	int (*connect)(rsmapi_controller_handle_t, rsm_node_id_t, rsm_memseg_id_t, rsm_permission_t,
	    rsm_memseg_import_handle_t *);
	int (*on_import[2])(rsm_memseg_import_handle_t);
	int (*map)(rsm_memseg_import_handle_t, void **, rsm_attribute_t, rsm_permission_t, off_t, size_t);
	int (*bytes[2])(rsm_memseg_import_handle_t, off_t, void *, size_t);
	int (*words8[2])(rsm_memseg_import_handle_t, off_t, uint8_t *, unsigned long);
	int (*words16[2])(rsm_memseg_import_handle_t, off_t, uint16_t *, unsigned long);
	int (*words32[2])(rsm_memseg_import_handle_t, off_t, uint32_t *, unsigned long);
	int (*words64[2])(rsm_memseg_import_handle_t, off_t, uint64_t *, unsigned long);
	int (*scatter[2])(rsm_scat_gath_t *);
	int (*create_local)(rsmapi_controller_handle_t, rsm_localmemory_handle_t *, caddr_t, size_t);
	int (*free_local)(rsmapi_controller_handle_t, rsm_localmemory_handle_t);
	int (*init_barrier)(rsm_memseg_import_handle_t, rsm_barrier_type_t, rsmapi_barrier_t *);
	int (*on_barrier[4])(rsmapi_barrier_t *);
	int (*set_mode)(rsm_memseg_import_handle_t, rsm_barrier_mode_t);
	int (*get_mode)(rsm_memseg_import_handle_t, rsm_barrier_mode_t *);
	int (*post)(void *, unsigned int);
	int (*wait)(void *, int);
	int (*wait_pollfd)(struct pollfd *, nfds_t, int, int *);
	int (*get_pollfd)(void *, struct pollfd *);
	int (*release_pollfd)(void *);
};

extern const struct functions functions;
const struct functions functions = {
	rsm_get_controller, rsm_get_controller_attr, rsm_release_controller,
	rsm_get_interconnect_topology, rsm_free_interconnect_topology, rsm_get_segmentid_range,
	rsm_memseg_export_create, { rsm_memseg_export_destroy, rsm_memseg_export_unpublish },
	rsm_memseg_export_rebind, rsm_memseg_export_publish, rsm_memseg_export_republish,
	rsm_memseg_import_connect, { rsm_memseg_import_disconnect, rsm_memseg_import_unmap },
	rsm_memseg_import_map,
	{ rsm_memseg_import_get, rsm_memseg_import_put },
	{ rsm_memseg_import_get8, rsm_memseg_import_put8 },
	{ rsm_memseg_import_get16, rsm_memseg_import_put16 },
	{ rsm_memseg_import_get32, rsm_memseg_import_put32 },
	{ rsm_memseg_import_get64, rsm_memseg_import_put64 },
	{ rsm_memseg_import_getv, rsm_memseg_import_putv },
	rsm_create_localmemory_handle, rsm_free_localmemory_handle,
	rsm_memseg_import_init_barrier,
	{ rsm_memseg_import_open_barrier, rsm_memseg_import_order_barrier,
	  rsm_memseg_import_close_barrier, rsm_memseg_import_destroy_barrier },
	rsm_memseg_import_set_mode, rsm_memseg_import_get_mode,
	rsm_intr_signal_post, rsm_intr_signal_wait, rsm_intr_signal_wait_pollfd,
	rsm_memseg_get_pollfd, rsm_memseg_release_pollfd
};
