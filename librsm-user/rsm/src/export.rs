// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's side: a segment made of this process's own memory.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{fmt, ptr};

use rsm_sys::{rsm_access_entry, rsm_export_create, rsm_export_destroy, rsm_export_publish};

use crate::buffer::{ExportBuffer, ExportMemory};
use crate::controller::Controller;
use crate::error::{Error, Result};
use crate::id::{NodeId, SegmentId};
use crate::ioctl;
use crate::shared::{Access, SharedBytes};

/// One entry of an access list: who on a node may do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct AccessEntry(rsm_access_entry);

impl AccessEntry {
    /// Access from `node` with the owner, group and other digits of `mode`, in which
    /// only read (4) and write (2) count. Owner and group are those of the exporter when
    /// it created the segment: `0o640` admits its user for reading and writing and its
    /// group for reading.
    pub const fn new(node: NodeId, mode: u32) -> Self {
        Self(rsm_access_entry {
            node: node.get(),
            perm: mode,
        })
    }
}

/// A segment whose memory this process owns.
///
/// The memory `M` belongs to the segment, since others may change it; [`destroy`]
/// gives it back. Dropping the segment destroys it too.
///
/// [`destroy`]: Self::destroy
#[derive(Debug)]
pub struct ExportSegment<M: ExportMemory = ExportBuffer> {
    fd: OwnedFd,
    memory: M,
}

impl<M: ExportMemory> ExportSegment<M> {
    /// Makes a segment of `memory`. It is pinned in place, charged against the user's
    /// locked-memory limit, and reachable by nobody until it is published.
    pub fn create(controller: &Controller, memory: M) -> Result<Self, CreateError<M>> {
        let (base, length) = memory.range();
        let mut command = rsm_export_create {
            addr: base.as_ptr() as u64,
            length: length as u64,
            ..Default::default()
        };
        // SAFETY: an `ExportMemory` may be exported, and the segment owns it from here on.
        match unsafe { ioctl::run(controller.as_fd(), &mut command) } {
            Ok(()) => Ok(Self {
                // SAFETY: a descriptor that the kernel has just made for us.
                fd: unsafe { OwnedFd::from_raw_fd(command.fd) },
                memory,
            }),
            Err(error) => Err(CreateError { error, memory }),
        }
    }

    /// Lets others connect: under `id`, or one of the kernel's choice, subject to
    /// `access`. An empty list admits every node with the mode that the umask left when
    /// the segment was created.
    pub fn publish(&self, id: Option<SegmentId>, access: &[AccessEntry]) -> Result<SegmentId> {
        let mut command = rsm_export_publish {
            segment_id: id.map_or(0, SegmentId::get),
            acl: access.as_ptr() as u64,
            // A list that does not fit is too long in any case.
            acl_len: access.len().try_into().unwrap_or(u32::MAX),
            ..Default::default()
        };
        // SAFETY: the command reads the access list only.
        unsafe { ioctl::run(self.as_fd(), &mut command)? };
        Ok(SegmentId::new(command.segment_id))
    }

    /// Takes the memory back.
    ///
    /// When this returns, no importer in any process can reach the memory, and the
    /// connections of all importers are aborted.
    ///
    /// Fails with [`Status::NotCreator`](crate::Status::NotCreator) in a child that
    /// inherited the segment by `fork`; the child's copy of descriptor and memory is gone
    /// then, the segment itself lives on.
    pub fn destroy(self) -> Result<M> {
        self.revoke()?;
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so both fields are moved out exactly once.
        unsafe {
            drop(ptr::read(&this.fd));
            Ok(ptr::read(&this.memory))
        }
    }

    /// The segment's memory, as this process sees it while others may change it.
    pub fn bytes(&self) -> SharedBytes<'_> {
        let (base, len) = self.memory.range();
        // SAFETY: `ExportMemory` promises it for as long as the segment owns the memory.
        unsafe { SharedBytes::new(base.as_ptr(), len, Access::ReadWrite) }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.memory.range().1
    }

    /// Always false: there are no empty segments.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn revoke(&self) -> Result<()> {
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut rsm_export_destroy::default()) }
    }
}

impl<M: ExportMemory> Drop for ExportSegment<M> {
    /// Destroys the segment. Closing the descriptor would do so as well, but only when no
    /// forked child has a copy of it, and the memory is about to become somebody else's.
    fn drop(&mut self) {
        // It can fail in a forked child only, for which there is nothing to take back.
        let _ = self.revoke();
    }
}

impl<M: ExportMemory> AsFd for ExportSegment<M> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A failed [`ExportSegment::create`]: why, and the memory that was not exported.
pub struct CreateError<M = ExportBuffer> {
    /// Why it failed.
    pub error: Error,
    /// The memory, unchanged.
    pub memory: M,
}

impl<M> fmt::Debug for CreateError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> fmt::Display for CreateError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<M> std::error::Error for CreateError<M> {}

impl<M> From<CreateError<M>> for Error {
    fn from(failure: CreateError<M>) -> Self {
        failure.error
    }
}
