// SPDX-License-Identifier: MIT OR Apache-2.0
//! The importer's side: a connection to a published segment.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use rsm_sys::{rsm_import_connect, RSM_PERM_READ, RSM_PERM_WRITE};

use crate::controller::Controller;
use crate::error::{Error, Result, Status};
use crate::id::{NodeId, SegmentId};
use crate::ioctl;
use crate::mapping::Mapping;
use crate::shared::Access;
use crate::status_table::Liveness;

/// A connection to a segment.
///
/// Dropping it disconnects, as soon as its mappings are gone too.
#[derive(Debug)]
pub struct ImportSegment {
    fd: OwnedFd,
    len: usize,
    access: Access,
    liveness: Liveness,
}

impl ImportSegment {
    /// Connects to the segment that `node` publishes under `id`, for `access`.
    pub fn connect(
        controller: &Controller,
        node: NodeId,
        id: SegmentId,
        access: Access,
    ) -> Result<Self> {
        let mut command = rsm_import_connect {
            node: node.get(),
            segment_id: id.get(),
            perm: permission(access),
            ..Default::default()
        };
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(controller.as_fd(), &mut command)? };
        // SAFETY: a descriptor that the kernel has just made for us.
        let fd = unsafe { OwnedFd::from_raw_fd(command.fd) };
        let table = Arc::clone(controller.status_table());
        Ok(Self {
            fd,
            len: command
                .length
                .try_into()
                .map_err(|_| Error::Rsm(Status::BadLength))?,
            access,
            liveness: Liveness::new(table, command.status_slot, command.generation),
        })
    }

    /// Length of the segment in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: there are no empty segments.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What the connection permits.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Is the connection live at this moment? A hint: it may be aborted a moment later.
    /// Whether data arrived is what [`check`](Self::check) tells.
    pub fn is_live(&self) -> bool {
        self.liveness.is_live()
    }

    /// Fails with [`Status::ConnAborted`] unless everything that this thread has read and
    /// written through mappings of the connection before the call came from the segment
    /// and went to it. Makes no system call.
    pub fn check(&self) -> Result<()> {
        self.liveness.check()
    }

    /// As [`check`](Self::check), for what was read only: cheaper, and not enough after
    /// writes.
    pub fn check_reads(&self) -> Result<()> {
        self.liveness.check_reads()
    }

    /// Maps the whole segment with all that the connection permits.
    pub fn map(&self) -> Result<Mapping> {
        self.map_window(0, self.len, self.access)
    }

    /// Maps `len` bytes from `offset`, a multiple of the page size, for `access`.
    pub fn map_window(&self, offset: usize, len: usize, access: Access) -> Result<Mapping> {
        match offset.checked_add(len) {
            Some(end) if len > 0 && end <= self.len => {
                Mapping::new(self.as_fd(), offset, len, access, self.liveness.clone())
            }
            _ => Err(Error::Rsm(Status::BadLength)),
        }
    }
}

impl AsFd for ImportSegment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const fn permission(access: Access) -> u32 {
    match access {
        Access::None => 0,
        Access::Read => RSM_PERM_READ,
        Access::Write => RSM_PERM_WRITE,
        Access::ReadWrite => RSM_PERM_READ | RSM_PERM_WRITE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_rsmapi() {
        assert_eq!(permission(Access::None), 0);
        assert_eq!(permission(Access::Read), 0o400);
        assert_eq!(permission(Access::Write), 0o200);
        assert_eq!(permission(Access::ReadWrite), 0o600);
    }
}
