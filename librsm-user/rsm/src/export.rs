// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's side: a segment made of this process's own memory.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{fmt, mem, ptr};

use rsm_sys::{
    rsm_access_entry, rsm_export_create, rsm_export_destroy, rsm_export_publish, rsm_export_rebind,
    rsm_export_republish, rsm_export_unpublish, RSM_EXPORT_ALLOW_REBIND,
};

use crate::buffer::{ExportBuffer, ExportMemory};
use crate::controller::Controller;
use crate::descriptor::above_standard;
use crate::error::{Error, Result};
use crate::id::{NodeId, SegmentId};
use crate::ioctl;
use crate::shared::{Access, SharedBytes};
use crate::signal::{Signal, SignalRoom};

/// One entry of an access list: who on a node may do what.
///
/// ```
/// use rsm::{AccessEntry, NodeId};
///
/// // Its user may read and write, its group may read.
/// let entry = AccessEntry::new(NodeId::new(0), 0o640);
/// assert_eq!((entry.node(), entry.mode()), (NodeId::new(0), 0o640));
/// ```
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

    /// The node.
    pub const fn node(self) -> NodeId {
        NodeId::new(self.0.node)
    }

    /// The mode.
    pub const fn mode(self) -> u32 {
        self.0.perm
    }
}

/// How a segment is created.
///
/// ```no_run
/// use rsm::{Controller, ExportBuffer, ExportOptions};
///
/// let controller = Controller::open()?;
/// let segment = ExportOptions::new()
///     .allow_rebind(true)
///     .create(&controller, ExportBuffer::new(4096)?)?;
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ExportOptions {
    flags: u32,
}

impl ExportOptions {
    /// A segment that keeps its memory.
    pub const fn new() -> Self {
        Self { flags: 0 }
    }

    /// The segment may be given other memory, with [`ExportSegment::rebind`].
    pub const fn allow_rebind(mut self, allow: bool) -> Self {
        self.flags = if allow { RSM_EXPORT_ALLOW_REBIND } else { 0 };
        self
    }

    /// Makes a segment of `memory`. It is pinned in place, charged against the user's
    /// locked-memory limit, and reachable by nobody until it is published.
    pub fn create<M: ExportMemory>(
        self,
        controller: &Controller,
        memory: M,
    ) -> Result<ExportSegment<M>, CreateError<M>> {
        let room = match SignalRoom::new() {
            Ok(room) => room,
            Err(error) => return Err(CreateError { error, memory }),
        };
        let (base, length) = memory.range();
        let mut command = rsm_export_create {
            addr: base.as_ptr() as u64,
            length: length as u64,
            flags: self.flags,
            ..Default::default()
        };
        // SAFETY: an `ExportMemory` may be exported, and the segment owns it from here on.
        let created = unsafe { ioctl::run(controller.as_fd(), &mut command) };
        let fd = created.and_then(|()| {
            // SAFETY: a descriptor that the kernel has just made for us.
            above_standard(unsafe { OwnedFd::from_raw_fd(command.fd) })
        });
        match fd {
            Ok(fd) => Ok(ExportSegment {
                signal: Signal::new(room, fd),
                memory,
            }),
            Err(error) => Err(CreateError { error, memory }),
        }
    }
}

/// A segment whose memory this process owns.
///
/// The memory `M` belongs to the segment, since others may change it; [`destroy`]
/// gives it back. Dropping the segment destroys it too.
///
/// A segment dies before its time when something takes the memory from under it, which
/// only memory owned elsewhere ([`ForeignMemory`](crate::ForeignMemory)) can suffer.
/// What can still be done with it then is [`destroy`].
///
/// [`destroy`]: Self::destroy
///
/// ```no_run
/// use rsm::{AccessEntry, Controller, ExportBuffer, ExportSegment};
///
/// let controller = Controller::open()?;
/// let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// let id = segment.publish(None, &[AccessEntry::new(controller.local_node(), 0o640)])?;
/// println!("{} bytes published as {id}", segment.len());
/// assert!(!segment.is_empty());
/// let buffer = segment.destroy()?;
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Debug)]
pub struct ExportSegment<M: ExportMemory = ExportBuffer> {
    signal: Signal,
    memory: M,
}

impl<M: ExportMemory> ExportSegment<M> {
    /// Makes a segment of `memory`; see [`ExportOptions::create`].
    pub fn create(controller: &Controller, memory: M) -> Result<Self, CreateError<M>> {
        ExportOptions::new().create(controller, memory)
    }

    /// Lets others connect: under `id`, or one of the kernel's choice, subject to
    /// `access`. An empty list admits every node with the mode that the umask left when
    /// the segment was created.
    pub fn publish(&self, id: Option<SegmentId>, access: &[AccessEntry]) -> Result<SegmentId> {
        self.publish_raw(id, access.as_ptr(), entries(access))
    }

    /// As [`publish`](Self::publish), with an access list of `entries` entries that lie at
    /// `access`; for callers who have no slice. Only the kernel reads them: a bad address is
    /// [`Status::BadAddr`](crate::Status::BadAddr).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let access = [AccessEntry::new(controller.local_node(), 0o644)];
    /// let id = segment.publish_raw(None, access.as_ptr(), 1)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn publish_raw(
        &self,
        id: Option<SegmentId>,
        access: *const AccessEntry,
        entries: u32,
    ) -> Result<SegmentId> {
        let mut command = rsm_export_publish {
            segment_id: id.map_or(0, SegmentId::get),
            acl: access as u64,
            acl_len: entries,
            ..Default::default()
        };
        // SAFETY: the command reads the access list only.
        unsafe { ioctl::run(self.as_fd(), &mut command)? };
        Ok(SegmentId::new(command.segment_id))
    }

    /// Replaces the access list for connections made from now on. Those there are keep
    /// what they have; taking that away is what [`unpublish`](Self::unpublish) does.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let node = controller.local_node();
    /// segment.publish(None, &[AccessEntry::new(node, 0o666)])?;
    /// segment.republish(&[AccessEntry::new(node, 0o444)])?; // no more writers
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn republish(&self, access: &[AccessEntry]) -> Result<()> {
        self.republish_raw(access.as_ptr(), entries(access))
    }

    /// As [`republish`](Self::republish), with an access list as for
    /// [`publish_raw`](Self::publish_raw).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// segment.publish(None, &[])?;
    /// let access = [AccessEntry::new(controller.local_node(), 0o600)];
    /// segment.republish_raw(access.as_ptr(), 1)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn republish_raw(&self, access: *const AccessEntry, entries: u32) -> Result<()> {
        let mut command = rsm_export_republish {
            acl: access as u64,
            acl_len: entries,
            ..Default::default()
        };
        // SAFETY: the command reads the access list only.
        unsafe { ioctl::run(self.as_fd(), &mut command) }
    }

    /// Takes the memory back from all importers, and keeps it in the segment, which can
    /// be published again. Importers of the former publication stay aborted.
    ///
    /// When this returns, no importer in any process can reach the memory, and the id is
    /// free.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// let id = segment.publish(Some(SegmentId::new(0x60_0001)), &[])?;
    /// segment.unpublish()?;
    /// segment.publish(Some(id), &[])?;
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn unpublish(&self) -> Result<()> {
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut rsm_export_unpublish::default()) }
    }

    /// Puts other memory of the same length behind the segment, and returns the old.
    /// Id, access list, connections and pending events stay, and nothing is copied.
    ///
    /// When this returns every importer sees the new memory. What importers write
    /// meanwhile may go to either, without their being told: keep them away, if that
    /// matters. Both are charged against the locked-memory limit meanwhile. On failure
    /// the segment keeps what it has.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// let options = ExportOptions::new().allow_rebind(true);
    /// let mut segment = options.create(&controller, ExportBuffer::new(4096)?)?;
    /// let mut next = ExportBuffer::new(4096)?;
    /// next.as_mut_slice().fill(7);
    /// let old = segment.rebind(next)?;
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn rebind(&mut self, memory: M) -> Result<M, CreateError<M>> {
        let (base, length) = memory.range();
        let mut command = rsm_export_rebind {
            addr: base.as_ptr() as u64,
            length: length as u64,
            ..Default::default()
        };
        // SAFETY: as for `create`. The old memory is unpinned when the command returns,
        // and no importer reaches it.
        match unsafe { ioctl::run(self.as_fd(), &mut command) } {
            Ok(()) => Ok(mem::replace(&mut self.memory, memory)),
            Err(error) => Err(CreateError { error, memory }),
        }
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
            drop(ptr::read(&this.signal));
            Ok(ptr::read(&this.memory))
        }
    }

    /// The segment's memory, as this process sees it while others may change it.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// segment.bytes().write_at(0, b"importers see this at once")?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn bytes(&self) -> SharedBytes<'_> {
        let (base, len) = self.memory.range();
        // SAFETY: `ExportMemory` promises it for as long as the segment owns the memory.
        unsafe { SharedBytes::new(base.as_ptr(), len, Access::ReadWrite) }
    }

    /// Events from importers, and to them. Clones outlive the segment.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// segment.signal().post(Post::Accumulate)?; // to all importers
    /// # Ok::<(), Error>(())
    /// ```
    pub const fn signal(&self) -> &Signal {
        &self.signal
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

/// A list that does not fit is too long in any case.
fn entries(access: &[AccessEntry]) -> u32 {
    access.len().try_into().unwrap_or(u32::MAX)
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
        self.signal.as_fd()
    }
}

/// A failed [`ExportSegment::create`] or [`rebind`](ExportSegment::rebind): why, and the
/// memory that was not exported.
///
/// ```no_run
/// use rsm::{Controller, ExportBuffer, ExportSegment};
///
/// let controller = Controller::open()?;
/// match ExportSegment::create(&controller, ExportBuffer::new(1 << 20)?) {
///     Ok(segment) => println!("{} bytes shared", segment.len()),
///     Err(failure) => println!("{failure}: {} bytes not shared", failure.memory.len()),
/// }
/// # Ok::<(), rsm::Error>(())
/// ```
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
