// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that other processes may change at any moment, and the only ways to touch them.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicU8};

use bytemuck::Pod;
use rsm_sys::{RSM_PERM_READ, RSM_PERM_WRITE};

use crate::copy;
use crate::cursor::SharedCursor;
use crate::error::{Error, Result, Status};
use crate::typed::{SharedSlice, SharedValue};

/// What may be done with a segment's memory.
///
/// ```
/// use rsm::Access;
///
/// assert!(Access::ReadWrite.permits(Access::Read));
/// assert!(!Access::Read.permits(Access::ReadWrite));
/// assert!(Access::Read.can_read() && !Access::Read.can_write());
/// assert_eq!(Access::Read.permission(), 0o400);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Access {
    /// Nothing: a connection that only signals.
    None = 0,
    /// Read.
    Read = 1,
    /// Write.
    Write = 2,
    /// Read and write.
    ReadWrite = 3,
}

impl Access {
    /// May it be read?
    #[inline]
    pub const fn can_read(self) -> bool {
        self.permits(Self::Read)
    }

    /// May it be written?
    #[inline]
    pub const fn can_write(self) -> bool {
        self.permits(Self::Write)
    }

    /// May all be done that `other` says?
    #[inline]
    pub const fn permits(self, other: Self) -> bool {
        self as u8 & other as u8 == other as u8
    }

    /// As the RSMAPI writes it: 0400 for reading, 0200 for writing.
    pub const fn permission(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Read => RSM_PERM_READ,
            Self::Write => RSM_PERM_WRITE,
            Self::ReadWrite => RSM_PERM_READ | RSM_PERM_WRITE,
        }
    }

    /// What the RSMAPI writes so; `None` with other bits.
    ///
    /// ```
    /// use rsm::Access;
    ///
    /// assert_eq!(Access::from_permission(0o600), Some(Access::ReadWrite));
    /// assert_eq!(Access::from_permission(0o700), None);
    /// ```
    pub const fn from_permission(permission: u32) -> Option<Self> {
        match permission {
            0 => Some(Self::None),
            RSM_PERM_READ => Some(Self::Read),
            RSM_PERM_WRITE => Some(Self::Write),
            0o600 => Some(Self::ReadWrite),
            _ => None,
        }
    }
}

/// A view of memory that other processes may read and write at the same time.
///
/// There is no `&[u8]` of such memory. It is copied in and out: bytes that somebody else
/// changes during a copy arrive old or new, and aligned elements of 2, 4 and 8 bytes
/// are never torn.
///
/// Offsets are in bytes from the beginning of the view, and everything fails with
/// [`Status::BadOffset`] beyond its end, with [`Status::PermDenied`] against its
/// [`access`](Self::access), and with [`Status::BadMemAlignment`] where an element is not
/// aligned. Whether what was copied was the segment is what the connection's
/// [`check`](crate::ImportSegment::check) tells.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// let bytes = segment.bytes();
/// assert_eq!((bytes.len(), bytes.access()), (4096, Access::ReadWrite));
/// bytes.write_at(100, b"hello")?;
/// let mut back = [0; 5];
/// bytes.read_at(100, &mut back)?;
/// assert_eq!(&back, b"hello");
/// bytes.store_u64(8, 5)?;
/// assert_eq!(bytes.load_u64(8)?, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SharedBytes<'a> {
    base: *mut u8,
    len: usize,
    access: Access,
    memory: PhantomData<&'a [AtomicU8]>,
}

// SAFETY: all accesses are such that others may access the memory at the same time.
unsafe impl Send for SharedBytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes<'_> {}

impl<'a> SharedBytes<'a> {
    /// # Safety
    ///
    /// For the lifetime of the view, `base` must point to `len` mapped bytes that permit
    /// `access`, and no reference to any of them may exist, except to atomics.
    #[inline]
    pub(crate) const unsafe fn new(base: *mut u8, len: usize, access: Access) -> Self {
        Self {
            base,
            len,
            access,
            memory: PhantomData,
        }
    }

    /// Number of bytes.
    #[inline]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Is it empty?
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the view permits.
    #[inline]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// Address of the first byte. Whoever uses it must do so atomically or with volatile
    /// accesses, for others use the memory too.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let address = segment.bytes().as_ptr();
    /// // SAFETY: the segment has it; volatile, since others may write there.
    /// let first = unsafe { address.read_volatile() };
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base
    }

    /// The part of `len` bytes from `offset`.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let second_page = segment.bytes().part(4096, 4096)?;
    /// second_page.write_at(0, b"the byte at 4096")?;
    /// assert!(second_page.part(4096, 0)?.is_empty());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn part(&self, offset: usize, len: usize) -> Result<Self> {
        let base = self.place(offset, len, Access::None)?;
        Ok(Self { base, len, ..*self })
    }

    /// Copies `into.len()` bytes from `offset` out of the shared memory.
    #[inline]
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let from = self.place(offset, into.len(), Access::Read)?;
        // SAFETY: the range is mapped and readable; `into` is ours alone.
        unsafe { copy::from_shared(into.as_mut_ptr(), from, into.len()) };
        Ok(())
    }

    /// Copies `from` into the shared memory at `offset`.
    #[inline]
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<()> {
        let to = self.place(offset, from.len(), Access::Write)?;
        // SAFETY: the range is mapped and writable; no reference to it exists.
        unsafe { copy::to_shared(to, from.as_ptr(), from.len()) };
        Ok(())
    }

    /// Reads the aligned 8-byte word at `offset` in one access.
    #[inline]
    pub fn load_u64(&self, offset: usize) -> Result<u64> {
        Ok(self.value(offset, Access::Read)?.load())
    }

    /// Writes the aligned 8-byte word at `offset` in one access.
    #[inline]
    pub fn store_u64(&self, offset: usize, value: u64) -> Result<()> {
        self.value(offset, Access::Write)?.store(value);
        Ok(())
    }

    /// The value of type `T` at `offset`, which must be aligned for it, to be loaded and
    /// stored as a copy.
    ///
    /// Every bit pattern must be a `T`, since that is what others may store. The view
    /// must permit reading and writing; for less there are [`read`](Self::read) and
    /// [`write`](Self::write).
    ///
    /// ```no_run
    /// use bytemuck::{Pod, Zeroable};
    ///
    /// #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
    /// #[repr(C)]
    /// struct Header {
    ///     length: u32,
    ///     checksum: u32,
    /// }
    ///
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// let header = segment.bytes().view::<Header>(64)?;
    /// header.store(Header { length: 5, checksum: 17 });
    /// assert_eq!(header.load().length, 5);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn view<T: Pod>(&self, offset: usize) -> Result<SharedValue<'a, T>> {
        self.value(offset, Access::ReadWrite)
    }

    /// The `count` values of type `T` at `offset`, which must be aligned for them. The
    /// view must permit reading and writing.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// let table = segment.bytes().view_slice::<u32>(0, 100)?;
    /// table.set(99, 1)?;
    /// assert_eq!(table.get(99)?, 1);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn view_slice<T: Pod>(&self, offset: usize, count: usize) -> Result<SharedSlice<'a, T>> {
        let len = count.saturating_mul(size_of::<T>());
        let base = self.aligned::<T>(offset, len, Access::ReadWrite)?;
        // SAFETY: that many values lie in the view, which permits it.
        Ok(unsafe { SharedSlice::new(base, count) })
    }

    /// A copy of the value of type `T` at `offset`, which must be aligned for it.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// segment.bytes().write(12, &7_u32)?;
    /// assert_eq!(segment.bytes().read::<u32>(12)?, 7);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read<T: Pod>(&self, offset: usize) -> Result<T> {
        Ok(self.value(offset, Access::Read)?.load())
    }

    /// Stores a copy of `value` at `offset`, which must be aligned for it.
    pub fn write<T: Pod>(&self, offset: usize, value: &T) -> Result<()> {
        self.value(offset, Access::Write)?.store(*value);
        Ok(())
    }

    /// The aligned word of 8 bytes at `offset` as an atomic. The view must permit reading
    /// and writing.
    ///
    /// Atomics work between processes. To *wait* for a change, signals are there: a futex
    /// in an importer's mapping fails with `EFAULT`.
    ///
    /// ```no_run
    /// use std::sync::atomic::Ordering;
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// let bytes = segment.bytes();
    /// let tickets = bytes.atomic_u64(0)?;
    /// let mine = tickets.fetch_add(1, Ordering::Relaxed);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn atomic_u64(&self, offset: usize) -> Result<&'a AtomicU64> {
        let base = self.aligned::<AtomicU64>(offset, size_of::<u64>(), Access::ReadWrite)?;
        // SAFETY: mapped for 'a, aligned, readable and writable; others may change it, which
        // an atomic bears.
        Ok(unsafe { AtomicU64::from_ptr(base.cast()) })
    }

    /// The aligned word of 4 bytes at `offset` as an atomic; see
    /// [`atomic_u64`](Self::atomic_u64).
    ///
    /// ```no_run
    /// use std::sync::atomic::Ordering;
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let state = segment.bytes().atomic_u32(4)?;
    /// state.store(1, Ordering::Release);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn atomic_u32(&self, offset: usize) -> Result<&'a AtomicU32> {
        let base = self.aligned::<AtomicU32>(offset, size_of::<u32>(), Access::ReadWrite)?;
        // SAFETY: as for `atomic_u64`.
        Ok(unsafe { AtomicU32::from_ptr(base.cast()) })
    }

    /// A reader and writer that moves along, beginning at the first byte.
    ///
    /// ```no_run
    /// use std::io::{Seek, SeekFrom, Write};
    /// # use rsm::*;
    /// # fn main() -> std::io::Result<()> {
    /// # let controller = Controller::open()?;
    /// # let buffer = ExportBuffer::new(4096)?;
    /// # let segment = ExportSegment::create(&controller, buffer).map_err(Error::from)?;
    /// let mut cursor = segment.bytes().cursor();
    /// cursor.seek(SeekFrom::Start(16))?;
    /// writeln!(cursor, "line {}", 1)?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn cursor(&self) -> SharedCursor<'a> {
        SharedCursor::new(*self)
    }

    #[inline]
    fn value<T: Pod>(&self, offset: usize, access: Access) -> Result<SharedValue<'a, T>> {
        let base = self.aligned::<T>(offset, size_of::<T>(), access)?;
        // SAFETY: a value lies in the view; the callers do what `access` says only.
        Ok(unsafe { SharedValue::new(base) })
    }

    /// Where `len` bytes from `offset` are, if they may be accessed so.
    #[inline]
    pub(crate) fn place(&self, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
        if !self.access.permits(access) {
            return Err(Error::Rsm(Status::PermDenied));
        }
        if offset > self.len || len > self.len - offset {
            return Err(Error::Rsm(Status::BadOffset));
        }
        // SAFETY: inside of the memory, or one past its end.
        Ok(unsafe { self.base.add(offset) })
    }

    #[inline]
    fn aligned<T>(&self, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
        if (self.base as usize).wrapping_add(offset) % align_of::<T>() != 0 {
            return Err(Error::Rsm(Status::BadMemAlignment));
        }
        self.place(offset, len, access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(memory: &mut [u64], access: Access) -> SharedBytes<'_> {
        let len = size_of_val(memory);
        // SAFETY: borrowed mutably for as long as the view lives.
        unsafe { SharedBytes::new(memory.as_mut_ptr().cast(), len, access) }
    }

    #[test]
    fn copies_at_every_alignment() {
        for offset in 0..20 {
            for len in 0..40 {
                let mut memory = [0u64; 8];
                let pattern: Vec<u8> = (1..=len as u8).collect();
                let shared = view(&mut memory, Access::ReadWrite);
                shared.write_at(offset, &pattern).unwrap();
                let mut all = [0xff; 64];
                shared.read_at(0, &mut all).unwrap();
                let mut expected = [0; 64];
                expected[offset..offset + len].copy_from_slice(&pattern);
                assert_eq!(all, expected, "write of {len} at {offset}");
                let mut part = vec![0xff; len];
                shared.read_at(offset, &mut part).unwrap();
                assert_eq!(part, pattern, "read of {len} at {offset}");
            }
        }
    }

    #[test]
    fn words() {
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::ReadWrite);
        shared.store_u64(8, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(shared.load_u64(8), Ok(0x0102_0304_0506_0708));
        assert_eq!(shared.load_u64(0), Ok(0));
        assert_eq!(shared.load_u64(4), Err(Status::BadMemAlignment.into()));
        assert_eq!(shared.store_u64(16, 0), Err(Status::BadOffset.into()));
    }

    #[test]
    fn bounds() {
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::ReadWrite);
        let bad = Err(Status::BadOffset.into());
        assert_eq!(shared.read_at(16, &mut []), Ok(()));
        assert_eq!(shared.read_at(17, &mut []), bad);
        assert_eq!(shared.read_at(9, &mut [0; 8]), bad);
        assert_eq!(shared.write_at(16, &[0]), bad);
        assert_eq!(shared.write_at(usize::MAX, &[0, 0]), bad);
        assert_eq!(shared.read_at(usize::MAX - 7, &mut [0; 16]), bad);
        let slice = |offset, count| shared.view_slice::<u64>(offset, count).map(|s| s.len());
        assert_eq!(slice(8, 1), Ok(1));
        assert_eq!(slice(8, 2), Err(Status::BadOffset.into()));
        assert_eq!(slice(8, usize::MAX), Err(Status::BadOffset.into()));
        assert_eq!(slice(8, 1 << 61), Err(Status::BadOffset.into()));
        assert_eq!(slice(4, 1), Err(Status::BadMemAlignment.into()));
    }

    #[test]
    fn parts() {
        let mut memory = [0u64; 4];
        let shared = view(&mut memory, Access::ReadWrite);
        let part = shared.part(9, 7).unwrap();
        part.write_at(0, &[5; 7]).unwrap();
        assert_eq!(part.write_at(1, &[5; 7]), Err(Status::BadOffset.into()));
        assert_eq!(
            shared.load_u64(8),
            Ok(u64::from_ne_bytes([0, 5, 5, 5, 5, 5, 5, 5]))
        );
        assert_eq!(part.load_u64(0), Err(Status::BadMemAlignment.into()));
        assert_eq!(part.read::<u32>(3), Ok(0x0505_0505), "aligned by address");
        assert!(shared.part(32, 0).unwrap().is_empty());
        assert_eq!(shared.part(32, 1).unwrap_err(), Status::BadOffset.into());
        let nothing = view(&mut memory, Access::None);
        assert_eq!(nothing.part(8, 8).unwrap().len(), 8);
    }

    #[test]
    fn rights() {
        let denied = Err(Status::PermDenied.into());
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::Read);
        assert_eq!(shared.read_at(0, &mut [0]), Ok(()));
        assert_eq!(shared.write_at(0, &[0]), denied);
        assert_eq!(shared.store_u64(0, 0), denied);
        assert!(shared.atomic_u64(0).is_err() && shared.view::<u8>(0).is_err());
        let shared = view(&mut memory, Access::Write);
        assert_eq!(shared.read_at(0, &mut [0]), denied);
        assert_eq!(shared.load_u64(0), Err(Status::PermDenied.into()));
        assert_eq!(shared.write_at(0, &[0]), Ok(()));
        assert!(shared.atomic_u32(0).is_err() && shared.view_slice::<u8>(0, 1).is_err());
    }

    #[test]
    fn permissions_are_those_of_the_rsmapi() {
        let all = [Access::None, Access::Read, Access::Write, Access::ReadWrite];
        assert_eq!(all.map(Access::permission), [0, 0o400, 0o200, 0o600]);
        for access in all {
            assert_eq!(Access::from_permission(access.permission()), Some(access));
        }
        assert_eq!(Access::from_permission(0o100), None);
    }

    #[test]
    fn rights_include_others() {
        use Access::*;
        for (access, within) in [
            (None, vec![None]),
            (Read, vec![None, Read]),
            (Write, vec![None, Write]),
            (ReadWrite, vec![None, Read, Write, ReadWrite]),
        ] {
            for other in [None, Read, Write, ReadWrite] {
                assert_eq!(access.permits(other), within.contains(&other));
            }
        }
    }

    #[test]
    fn atomics() {
        use std::sync::atomic::Ordering::Relaxed;
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::ReadWrite);
        shared.atomic_u64(8).unwrap().fetch_add(3, Relaxed);
        shared.atomic_u32(4).unwrap().store(9, Relaxed);
        assert_eq!(shared.read(0), Ok([0_u32, 9, 3, 0]));
        assert!(shared.atomic_u64(4).is_err() && shared.atomic_u32(16).is_err());
    }
}
