// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands of `/dev/rsm`, with nothing around them that would be measured too.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result};
use rsm_sys::*;

mod numbers {
    use rsm_sys::*;

    macro_rules! commands {
        ($($name:ident $number:ident $type:ident;)*) => {
            $(nix::ioctl_readwrite!($name, RSM_IOC_MAGIC, $number, $type);)*
        };
    }

    commands! {
        query RSM_CMD_QUERY rsm_query;
        create RSM_CMD_EXPORT_CREATE rsm_export_create;
        publish RSM_CMD_EXPORT_PUBLISH rsm_export_publish;
        unpublish RSM_CMD_EXPORT_UNPUBLISH rsm_export_unpublish;
        destroy RSM_CMD_EXPORT_DESTROY rsm_export_destroy;
        connect RSM_CMD_IMPORT_CONNECT rsm_import_connect;
        post RSM_CMD_EVENT_POST rsm_event_post;
        wait RSM_CMD_EVENT_WAIT rsm_event_wait;
    }
}

/// Runs a command whose structure is filled in but for its size.
macro_rules! run {
    ($name:ident, $descriptor:expr, $argument:expr) => {{
        let argument = &mut $argument;
        argument.size = size_of_val(argument) as u32;
        // SAFETY: the structure is of the command's type; addresses in it are of memory that
        // outlives what is made of it.
        unsafe { numbers::$name($descriptor.as_raw_fd(), argument) }
            .with_context(|| format!("{}: status {}", stringify!($name), argument.status))
    }};
}

/// A controller descriptor.
#[derive(Debug)]
pub struct Controller {
    device: File,
    node: u32,
    slots: usize,
}

impl Controller {
    /// Opens the device.
    pub fn open() -> Result<Self> {
        let mut options = OpenOptions::new();
        let device = options.read(true).write(true).open("/dev/rsm");
        let device = device.context("/dev/rsm")?;
        let mut query = rsm_query::default();
        run!(query, device, query)?;
        Ok(Self {
            device,
            node: query.local_node,
            slots: query.status_slots as usize,
        })
    }

    /// Imports that can be connected through it at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Makes a segment of memory that outlives it.
    pub fn create(&self, addr: u64, length: usize) -> Result<OwnedFd> {
        let mut argument = rsm_export_create {
            addr,
            length: length as u64,
            ..Default::default()
        };
        run!(create, self.device, argument)?;
        // SAFETY: the kernel has just made it for us.
        Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
    }

    /// Connects to a segment, for reading and writing.
    pub fn connect(&self, id: u32) -> Result<OwnedFd> {
        let mut argument = rsm_import_connect {
            node: self.node,
            segment_id: id,
            perm: RSM_PERM_READ | RSM_PERM_WRITE,
            ..Default::default()
        };
        run!(connect, self.device, argument)?;
        // SAFETY: the kernel has just made it for us.
        Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
    }
}

/// Publishes a segment under an id of the kernel's choice.
pub fn publish(export: &OwnedFd) -> Result<u32> {
    let mut argument = rsm_export_publish::default();
    run!(publish, export, argument)?;
    Ok(argument.segment_id)
}

/// Ends the publication.
pub fn unpublish(export: &OwnedFd) -> Result<()> {
    run!(unpublish, export, rsm_export_unpublish::default())?;
    Ok(())
}

/// Takes the memory back.
pub fn destroy(export: &OwnedFd) -> Result<()> {
    run!(destroy, export, rsm_export_destroy::default())?;
    Ok(())
}

/// Posts an event to the other side.
pub fn post(segment: &OwnedFd) -> Result<()> {
    run!(post, segment, rsm_event_post::default())?;
    Ok(())
}

/// Takes an event, which must be there within a second.
pub fn wait(segment: &OwnedFd) -> Result<()> {
    let mut argument = rsm_event_wait {
        timeout_ms: 1000,
        ..Default::default()
    };
    run!(wait, segment, argument)?;
    Ok(())
}
