// SPDX-License-Identifier: MIT OR Apache-2.0
//! The controller: an open `/dev/rsm`, through which segments are exported and imported.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use rsm_sys::rsm_query;

use crate::error::{Error, Result};
use crate::id::NodeId;
use crate::ioctl;
use crate::status_table::StatusTable;

/// An open controller.
///
/// Segments stay as they are when it is dropped.
#[derive(Debug)]
pub struct Controller {
    device: File,
    query: rsm_query,
    status: Arc<StatusTable>,
}

impl Controller {
    /// Opens `/dev/rsm`.
    ///
    /// Fails with [`Status::CtlrNotPresent`](crate::Status::CtlrNotPresent) when the
    /// module is not loaded.
    pub fn open() -> Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/rsm")
            .map_err(|error| Error::open(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        let mut query = rsm_query::default();
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(device.as_fd(), &mut query)? };
        let status = Arc::new(StatusTable::map(device.as_fd(), query.status_slots)?);
        Ok(Self {
            device,
            query,
            status,
        })
    }

    /// Version of the interface that the kernel module offers.
    pub fn abi_version(&self) -> u32 {
        self.query.abi_version
    }

    /// The id of this machine.
    pub fn local_node(&self) -> NodeId {
        NodeId::new(self.query.local_node)
    }

    /// Unit of addresses, lengths and offsets, in bytes.
    pub fn page_size(&self) -> usize {
        self.query.page_size as usize
    }

    /// Number of imports that can be connected at a time through this controller.
    pub fn import_slots(&self) -> u32 {
        self.query.status_slots
    }

    pub(crate) fn status_table(&self) -> &Arc<StatusTable> {
        &self.status
    }
}

impl AsFd for Controller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
