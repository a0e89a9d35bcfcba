// SPDX-License-Identifier: GPL-2.0

//! The module's parameters. They are defined in `helpers.c`: the kernel crate's cannot be changed
//! while the module is loaded.

use super::raw;
use kernel::ffi::c_ulong;

/// Largest node id that a machine can have.
pub(crate) const MAX_NODE: u32 = 63;

/// Reads a parameter, which may be changed at any time.
fn read(parameter: *const c_ulong) -> u64 {
    // SAFETY: Only called below, for variables of `helpers.c`, which live as long as the module.
    // They are aligned words, so that what is read is what somebody wrote.
    unsafe { parameter.read_volatile() as u64 }
}

macro_rules! parameters {
    ($($(#[$doc:meta])* $name:ident $raw:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name() -> u64 {
            read(&raw const raw::$raw)
        }
    )*};
}

parameters! {
    /// Most export segments; 0 for no limit.
    max_segments rsm_max_segments;
    /// Most export segments of a user; 0 for no limit.
    max_user_segments rsm_max_user_segments;
    /// Most bytes that segments may pin; 0 for no limit.
    max_exported_mem rsm_max_exported_mem;
    /// The same in percent of the machine's memory; 0 for no limit.
    max_exported_percent rsm_max_exported_percent;
    /// Most imports; 0 for no limit.
    max_imports rsm_max_imports;
    /// Most imports of a user; 0 for no limit.
    max_user_imports rsm_max_user_imports;
    /// Most live imports of a segment; 0 for no limit.
    max_segment_imports rsm_max_segment_imports;
    /// Most mappings of an import; 0 for no limit.
    max_import_mappings rsm_max_import_mappings;
    /// Most mappings of a user; 0 for no limit.
    max_user_mappings rsm_max_user_mappings;
    /// Most assigned ids that a user may use up; 0 for no limit.
    max_user_ids rsm_max_user_ids;
}

/// Node id of this machine. Does not change while the module is loaded.
pub(crate) fn local_node() -> u32 {
    read(&raw const raw::rsm_local_node) as u32
}

/// Whether every parameter has a value that makes sense.
pub(crate) fn valid() -> bool {
    read(&raw const raw::rsm_local_node) <= u64::from(MAX_NODE) && max_exported_percent() <= 100
}
