// SPDX-License-Identifier: MIT OR Apache-2.0
//! The topology: this node, and no controller that reaches others.

use std::ffi::c_int;
use std::ptr;

use nix::libc::{calloc, free};
use rsm::{Result, Status};

use crate::abi::rsm_topology_t;
use crate::controller;
use crate::result::{entry, fail};

#[no_mangle]
pub unsafe extern "C" fn rsm_get_interconnect_topology(
    topology_data: *mut *mut rsm_topology_t,
) -> c_int {
    entry(|| {
        if topology_data.is_null() {
            return fail(Status::BadTopologyPtr);
        }
        // SAFETY: the caller passes a place for it.
        unsafe { topology_data.write(ptr::null_mut()) };
        // Had before the driver is opened, which then stays open.
        // SAFETY: a block of memory, all of which may be zero.
        let data: *mut rsm_topology_t = unsafe { calloc(1, size_of::<rsm_topology_t>()).cast() };
        if data.is_null() {
            return fail(Status::InsufficientMem);
        }
        match local_node() {
            // SAFETY: made above; the caller's place again.
            Ok(node) => unsafe {
                (*data).topology_hdr.local_nodeid = node;
                topology_data.write(data);
            },
            Err(error) => {
                // SAFETY: made above.
                unsafe { free(data.cast()) };
                return Err(error);
            }
        }
        Ok(())
    })
}

/// This node, if no controller reaches others.
fn local_node() -> Result<u32> {
    let topology = controller::driver()?.topology()?;
    if topology.remote_controllers() != 0 {
        // Of a later driver: not known how to ask for them.
        return fail(Status::InternalError);
    }
    Ok(topology.local_node().get())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_free_interconnect_topology(topology_data: *mut rsm_topology_t) {
    // SAFETY: null, or made by `rsm_get_interconnect_topology`.
    unsafe { free(topology_data.cast()) }
}
