// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scatter-gather: several transfers between one segment and several places in memory.

use std::fmt;
use std::marker::PhantomData;

use crate::buffer::{ExportBuffer, ExportMemory};
use crate::copy;
use crate::error::{Error, Result, Status};
use crate::import::ImportSegment;
use crate::shared::{Access, SharedBytes};
use crate::signal::Post;

/// Most entries that one call takes.
///
/// ```no_run
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// let entries = [PutEntry::new(b"one too many", 0); MAX_ENTRIES + 1];
/// let failure = import.putv(&entries, None).unwrap_err();
/// assert_eq!(failure.error, Status::BadSgio.into());
/// # Ok::<(), Error>(())
/// ```
pub const MAX_ENTRIES: usize = 16;

/// Memory of this process that scatter-gather entries name parts of.
///
/// It is owned by the handle. Several entries, and several threads, may use the same part;
/// therefore its content is seen through [`bytes`](Self::bytes), as shared memory is.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// let local = LocalMemory::new(ExportBuffer::new(4096)?);
/// local.bytes().write_at(100, b"hello")?;
/// import.putv(&[local.put(100, 5, 4000)?, local.put(0, 10, 0)?], None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LocalMemory<M: ExportMemory = ExportBuffer> {
    memory: M,
}

impl<M: ExportMemory> LocalMemory<M> {
    /// A handle of `memory`.
    pub const fn new(memory: M) -> Self {
        Self { memory }
    }

    /// The memory.
    pub fn bytes(&self) -> SharedBytes<'_> {
        let (base, len) = self.memory.range();
        // SAFETY: `ExportMemory` promises it for as long as the handle owns the memory.
        unsafe { SharedBytes::new(base.as_ptr(), len, Access::ReadWrite) }
    }

    /// Gives the memory back.
    ///
    /// ```
    /// use rsm::{ExportBuffer, LocalMemory};
    ///
    /// let local = LocalMemory::new(ExportBuffer::new(4096)?);
    /// local.bytes().write_at(0, b"hello")?;
    /// assert_eq!(&local.free().as_slice()[..5], b"hello");
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn free(self) -> M {
        self.memory
    }

    /// An entry that puts `len` bytes at `local_offset` of this memory to `remote_offset` of
    /// a segment. Fails with [`Status::BadOffset`] if there are not as many.
    pub fn put(
        &self,
        local_offset: usize,
        len: usize,
        remote_offset: usize,
    ) -> Result<PutEntry<'_>> {
        let local = self.bytes().place(local_offset, len, Access::Read)?;
        // SAFETY: in the memory, which the entry borrows, and nobody has references into it.
        Ok(unsafe { PutEntry::from_raw(local, len, remote_offset) })
    }

    /// An entry that gets `len` bytes from `remote_offset` of a segment to `local_offset` of
    /// this memory. Fails with [`Status::BadOffset`] if it has no room for them.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let local = LocalMemory::new(ExportBuffer::new(4096)?);
    /// import.getv(&mut [local.get(0, 8, 4096)?, local.get(8, 100, 0)?], None)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get(
        &self,
        local_offset: usize,
        len: usize,
        remote_offset: usize,
    ) -> Result<GetEntry<'_>> {
        let local = self.bytes().place(local_offset, len, Access::Write)?;
        // SAFETY: in the memory, which the entry borrows, and nobody has references into it.
        Ok(unsafe { GetEntry::from_raw(local, len, remote_offset) })
    }
}

/// One transfer from local memory to a segment.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// let entries = [PutEntry::new(b"head", 0), PutEntry::new(b"tail", 4092)];
/// import.putv(&entries, Some(Post::Accumulate))?; // and signals the exporter
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PutEntry<'a> {
    local: *const u8,
    len: usize,
    remote_offset: usize,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> PutEntry<'a> {
    /// Puts `from` to `remote_offset`.
    pub const fn new(from: &'a [u8], remote_offset: usize) -> Self {
        Self {
            local: from.as_ptr(),
            len: from.len(),
            remote_offset,
            memory: PhantomData,
        }
    }

    /// Puts `len` bytes that lie at `from` to `remote_offset`.
    ///
    /// # Safety
    ///
    /// As for [`ImportSegment::put_raw`], when the entry is used.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let text = b"hello";
    /// // SAFETY: the text is there for longer than the entry.
    /// let entry = unsafe { PutEntry::from_raw(text.as_ptr(), text.len(), 0) };
    /// import.putv(&[entry], None)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub const unsafe fn from_raw(from: *const u8, len: usize, remote_offset: usize) -> Self {
        Self {
            local: from,
            len,
            remote_offset,
            memory: PhantomData,
        }
    }
}

/// One transfer from a segment to local memory.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
/// let (mut head, mut tail) = ([0; 4], [0; 100]);
/// import.getv(&mut [GetEntry::new(&mut head, 0), GetEntry::new(&mut tail, 3996)], None)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GetEntry<'a> {
    local: *mut u8,
    len: usize,
    remote_offset: usize,
    memory: PhantomData<&'a mut [u8]>,
}

impl<'a> GetEntry<'a> {
    /// Gets `into.len()` bytes from `remote_offset`.
    pub const fn new(into: &'a mut [u8], remote_offset: usize) -> Self {
        Self {
            local: into.as_mut_ptr(),
            len: into.len(),
            remote_offset,
            memory: PhantomData,
        }
    }

    /// Gets `len` bytes from `remote_offset` to where `into` points.
    ///
    /// # Safety
    ///
    /// As for [`ImportSegment::get_raw`], when the entry is used.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let mut head = [0; 16];
    /// // SAFETY: the array is there for longer than the entry, which alone uses it.
    /// let entry = unsafe { GetEntry::from_raw(head.as_mut_ptr(), head.len(), 0) };
    /// import.getv(&mut [entry], None)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub const unsafe fn from_raw(into: *mut u8, len: usize, remote_offset: usize) -> Self {
        Self {
            local: into,
            len,
            remote_offset,
            memory: PhantomData,
        }
    }
}

// SAFETY: an entry stands for the reference that it was made of, or for memory whose use
// the caller of `from_raw` answers for.
unsafe impl Send for PutEntry<'_> {}
// SAFETY: as above; a shared entry gives no access.
unsafe impl Sync for PutEntry<'_> {}
// SAFETY: as above.
unsafe impl Send for GetEntry<'_> {}
// SAFETY: as above; getting takes exclusive borrows of the entries.
unsafe impl Sync for GetEntry<'_> {}

/// A failed scatter-gather transfer: why, and how many entries it has not completed.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// let entries = [PutEntry::new(b"fits", 0), PutEntry::new(b"does not", 4095)];
/// let failure = import.putv(&entries, None).unwrap_err();
/// assert_eq!(failure.error, Status::BadOffset.into());
/// assert_eq!(failure.residual, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterError {
    /// Why it failed.
    pub error: Error,
    /// Entries not completed: the one that failed and those after it; all, if the
    /// connection was lost; none, if only the signal failed.
    pub residual: usize,
}

impl fmt::Display for ScatterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} entries not completed", self.error, self.residual)
    }
}

impl std::error::Error for ScatterError {}

impl From<ScatterError> for Error {
    fn from(failure: ScatterError) -> Self {
        failure.error
    }
}

/// Scatter-gather transfers.
///
/// Entries are transferred in their order, each when it has been checked. One call takes 1
/// to [`MAX_ENTRIES`] of them, and fails with [`Status::BadSgio`] otherwise. In either
/// [mode](Self::mode) it fails with [`Status::ConnAborted`] if the connection was lost
/// before everything was transferred. Other failures are those of [`put`](Self::put)
/// and [`get`](Self::get), but an entry beyond the window is [`Status::BadOffset`] whether
/// or not it is permitted.
impl ImportSegment {
    /// Puts all entries, then posts an event to the exporter if `post` says so.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let record = [PutEntry::new(b"text", 8), PutEntry::new(&[4], 0)];
    /// import.putv(&record, Some(Post::Accumulate))?;
    /// segment.signal().wait(None)?; // the exporter: now all of it is there
    /// # Ok::<(), Error>(())
    /// ```
    pub fn putv(&self, entries: &[PutEntry<'_>], post: Option<Post>) -> Result<(), ScatterError> {
        let entries = entries.iter().map(|&entry| Ok(entry));
        // SAFETY: the entries borrow their memory, or somebody vouches for it.
        unsafe { self.putv_raw(entries, post) }
    }

    /// Gets all entries, then posts an event to the exporter if `post` says so.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let (mut length, mut text) = ([0; 1], [0; 100]);
    /// import.getv(&mut [GetEntry::new(&mut length, 0), GetEntry::new(&mut text, 8)], None)?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn getv(
        &self,
        entries: &mut [GetEntry<'_>],
        post: Option<Post>,
    ) -> Result<(), ScatterError> {
        let entries = entries.iter().map(|entry| {
            Ok(GetEntry {
                memory: PhantomData,
                ..*entry
            })
        });
        // SAFETY: as for `putv`; they are borrowed for as long as this lasts.
        unsafe { self.getv_raw(entries, post) }
    }

    /// As [`putv`](Self::putv), with entries that are made, or found to be bad, when it is
    /// their turn; for callers who translate them from elsewhere.
    ///
    /// # Safety
    ///
    /// What is promised of each entry must hold until the call returns.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let words = ["one", "two"];
    /// let entries = words.iter().zip([0, 8]);
    /// let entries = entries.map(|(word, offset)| Ok(PutEntry::new(word.as_bytes(), offset)));
    /// // SAFETY: the words are there until the end.
    /// unsafe { import.putv_raw(entries, None)? };
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn putv_raw<'a>(
        &self,
        entries: impl ExactSizeIterator<Item = Result<PutEntry<'a>>>,
        post: Option<Post>,
    ) -> Result<(), ScatterError> {
        self.scatter(entries, post, |entry| {
            let to = self.place_entry(entry.remote_offset, entry.len, Access::Write)?;
            // SAFETY: the range is mapped and writable; the entry vouches for the rest.
            unsafe { copy::to_shared(to, entry.local, entry.len) };
            Ok(())
        })
    }

    /// As [`getv`](Self::getv), with entries that are made, or found to be bad, when it is
    /// their turn; for callers who translate them from elsewhere.
    ///
    /// # Safety
    ///
    /// What is promised of each entry must hold until the call returns.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let mut words = [[0; 3]; 2];
    /// let entries = words.iter_mut().zip([0, 8]);
    /// let entries = entries.map(|(word, offset)| Ok(GetEntry::new(word, offset)));
    /// // SAFETY: the words are there until the end, and each belongs to one entry.
    /// unsafe { import.getv_raw(entries, None)? };
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn getv_raw<'a>(
        &self,
        entries: impl ExactSizeIterator<Item = Result<GetEntry<'a>>>,
        post: Option<Post>,
    ) -> Result<(), ScatterError> {
        self.scatter(entries, post, |entry| {
            let from = self.place_entry(entry.remote_offset, entry.len, Access::Read)?;
            // SAFETY: the range is mapped and readable; the entry vouches for the rest.
            unsafe { copy::from_shared(entry.local, from, entry.len) };
            Ok(())
        })
    }

    fn scatter<E>(
        &self,
        entries: impl ExactSizeIterator<Item = Result<E>>,
        post: Option<Post>,
        transfer: impl Fn(E) -> Result<()>,
    ) -> Result<(), ScatterError> {
        let count = entries.len();
        let failed = |residual| move |error| ScatterError { error, residual };
        if count == 0 || count > MAX_ENTRIES {
            return Err(failed(count)(Error::Rsm(Status::BadSgio)));
        }
        // Not until there is a window can an entry be what is wrong. A connection without
        // rights never has one.
        match self.access() {
            Access::None => self.check_transfer(Access::None, 0, 0),
            _ => self.window().map(drop),
        }
        .map_err(failed(count))?;
        for (done, entry) in entries.enumerate() {
            entry.and_then(&transfer).map_err(failed(count - done))?;
        }
        self.check().map_err(failed(count))?;
        match post {
            Some(how) => self.signal().post(how).map_err(failed(0)),
            None => Ok(()),
        }
    }
}
