// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of `/dev/rsm`: numbers, and the convention about size and status.

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::libc::c_int;
use rsm_sys as sys;

use crate::error::{Error, Result};

mod numbers {
    use rsm_sys::*;

    nix::ioctl_readwrite!(query, RSM_IOC_MAGIC, RSM_CMD_QUERY, rsm_query);
    nix::ioctl_readwrite!(
        attributes,
        RSM_IOC_MAGIC,
        RSM_CMD_ATTRIBUTES,
        rsm_attributes
    );
    nix::ioctl_readwrite!(topology, RSM_IOC_MAGIC, RSM_CMD_TOPOLOGY, rsm_topology);
    nix::ioctl_readwrite!(
        export_create,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_CREATE,
        rsm_export_create
    );
    nix::ioctl_readwrite!(
        export_publish,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_PUBLISH,
        rsm_export_publish
    );
    nix::ioctl_readwrite!(
        export_destroy,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_DESTROY,
        rsm_export_destroy
    );
    nix::ioctl_readwrite!(
        export_unpublish,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_UNPUBLISH,
        rsm_export_unpublish
    );
    nix::ioctl_readwrite!(
        export_republish,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_REPUBLISH,
        rsm_export_republish
    );
    nix::ioctl_readwrite!(
        export_rebind,
        RSM_IOC_MAGIC,
        RSM_CMD_EXPORT_REBIND,
        rsm_export_rebind
    );
    nix::ioctl_readwrite!(
        import_connect,
        RSM_IOC_MAGIC,
        RSM_CMD_IMPORT_CONNECT,
        rsm_import_connect
    );
    nix::ioctl_readwrite!(
        import_prefault,
        RSM_IOC_MAGIC,
        RSM_CMD_IMPORT_PREFAULT,
        rsm_import_prefault
    );
    nix::ioctl_readwrite!(
        event_post,
        RSM_IOC_MAGIC,
        RSM_CMD_EVENT_POST,
        rsm_event_post
    );
    nix::ioctl_readwrite!(
        event_wait,
        RSM_IOC_MAGIC,
        RSM_CMD_EVENT_WAIT,
        rsm_event_wait
    );
}

/// A structure that a command takes.
pub(crate) trait Command {
    /// What the command is for, to begin an error message with.
    const OP: &'static str;

    /// The command itself.
    const CALL: unsafe fn(c_int, *mut Self) -> nix::Result<c_int>;

    /// Where the structure's size goes.
    fn size_mut(&mut self) -> &mut u32;

    /// The status that the kernel stored.
    fn status(&self) -> u32;
}

macro_rules! commands {
    ($($type:ident, $call:ident, $op:literal;)*) => {$(
        impl Command for sys::$type {
            const OP: &'static str = $op;
            const CALL: unsafe fn(c_int, *mut Self) -> nix::Result<c_int> = numbers::$call;

            fn size_mut(&mut self) -> &mut u32 {
                &mut self.size
            }

            fn status(&self) -> u32 {
                self.status
            }
        }
    )*};
}

commands! {
    rsm_query, query, "cannot query the controller";
    rsm_attributes, attributes, "cannot query the controller's attributes";
    rsm_topology, topology, "cannot query the topology";
    rsm_export_create, export_create, "cannot export the memory";
    rsm_export_publish, export_publish, "cannot publish the segment";
    rsm_export_destroy, export_destroy, "cannot destroy the segment";
    rsm_export_unpublish, export_unpublish, "cannot unpublish the segment";
    rsm_export_republish, export_republish, "cannot change the access list";
    rsm_export_rebind, export_rebind, "cannot rebind the segment";
    rsm_import_connect, import_connect, "cannot connect to the segment";
    rsm_import_prefault, import_prefault, "cannot prefault the mapping";
    rsm_event_post, event_post, "cannot post an event";
    rsm_event_wait, event_wait, "cannot wait for an event";
}

/// Runs a command on `fd`.
///
/// # Safety
///
/// Addresses in `command` must be valid for what the command does with them.
pub(crate) unsafe fn run<C: Command>(fd: BorrowedFd<'_>, command: &mut C) -> Result<()> {
    *command.size_mut() = size_of::<C>() as u32;
    // SAFETY: `command` is valid for reads and writes of the size in the command
    // number; the caller vouches for addresses in it.
    match unsafe { C::CALL(fd.as_raw_fd(), command) } {
        Ok(_) => Ok(()),
        Err(errno) => Err(Error::command(C::OP, command.status(), errno)),
    }
}
