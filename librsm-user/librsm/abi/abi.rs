// SPDX-License-Identifier: MIT OR Apache-2.0
// Made from abi.def by to-rust.awk. For include! where the types and constants
// of rsmapi.h are in scope.

const _: () = assert!(size_of::<rsm_addr_t>() == 8);
const _: () = assert!(align_of::<rsm_addr_t>() == 8);
const _: () = assert!(size_of::<rsm_node_id_t>() == 4);
const _: () = assert!(align_of::<rsm_node_id_t>() == 4);
const _: () = assert!(size_of::<rsm_memseg_id_t>() == 4);
const _: () = assert!(align_of::<rsm_memseg_id_t>() == 4);
const _: () = assert!(size_of::<rsm_permission_t>() == 4);
const _: () = assert!(align_of::<rsm_permission_t>() == 4);
const _: () = assert!(size_of::<rsmapi_controller_handle_t>() == 8);
const _: () = assert!(align_of::<rsmapi_controller_handle_t>() == 8);
const _: () = assert!(size_of::<rsm_memseg_export_handle_t>() == 8);
const _: () = assert!(align_of::<rsm_memseg_export_handle_t>() == 8);
const _: () = assert!(size_of::<rsm_memseg_import_handle_t>() == 8);
const _: () = assert!(align_of::<rsm_memseg_import_handle_t>() == 8);
const _: () = assert!(size_of::<rsm_localmemory_handle_t>() == 8);
const _: () = assert!(align_of::<rsm_localmemory_handle_t>() == 8);
const _: () = assert!(size_of::<rsm_attribute_t>() == 4);
const _: () = assert!(align_of::<rsm_attribute_t>() == 4);
const _: () = assert!(size_of::<rsm_access_size_t>() == 4);
const _: () = assert!(align_of::<rsm_access_size_t>() == 4);
const _: () = assert!(size_of::<rsm_barrier_type_t>() == 4);
const _: () = assert!(align_of::<rsm_barrier_type_t>() == 4);
const _: () = assert!(size_of::<rsm_barrier_mode_t>() == 4);
const _: () = assert!(align_of::<rsm_barrier_mode_t>() == 4);
const _: () = assert!(size_of::<uchar_t>() == 1);
const _: () = assert!(align_of::<uchar_t>() == 1);
const _: () = assert!(size_of::<uint_t>() == 4);
const _: () = assert!(align_of::<uint_t>() == 4);
const _: () = assert!(size_of::<ulong_t>() == 8);
const _: () = assert!(align_of::<ulong_t>() == 8);
const _: () = assert!(size_of::<offset_t>() == 8);
const _: () = assert!(align_of::<offset_t>() == 8);
const _: () = assert!(size_of::<caddr_t>() == 8);
const _: () = assert!(align_of::<caddr_t>() == 8);
const _: () = assert!(size_of::<boolean_t>() == 4);
const _: () = assert!(align_of::<boolean_t>() == 4);
const _: () = assert!(size_of::<rsmapi_controller_attr_t>() == 64);
const _: () = assert!(align_of::<rsmapi_controller_attr_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_direct_access_sizes) == 0);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_atomic_sizes) == 4);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_page_size) == 8);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_max_export_segment_size) == 16);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_tot_export_segment_size) == 24);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_max_export_segments) == 32);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_max_import_map_size) == 40);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_tot_import_map_size) == 48);
const _: () = assert!(core::mem::offset_of!(rsmapi_controller_attr_t, attr_max_import_segments) == 56);
const _: () = assert!(size_of::<rsmapi_access_entry_t>() == 8);
const _: () = assert!(align_of::<rsmapi_access_entry_t>() == 4);
const _: () = assert!(core::mem::offset_of!(rsmapi_access_entry_t, ae_node) == 0);
const _: () = assert!(core::mem::offset_of!(rsmapi_access_entry_t, ae_permission) == 4);
const _: () = assert!(size_of::<rsmapi_barrier_t>() == 24);
const _: () = assert!(align_of::<rsmapi_barrier_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsmapi_barrier_t, seg) == 0);
const _: () = assert!(core::mem::offset_of!(rsmapi_barrier_t, gnum) == 8);
const _: () = assert!(core::mem::offset_of!(rsmapi_barrier_t, privdata) == 16);
const _: () = assert!(size_of::<rsm_iovec_t>() == 40);
const _: () = assert!(align_of::<rsm_iovec_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_iovec_t, io_type) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_iovec_t, local) == 8);
const _: () = assert!(core::mem::offset_of!(rsm_iovec_t, local_offset) == 16);
const _: () = assert!(core::mem::offset_of!(rsm_iovec_t, remote_offset) == 24);
const _: () = assert!(core::mem::offset_of!(rsm_iovec_t, transfer_length) == 32);
const _: () = assert!(size_of::<rsm_scat_gath_t>() == 48);
const _: () = assert!(align_of::<rsm_scat_gath_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, local_nodeid) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, io_request_count) == 8);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, io_residual_count) == 16);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, flags) == 24);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, remote_handle) == 32);
const _: () = assert!(core::mem::offset_of!(rsm_scat_gath_t, iovec) == 40);
const _: () = assert!(size_of::<rsm_topology_hdr_t>() == 8);
const _: () = assert!(align_of::<rsm_topology_hdr_t>() == 4);
const _: () = assert!(core::mem::offset_of!(rsm_topology_hdr_t, local_nodeid) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_topology_hdr_t, local_cntlr_count) == 4);
const _: () = assert!(size_of::<rsm_connections_hdr_t>() == 272);
const _: () = assert!(align_of::<rsm_connections_hdr_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_connections_hdr_t, cntlr_name) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_connections_hdr_t, local_hwaddr) == 256);
const _: () = assert!(core::mem::offset_of!(rsm_connections_hdr_t, remote_cntlr_count) == 264);
const _: () = assert!(size_of::<rsm_remote_cntlr_t>() == 280);
const _: () = assert!(align_of::<rsm_remote_cntlr_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_remote_cntlr_t, remote_nodeid) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_remote_cntlr_t, remote_cntlrname) == 4);
const _: () = assert!(core::mem::offset_of!(rsm_remote_cntlr_t, remote_hwaddr) == 264);
const _: () = assert!(core::mem::offset_of!(rsm_remote_cntlr_t, connection_state) == 272);
const _: () = assert!(size_of::<rsm_connections_t>() == 552);
const _: () = assert!(align_of::<rsm_connections_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_connections_t, hdr) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_connections_t, remote_cntlr) == 272);
const _: () = assert!(size_of::<rsm_topology_t>() == 16);
const _: () = assert!(align_of::<rsm_topology_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_topology_t, topology_hdr) == 0);
const _: () = assert!(core::mem::offset_of!(rsm_topology_t, connections) == 8);
const _: () = assert!(size_of::<rsm_barrier_component_t>() == 8);
const _: () = assert!(align_of::<rsm_barrier_component_t>() == 8);
const _: () = assert!(size_of::<rsm_barrier_t>() == 32);
const _: () = assert!(align_of::<rsm_barrier_t>() == 8);
const _: () = assert!(core::mem::offset_of!(rsm_barrier_t, comp) == 0);
const _: () = assert!(MAXNAMELEN as u64 == 256);
const _: () = assert!(RSM_VERSION as u64 == 5);
const _: () = assert!(RSM_PERM_NONE as u64 == 0);
const _: () = assert!(RSM_PERM_READ as u64 == 256);
const _: () = assert!(RSM_PERM_WRITE as u64 == 128);
const _: () = assert!(RSM_PERM_RDWR as u64 == 384);
const _: () = assert!(RSM_ALLOW_REBIND as u64 == 1);
const _: () = assert!(RSM_CREATE_SEG_DONTWAIT as u64 == 2);
const _: () = assert!(RSM_LOCK_OPS as u64 == 4);
const _: () = assert!(RSM_MAP_NONE as u64 == 0);
const _: () = assert!(RSM_MAP_FIXED as u64 == 1);
const _: () = assert!(RSM_MAP_RESERVED as u64 == 2);
const _: () = assert!(RSM_BARRIER_SEGMENT as u64 == 0x01);
const _: () = assert!(RSM_BARRIER_NODE as u64 == 0x02);
const _: () = assert!(RSM_BARRIER_SEGMENT_THREAD as u64 == 0x11);
const _: () = assert!(RSM_BARRIER_NODE_THREAD as u64 == 0x12);
const _: () = assert!(RSM_BARRIER_MODE_EXPLICIT as u64 == 0);
const _: () = assert!(RSM_BARRIER_MODE_IMPLICIT as u64 == 1);
const _: () = assert!(RSM_DAS8 as u64 == 1);
const _: () = assert!(RSM_DAS16 as u64 == 2);
const _: () = assert!(RSM_DAS32 as u64 == 4);
const _: () = assert!(RSM_DAS64 as u64 == 8);
const _: () = assert!(RSM_HANDLE_TYPE as u64 == 1);
const _: () = assert!(RSM_VA_TYPE as u64 == 2);
const _: () = assert!(RSM_IMPLICIT_SIGPOST as u64 == 1);
const _: () = assert!(RSM_SIGPOST_NO_ACCUMULATE as u64 == 2);
const _: () = assert!(RSM_MAX_SGIOREQS as u64 == 16);
const _: () = assert!(RSM_CONNECTION_ACTIVE as u64 == 3);
const _: () = assert!(RSM_DRIVER_PRIVATE_ID_BASE as u64 == 0);
const _: () = assert!(RSM_DRIVER_PRIVATE_ID_END as u64 == 0x0FFFFF);
const _: () = assert!(RSM_CLUSTER_TRANSPORT_ID_BASE as u64 == 0x100000);
const _: () = assert!(RSM_CLUSTER_TRANSPORT_ID_END as u64 == 0x1FFFFF);
const _: () = assert!(RSM_RSMLIB_ID_BASE as u64 == 0x200000);
const _: () = assert!(RSM_RSMLIB_ID_END as u64 == 0x2FFFFF);
const _: () = assert!(RSM_DLPI_ID_BASE as u64 == 0x300000);
const _: () = assert!(RSM_DLPI_ID_END as u64 == 0x3FFFFF);
const _: () = assert!(RSM_HPC_ID_BASE as u64 == 0x400000);
const _: () = assert!(RSM_HPC_ID_END as u64 == 0x4FFFFF);
const _: () = assert!(RSM_OPS_ID_BASE as u64 == 0x500000);
const _: () = assert!(RSM_OPS_ID_END as u64 == 0x5FFFFF);
const _: () = assert!(RSM_USER_APP_ID_BASE as u64 == 0x80000000);
const _: () = assert!(RSM_USER_APP_ID_END as u64 == 0xFFFFFFFF);
const _: () = assert!(RSM_SUCCESS as u64 == 0);
const _: () = assert!(RSMERR_BAD_LIBRARY_VERSION as u64 == 1);
const _: () = assert!(RSMERR_BAD_TOPOLOGY_PTR as u64 == 2);
const _: () = assert!(RSMERR_BAD_CTLR_HNDL as u64 == 3);
const _: () = assert!(RSMERR_CTLR_NOT_PRESENT as u64 == 4);
const _: () = assert!(RSMERR_BAD_SEG_HNDL as u64 == 5);
const _: () = assert!(RSMERR_SEG_ALREADY_PUBLISHED as u64 == 6);
const _: () = assert!(RSMERR_SEG_NOT_PUBLISHED as u64 == 7);
const _: () = assert!(RSMERR_SEG_NOT_PUBLISHED_TO_NODE as u64 == 8);
const _: () = assert!(RSMERR_SEG_ALREADY_MAPPED as u64 == 9);
const _: () = assert!(RSMERR_SEG_STILL_MAPPED as u64 == 10);
const _: () = assert!(RSMERR_SEG_NOT_MAPPED as u64 == 11);
const _: () = assert!(RSMERR_NOT_CREATOR as u64 == 12);
const _: () = assert!(RSMERR_BAD_BARRIER_PTR as u64 == 13);
const _: () = assert!(RSMERR_BAD_SGIO as u64 == 14);
const _: () = assert!(RSMERR_BAD_LOCALMEM_HNDL as u64 == 15);
const _: () = assert!(RSMERR_BAD_ADDR as u64 == 16);
const _: () = assert!(RSMERR_BAD_MEM_ALIGNMENT as u64 == 17);
const _: () = assert!(RSMERR_BAD_OFFSET as u64 == 18);
const _: () = assert!(RSMERR_MISALIGNED_OFFSET as u64 == 19);
const _: () = assert!(RSMERR_BAD_LENGTH as u64 == 20);
const _: () = assert!(RSMERR_BAD_ACL as u64 == 21);
const _: () = assert!(RSMERR_BAD_SEGID as u64 == 22);
const _: () = assert!(RSMERR_RESERVED_SEGID as u64 == 23);
const _: () = assert!(RSMERR_SEGID_IN_USE as u64 == 24);
const _: () = assert!(RSMERR_BAD_MODE as u64 == 25);
const _: () = assert!(RSMERR_BAD_PERMS as u64 == 26);
const _: () = assert!(RSMERR_PERM_DENIED as u64 == 27);
const _: () = assert!(RSMERR_LOCKS_NOT_SUPPORTED as u64 == 28);
const _: () = assert!(RSMERR_LOCKS_NOT_ENABLED as u64 == 29);
const _: () = assert!(RSMERR_REBIND_NOT_ALLOWED as u64 == 30);
const _: () = assert!(RSMERR_INSUFFICIENT_RESOURCES as u64 == 31);
const _: () = assert!(RSMERR_INSUFFICIENT_MEM as u64 == 32);
const _: () = assert!(RSMERR_MAP_FAILED as u64 == 33);
const _: () = assert!(RSMERR_POLLFD_IN_USE as u64 == 34);
const _: () = assert!(RSMERR_BARRIER_UNINITIALIZED as u64 == 35);
const _: () = assert!(RSMERR_BARRIER_OPEN_FAILED as u64 == 36);
const _: () = assert!(RSMERR_BARRIER_NOT_OPENED as u64 == 37);
const _: () = assert!(RSMERR_BARRIER_FAILURE as u64 == 38);
const _: () = assert!(RSMERR_REMOTE_NODE_UNREACHABLE as u64 == 39);
const _: () = assert!(RSMERR_CONN_ABORTED as u64 == 40);
const _: () = assert!(RSMERR_INTERRUPTED as u64 == 41);
const _: () = assert!(RSMERR_TIMEOUT as u64 == 42);
const _: () = assert!(RSMERR_BAD_APPID as u64 == 43);
const _: () = assert!(RSMERR_BAD_CONF as u64 == 44);
const _: () = assert!(RSMERR_SEG_NOT_CONNECTED as u64 == 45);
const _: () = assert!(RSMERR_INTERNAL_ERROR as u64 == 100);
const _: () = assert!(RSMERR_BAD_DRIVER_VERSION as u64 == 101);
const _: () = assert!(RSMERR_UNSUPPORTED_VERSION as u64 == 102);
const _: () = assert!(RSMERR_DRIVER_NAME_IN_USE as u64 == 103);
const _: () = assert!(RSMERR_DRIVER_NOT_REGISTERED as u64 == 104);
const _: () = assert!(RSMERR_DRIVER_THREAD_RUNNING as u64 == 105);
const _: () = assert!(RSMERR_NEED_THREAD_INIT as u64 == 106);
const _: () = assert!(RSMERR_THREAD_NOT_INITED as u64 == 107);
const _: () = assert!(RSMERR_CTLRS_REGISTERED as u64 == 108);
const _: () = assert!(RSMERR_CTLR_NOT_REGISTERED as u64 == 109);
const _: () = assert!(RSMERR_CTLR_ALREADY_REGISTERED as u64 == 110);
const _: () = assert!(RSMERR_CTLR_IN_USE as u64 == 111);
const _: () = assert!(RSMERR_NAME_TOO_LONG as u64 == 112);
const _: () = assert!(RSMERR_SEG_PUBLISHED as u64 == 113);
const _: () = assert!(RSMERR_SEG_NOT_PUBLISHED_TO_RSM_ADDR as u64 == 114);
const _: () = assert!(RSMERR_SEG_IN_USE as u64 == 115);
const _: () = assert!(RSMERR_BAD_SENDQ_HNDL as u64 == 116);
const _: () = assert!(RSMERR_BAD_ARGS_ERRORS as u64 == 117);
const _: () = assert!(RSMERR_BAD_MSTYPE as u64 == 118);
const _: () = assert!(RSMERR_NO_BACKING_MEM as u64 == 119);
const _: () = assert!(RSMERR_NOT_MEM as u64 == 120);
const _: () = assert!(RSMERR_MEM_ALREADY_BOUND as u64 == 121);
const _: () = assert!(RSMERR_MEM_NOT_BOUND as u64 == 122);
const _: () = assert!(RSMERR_HANDLER_NOT_REGISTERED as u64 == 123);
const _: () = assert!(RSMERR_NO_HANDLER as u64 == 124);
const _: () = assert!(RSMERR_UNBIND_REBIND_NOT_ALLOWED as u64 == 125);
const _: () = assert!(RSMERR_CALLBACKS_NOT_SUPPORTED as u64 == 126);
const _: () = assert!(RSMERR_UNSUPPORTED_OPERATION as u64 == 127);
const _: () = assert!(RSMERR_RSM_ADDR_UNREACHABLE as u64 == 128);
const _: () = assert!(RSMERR_UNKNOWN_RSM_ADDR as u64 == 129);
const _: () = assert!(RSMERR_BAD_BARRIER_HNDL as u64 == 130);
const _: () = assert!(RSMERR_COMM_ERR_MAYBE_DELIVERED as u64 == 131);
const _: () = assert!(RSMERR_COMM_ERR_NOT_DELIVERED as u64 == 132);
const _: () = assert!(RSMERR_QUEUE_FENCE_UP as u64 == 133);
const _: () = assert!(RSMERR_QUEUE_FULL as u64 == 134);

/// Every function that the shared library exports, and nothing else.
pub const FUNCTIONS: [&str; 42] = [
    "rsm_create_localmemory_handle",
    "rsm_free_interconnect_topology",
    "rsm_free_localmemory_handle",
    "rsm_get_controller",
    "rsm_get_controller_attr",
    "rsm_get_interconnect_topology",
    "rsm_get_segmentid_range",
    "rsm_intr_signal_post",
    "rsm_intr_signal_wait",
    "rsm_intr_signal_wait_pollfd",
    "rsm_memseg_export_create",
    "rsm_memseg_export_destroy",
    "rsm_memseg_export_publish",
    "rsm_memseg_export_rebind",
    "rsm_memseg_export_republish",
    "rsm_memseg_export_unpublish",
    "rsm_memseg_get_pollfd",
    "rsm_memseg_import_close_barrier",
    "rsm_memseg_import_connect",
    "rsm_memseg_import_destroy_barrier",
    "rsm_memseg_import_disconnect",
    "rsm_memseg_import_get",
    "rsm_memseg_import_get16",
    "rsm_memseg_import_get32",
    "rsm_memseg_import_get64",
    "rsm_memseg_import_get8",
    "rsm_memseg_import_get_mode",
    "rsm_memseg_import_getv",
    "rsm_memseg_import_init_barrier",
    "rsm_memseg_import_map",
    "rsm_memseg_import_open_barrier",
    "rsm_memseg_import_order_barrier",
    "rsm_memseg_import_put",
    "rsm_memseg_import_put16",
    "rsm_memseg_import_put32",
    "rsm_memseg_import_put64",
    "rsm_memseg_import_put8",
    "rsm_memseg_import_putv",
    "rsm_memseg_import_set_mode",
    "rsm_memseg_import_unmap",
    "rsm_memseg_release_pollfd",
    "rsm_release_controller",
];
