// SPDX-License-Identifier: MIT OR Apache-2.0
//! The importer's side: a connection to a published segment.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rsm_sys::{rsm_import_connect, RSM_IMPORT_SIGBUS, RSM_IMPORT_WAKE_ON_ABORT};

use crate::barrier::{Barrier, BarrierMode};
use crate::controller::Controller;
use crate::descriptor::above_standard;
use crate::error::{Error, Result, Status};
use crate::id::{NodeId, SegmentId};
use crate::ioctl;
use crate::mapping::Mapping;
use crate::shared::Access;
use crate::signal::{Signal, SignalRoom};
use crate::status_table::Liveness;
use crate::window::{Window, WindowCell, WindowKind};

/// How a segment is connected to.
///
/// ```no_run
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// let import = ImportOptions::new(Access::Read)
///     .wake_on_abort(true)
///     .sigbus(true)
///     .connect(&controller, controller.local_node(), id)?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ImportOptions {
    access: Access,
    flags: u32,
}

impl ImportOptions {
    /// A connection that is used for `access`.
    pub const fn new(access: Access) -> Self {
        Self { access, flags: 0 }
    }

    /// The end of the connection wakes those who wait for signals: once no event is
    /// pending, [`Signal::wait`] fails with [`Status::ConnAborted`] and `poll` reports
    /// `POLLHUP`. Without this they go on waiting.
    pub const fn wake_on_abort(self, wake: bool) -> Self {
        self.flag(RSM_IMPORT_WAKE_ON_ABORT, wake)
    }

    /// Access through a mapping of the connection after its end kills the process with
    /// SIGBUS (or runs its handler), in place of zero-filled memory. Put and get are
    /// such accesses.
    pub const fn sigbus(self, signal: bool) -> Self {
        self.flag(RSM_IMPORT_SIGBUS, signal)
    }

    const fn flag(mut self, flag: u32, set: bool) -> Self {
        self.flags = if set {
            self.flags | flag
        } else {
            self.flags & !flag
        };
        self
    }

    /// Connects to the segment that `node` publishes under `id`.
    pub fn connect(
        self,
        controller: &Controller,
        node: NodeId,
        id: SegmentId,
    ) -> Result<ImportSegment> {
        let window = WindowCell::new()?;
        let room = SignalRoom::new()?;
        let mut command = rsm_import_connect {
            node: node.get(),
            segment_id: id.get(),
            perm: self.access.permission(),
            flags: self.flags,
            ..Default::default()
        };
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(controller.as_fd(), &mut command)? };
        // SAFETY: a descriptor that the kernel has just made for us.
        let fd = above_standard(unsafe { OwnedFd::from_raw_fd(command.fd) })?;
        let table = controller.status_table();
        Ok(ImportSegment {
            window,
            liveness: Liveness::new(table, command.status_slot, command.generation)?,
            mode: AtomicU8::new(BarrierMode::default() as u8),
            access: self.access,
            len: command
                .length
                .try_into()
                .map_err(|_| Error::Rsm(Status::BadLength))?,
            signal: Signal::new(room, fd),
        })
    }
}

/// A connection to a segment.
///
/// Dropping it disconnects, as soon as its mappings and clones of its signal are gone too.
///
/// There are two ways to the memory: [`map`](Self::map) it and work in place, or
/// [`put`](Self::put) and [`get`](Self::get), which copy, check, and go through a
/// mapping of their own. Neither makes a system call once the mapping is there.
///
/// ```no_run
/// use rsm::{Access, Controller, ImportSegment, SegmentId};
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// let node = controller.local_node();
/// let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// assert_eq!((import.len(), import.access()), (4096, Access::ReadWrite));
/// assert!(!import.is_empty());
/// import.put(0, b"hello")?;
/// let mut back = [0; 5];
/// import.get(0, &mut back)?;
/// assert_eq!(&back, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ImportSegment {
    pub(crate) window: WindowCell,
    pub(crate) liveness: Liveness,
    mode: AtomicU8,
    access: Access,
    len: usize,
    signal: Signal,
}

impl ImportSegment {
    /// Connects to the segment that `node` publishes under `id`, for `access`.
    pub fn connect(
        controller: &Controller,
        node: NodeId,
        id: SegmentId,
        access: Access,
    ) -> Result<Self> {
        ImportOptions::new(access).connect(controller, node, id)
    }

    /// Length of the segment in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Always false: there are no empty segments.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// What the connection permits.
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Events from the exporter, and to it. Clones outlive the import, and keep it
    /// connected.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.signal().post(Post::Accumulate)?; // to the exporter
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn signal(&self) -> &Signal {
        &self.signal
    }

    /// Is the connection live at this moment? A hint: it may be aborted a moment later.
    /// Whether data arrived is what [`check`](Self::check) tells.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// assert!(import.is_live());
    /// segment.destroy()?;
    /// assert!(!import.is_live());
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn is_live(&self) -> bool {
        self.liveness.is_live()
    }

    /// Fails with [`Status::ConnAborted`] unless everything that this thread has read and
    /// written through mappings of the connection before the call came from the segment
    /// and went to it. Makes no system call.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// window.write_at(0, b"hello")?;
    /// import.check()?; // the segment has it
    /// segment.destroy()?;
    /// window.write_at(0, b"hello")?;
    /// assert_eq!(import.check(), Err(Status::ConnAborted.into())); // it does not
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.liveness.check()
    }

    /// As [`check`](Self::check), for what was read only: cheaper, and not enough after
    /// writes.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// let length = window.bytes().load_u64(0)?;
    /// import.check_reads()?; // that is the segment's
    /// # Ok::<(), Error>(())
    /// ```
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
    /// let barrier = import.open_barrier();
    /// import.put(0, b"hello")?;
    /// barrier.close()?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn open_barrier(&self) -> Barrier<'_> {
        Barrier::open(&self.liveness)
    }

    /// Runs `work` within a barrier that is closed after it. Fails with
    /// [`Status::ConnAborted`] unless all of it reached the segment, whatever `work`
    /// returns.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// let sum = import.within_barrier(|_| -> Result<u64> {
    ///     Ok(window.bytes().load_u64(0)? + window.bytes().load_u64(8)?)
    /// })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn within_barrier<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Barrier<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.open_barrier().around(work)
    }

    /// Who finds out whether transfers reached the segment.
    #[inline]
    pub fn mode(&self) -> BarrierMode {
        match self.mode.load(Ordering::Relaxed) {
            0 => BarrierMode::Explicit,
            _ => BarrierMode::Implicit,
        }
    }

    /// Changes the mode, for transfers that begin after this.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// assert_eq!(import.mode(), BarrierMode::Implicit);
    /// import.set_mode(BarrierMode::Explicit);
    /// assert_eq!(import.mode(), BarrierMode::Explicit);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_mode(&self, mode: BarrierMode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Maps the whole segment with all that the connection permits.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let window = import.map()?;
    /// assert_eq!(window.len(), import.len());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map(&self) -> Result<Mapping> {
        self.map_window(0, self.len, self.access)
    }

    /// Maps `len` bytes from `offset`, a multiple of the page size, for `access`. A
    /// segment can have many mappings at a time.
    ///
    /// Fails with [`Status::BadLength`] beyond the segment, and with [`Status::BadPerms`]
    /// if the connection does not permit `access`.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let second_page = import.map_window(4096, 4096, Access::Read)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn map_window(&self, offset: usize, len: usize, access: Access) -> Result<Mapping> {
        self.in_segment(offset, len)?;
        // SAFETY: at an address of the kernel's choice.
        unsafe { Mapping::new(&self.signal, &self.liveness, None, offset, len, access) }
    }

    /// As [`map_window`](Self::map_window), at an address of the caller's choice, a
    /// multiple of the page size. Whatever is mapped there is replaced, but not by a call that
    /// fails; for that, both exist for a moment: there must be address space, and room in the
    /// limits of mappings, for one more.
    ///
    /// # Safety
    ///
    /// What is mapped there now must be the caller's, and not used any more.
    ///
    /// ```no_run
    /// # use std::num::NonZeroUsize;
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
    /// let address = NonZeroUsize::new(0x7000_0000_0000).expect("not zero");
    /// // SAFETY: this program keeps that part of its address space free.
    /// let window = unsafe { import.map_window_at(address, 0, 4096, Access::Read)? };
    /// assert_eq!(window.as_ptr() as usize, address.get());
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn map_window_at(
        &self,
        address: NonZeroUsize,
        offset: usize,
        len: usize,
        access: Access,
    ) -> Result<Mapping> {
        self.in_segment(offset, len)?;
        let at = Some(address);
        // SAFETY: promised by the caller.
        unsafe { Mapping::new(&self.signal, &self.liveness, at, offset, len, access) }
    }

    fn in_segment(&self, offset: usize, len: usize) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if len > 0 && end <= self.len => Ok(()),
            _ => Err(Error::Rsm(Status::BadLength)),
        }
    }

    /// The window that transfers go through. If there is none yet it is made, on the whole
    /// segment with all that the connection permits, and stays: the first transfer does
    /// that. Call it to have that done beforehand.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.window()?.prefault(0, import.len())?;
    /// import.get(0, &mut [0; 8])?; // takes no page fault
    /// # Ok::<(), Error>(())
    /// ```
    pub fn window(&self) -> Result<&Mapping> {
        if let Some(window) = self.window.get() {
            return Ok(&window.mapping);
        }
        let made = self.map().and_then(|mapping| {
            let kind = WindowKind::Implicit;
            self.window.set(Window { mapping, kind })
        });
        // Another thread may be faster; then its window is as good.
        match (self.window.get(), made) {
            (Some(window), _) => Ok(&window.mapping),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(Error::Rsm(Status::InternalError)),
        }
    }

    /// Is there a window that transfers go through, and how did it come about?
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// assert_eq!(import.window_kind(), None);
    /// import.put(0, b"hello")?;
    /// assert_eq!(import.window_kind(), Some(WindowKind::Implicit));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn window_kind(&self) -> Option<WindowKind> {
        Some(self.window.get()?.kind)
    }

    /// Makes transfers go through `window`, and no further than it reaches. This is what
    /// `rsm_memseg_import_map` does.
    ///
    /// Fails with [`Status::SegAlreadyMapped`] if there is a window already, also when a
    /// transfer has made it, and with [`Status::BadSegHndl`] if `window` is not of this
    /// import.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
    /// import.set_window(import.map_window(4096, 4096, Access::Read)?)?;
    /// assert!(import.get(4096, &mut [0; 10]).is_ok());
    /// assert!(import.get(0, &mut [0; 10]).is_err()); // not in the window
    /// # Ok::<(), Error>(())
    /// ```
    pub fn set_window(&self, window: Mapping) -> Result<()> {
        if !window.is_of(&self.signal) {
            return Err(Error::Rsm(Status::BadSegHndl));
        }
        let (mapping, kind) = (window, WindowKind::Explicit);
        self.window.set(Window { mapping, kind })
    }

    /// Takes the window away, if there is one; the next transfer makes another. Dropping
    /// what is returned unmaps it.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let mut import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put(0, b"hello")?;
    /// drop(import.take_window());
    /// assert_eq!(import.window_kind(), None);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn take_window(&mut self) -> Option<Mapping> {
        Some(self.window.take()?.mapping)
    }

    /// As [`take_window`](Self::take_window), for callers who share the import.
    ///
    /// # Safety
    ///
    /// No transfer is going on in another thread, and nobody has what
    /// [`window`](Self::window) returned.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put(0, b"hello")?;
    /// // SAFETY: no other thread has the import, and nobody has its window.
    /// drop(unsafe { import.take_shared_window() });
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn take_shared_window(&self) -> Option<Mapping> {
        // SAFETY: promised by the caller.
        Some(unsafe { self.window.take_shared() }?.mapping)
    }
}

impl AsFd for ImportSegment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_can_be_taken_back() {
        let options = ImportOptions::new(Access::Read).sigbus(true);
        assert_eq!(options.flags, RSM_IMPORT_SIGBUS);
        let options = options.wake_on_abort(true).sigbus(false);
        assert_eq!(options.flags, RSM_IMPORT_WAKE_ON_ABORT);
    }
}
