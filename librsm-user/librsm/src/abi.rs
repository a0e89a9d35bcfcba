// SPDX-License-Identifier: MIT OR Apache-2.0
//! The header as Rust sees it, held against the contract, and our functions held against
//! the header.

#![allow(
    non_camel_case_types,
    non_upper_case_globals,
    dead_code,
    improper_ctypes,
    unused_imports,
    clippy::all,
    clippy::undocumented_unsafe_blocks
)]

mod header {
    include!(concat!(env!("OUT_DIR"), "/rsmapi.rs"));
    include!("../abi/abi.rs");
}

pub(crate) use header::*;

/// Each function has the type that the header declares: both are branches of one
/// expression.
macro_rules! as_declared {
    ($($module:ident: $($function:ident)*;)*) => {
        fn as_declared(ours: bool) {
            $($(
                let _ = if ours { crate::$module::$function } else { header::$function };
            )*)*
        }

        #[cfg(test)]
        const IMPLEMENTED: &[&str] = &[$($(stringify!($function)),*),*];
    };
}

as_declared! {
    controller: rsm_get_controller rsm_get_controller_attr rsm_release_controller;
    topology: rsm_get_interconnect_topology rsm_free_interconnect_topology;
    segment_ids: rsm_get_segmentid_range;
    export: rsm_memseg_export_create rsm_memseg_export_destroy rsm_memseg_export_publish
        rsm_memseg_export_rebind rsm_memseg_export_republish rsm_memseg_export_unpublish;
    import: rsm_memseg_import_connect rsm_memseg_import_disconnect rsm_memseg_import_map
        rsm_memseg_import_unmap rsm_memseg_import_get_mode rsm_memseg_import_set_mode;
    transfer: rsm_memseg_import_get rsm_memseg_import_get8 rsm_memseg_import_get16
        rsm_memseg_import_get32 rsm_memseg_import_get64 rsm_memseg_import_put
        rsm_memseg_import_put8 rsm_memseg_import_put16 rsm_memseg_import_put32
        rsm_memseg_import_put64;
    scatter: rsm_memseg_import_putv rsm_memseg_import_getv rsm_create_localmemory_handle
        rsm_free_localmemory_handle;
    barrier: rsm_memseg_import_init_barrier rsm_memseg_import_open_barrier
        rsm_memseg_import_order_barrier rsm_memseg_import_close_barrier
        rsm_memseg_import_destroy_barrier;
    signal: rsm_intr_signal_post rsm_intr_signal_wait;
    poll: rsm_memseg_get_pollfd rsm_memseg_release_pollfd rsm_intr_signal_wait_pollfd;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_functions_are_there() {
        let mut implemented = IMPLEMENTED.to_vec();
        implemented.sort_unstable();
        assert_eq!(implemented, FUNCTIONS);
    }
}
