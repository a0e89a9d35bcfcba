// SPDX-License-Identifier: MIT OR Apache-2.0
//! A window on an imported segment.

use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::off_t;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use rsm_sys::rsm_import_prefault;

use crate::barrier::Barrier;
use crate::buffer::page_size;
use crate::error::{Error, Result, Status};
use crate::ioctl;
use crate::replace::replace;
use crate::shared::{Access, SharedBytes};
use crate::signal::Signal;
use crate::status_table::Liveness;

/// A mapping of a segment into this process. Dropping it unmaps.
///
/// When the exporter takes the memory back, the mapping becomes zero-filled memory of
/// this process: loads and stores go on without a signal, and [`check`](Self::check)
/// tells that the connection was aborted.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
/// # let id = segment.publish(None, &[])?;
/// let import =
///     ImportSegment::connect(&controller, controller.local_node(), id, Access::ReadWrite)?;
/// let second_page = import.map_window(4096, 4096, Access::ReadWrite)?;
/// second_page.write_at(0, b"hello")?;
/// second_page.check()?; // the segment has it
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
    offset: usize,
    access: Access,
    liveness: Liveness,
    import: Signal,
}

// SAFETY: the mapping owns its address range, and all accesses are such that others may
// access it at the same time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a part of `import`, which must be in the segment.
    ///
    /// # Safety
    ///
    /// What lies at the address `at` and for the length of the mapping, if it is given, must
    /// be the caller's to replace.
    pub(crate) unsafe fn new(
        import: &Signal,
        liveness: &Liveness,
        at: Option<NonZeroUsize>,
        offset: usize,
        len: usize,
        access: Access,
    ) -> Result<Self> {
        let length = NonZeroUsize::new(len).ok_or(Error::Rsm(Status::BadLength))?;
        let page = page_size();
        if offset % page != 0 || at.is_some_and(|address| address.get() % page != 0) {
            return Err(Error::Rsm(Status::BadMemAlignment));
        }
        let mut protection = ProtFlags::PROT_NONE;
        protection.set(ProtFlags::PROT_READ, access.can_read());
        protection.set(ProtFlags::PROT_WRITE, access.can_write());
        let file_offset = off_t::try_from(offset).map_err(|_| Error::Rsm(Status::BadLength))?;
        let map = |at, how| {
            let flags = MapFlags::MAP_SHARED | how;
            // SAFETY: a new mapping, where there is none.
            unsafe { mmap(at, length, protection, flags, import, file_offset) }
        };
        let anywhere = || map(None, MapFlags::empty());
        let base = match at {
            None => anywhere(),
            Some(address) => match map(at, MapFlags::MAP_FIXED_NOREPLACE) {
                // SAFETY: promised by the caller.
                Err(Errno::EEXIST) => unsafe { replace(address, length, anywhere) },
                result => result,
            },
        };
        let base = base.map_err(Error::map)?.cast();
        Ok(Self {
            base,
            len,
            offset,
            access,
            liveness: liveness.clone(),
            import: import.clone(),
        })
    }

    /// Is it a mapping of this import?
    pub(crate) fn is_of(&self, import: &Signal) -> bool {
        self.import.is(import)
    }

    /// The memory of the window.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// window.bytes().store_u64(0, 5)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn bytes(&self) -> SharedBytes<'_> {
        // SAFETY: mapped with this access for as long as `self` lives, and never lent as
        // a reference.
        unsafe { SharedBytes::new(self.base.as_ptr(), self.len, self.access) }
    }

    /// Copies `into.len()` bytes from `offset` in the window; see [`SharedBytes::read_at`].
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// let mut head = [0; 16];
    /// window.read_at(0, &mut head)?;
    /// window.check_reads()?; // that is the segment's
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        self.bytes().read_at(offset, into)
    }

    /// Copies `from` to `offset` in the window; see [`SharedBytes::write_at`].
    #[inline]
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<()> {
        self.bytes().write_at(offset, from)
    }

    /// Address of the first byte; see [`SharedBytes::as_ptr`]. Valid until the mapping is
    /// dropped.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// let address = window.as_ptr();
    /// // SAFETY: the window has it; volatile, since others may write there.
    /// let first = unsafe { address.read_volatile() };
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// Number of bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Always false: there are no empty mappings.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Where in the segment the window begins, in bytes.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map_window(4096, 4096, Access::Read)?;
    /// assert_eq!((window.offset(), window.len()), (4096, 4096));
    /// assert_eq!(window.access(), Access::Read);
    /// assert!(!window.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What the mapping permits.
    #[inline]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Makes the translations of `len` bytes from `offset` in the window, as touching each
    /// page would: later accesses take no page fault, until the memory is taken back or
    /// rebound or the process forks.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
    /// let window = import.map()?;
    /// window.prefault(0, window.len())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn prefault(&self, offset: usize, len: usize) -> Result<()> {
        let first = self.bytes().place(offset, len, Access::None)? as usize;
        if len == 0 {
            return Ok(());
        }
        let start = first - first % page_size();
        let end = (first + len).next_multiple_of(page_size());
        let mut command = rsm_import_prefault {
            addr: start as u64,
            length: (end - start) as u64,
            ..Default::default()
        };
        // SAFETY: the range is in the mapping, whose content the command leaves alone.
        unsafe { ioctl::run(self.import.as_fd(), &mut command) }
    }

    /// Is the connection live? See [`ImportSegment::is_live`](crate::ImportSegment::is_live).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// segment.unpublish()?;
    /// assert!(!window.is_live());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn is_live(&self) -> bool {
        self.liveness.is_live()
    }

    /// Did everything read and written so far come from the segment and go to it? See
    /// [`ImportSegment::check`](crate::ImportSegment::check).
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.liveness.check()
    }

    /// Did everything read so far come from the segment? See
    /// [`ImportSegment::check_reads`](crate::ImportSegment::check_reads).
    #[inline]
    pub fn check_reads(&self) -> Result<()> {
        self.liveness.check_reads()
    }

    /// Opens a barrier; see [`Barrier`].
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// let barrier = window.open_barrier();
    /// window.write_at(0, b"hello")?;
    /// barrier.close()?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn open_barrier(&self) -> Barrier<'_> {
        Barrier::open(&self.liveness)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody can reach any more.
        let result = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(result.is_ok(), "munmap of a segment: {result:?}");
    }
}
