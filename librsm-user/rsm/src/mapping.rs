// SPDX-License-Identifier: MIT OR Apache-2.0
//! A window on an imported segment.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use nix::libc::off_t;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};

use crate::error::{Error, Result, Status};
use crate::shared::{Access, SharedBytes};
use crate::status_table::Liveness;

/// A mapping of a segment into this process. Dropping it unmaps.
///
/// When the exporter takes the memory back, the mapping becomes zero-filled memory of
/// this process: loads and stores go on without a signal, and [`check`](Self::check)
/// tells that the connection was aborted.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    access: Access,
    liveness: Liveness,
}

// SAFETY: the mapping owns its address range, and all accesses are atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(crate) fn new(
        segment: BorrowedFd<'_>,
        offset: usize,
        len: usize,
        access: Access,
        liveness: Liveness,
    ) -> Result<Self> {
        let length = NonZeroUsize::new(len).ok_or(Error::Rsm(Status::BadLength))?;
        let offset = off_t::try_from(offset).map_err(|_| Error::Rsm(Status::BadLength))?;
        let mut protection = ProtFlags::PROT_NONE;
        protection.set(ProtFlags::PROT_READ, access.can_read());
        protection.set(ProtFlags::PROT_WRITE, access.can_write());
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            mmap(
                None,
                length,
                protection,
                MapFlags::MAP_SHARED,
                segment,
                offset,
            )
        }
        .map_err(Error::map)?
        .cast();
        Ok(Self {
            base,
            len,
            access,
            liveness,
        })
    }

    /// The memory of the window.
    pub fn bytes(&self) -> SharedBytes<'_> {
        // SAFETY: mapped with this access for as long as `self` lives, and never lent as
        // a reference.
        unsafe { SharedBytes::new(self.base.as_ptr(), self.len, self.access) }
    }

    /// Copies `into.len()` bytes from `offset` in the window; see [`SharedBytes::read_at`].
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.bytes().read_at(offset, into)
    }

    /// Copies `from` to `offset` in the window; see [`SharedBytes::write_at`].
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<()> {
        self.bytes().write_at(offset, from)
    }

    /// Address of the first byte; see [`SharedBytes::as_ptr`]. Valid until the mapping is
    /// dropped.
    pub fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: there are no empty mappings.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// What the mapping permits.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Is the connection live? See [`ImportSegment::is_live`](crate::ImportSegment::is_live).
    pub fn is_live(&self) -> bool {
        self.liveness.is_live()
    }

    /// Did everything read and written so far come from the segment and go to it? See
    /// [`ImportSegment::check`](crate::ImportSegment::check).
    pub fn check(&self) -> Result<()> {
        self.liveness.check()
    }

    /// Did everything read so far come from the segment? See
    /// [`ImportSegment::check_reads`](crate::ImportSegment::check_reads).
    pub fn check_reads(&self) -> Result<()> {
        self.liveness.check_reads()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody can reach any more.
        let result = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(result.is_ok(), "munmap of a segment: {result:?}");
    }
}
