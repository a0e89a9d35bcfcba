// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory to export: a page-aligned buffer of our own, and a door for memory that
//! somebody else owns.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::slice;

use nix::sys::mman::{madvise, mmap_anonymous, munmap, MapFlags, MmapAdvise, ProtFlags};

use crate::error::{Error, Result, Status};

/// Size of a huge page.
const HUGE: usize = 2 << 20;

/// Memory that can be exported.
///
/// An [`ExportSegment`](crate::ExportSegment) owns it while other processes may change
/// its content, and gives it back when they cannot any more.
///
/// # Safety
///
/// [`range`](Self::range) must return the same range every time. The range must stay
/// mapped, readable and writable until the value is dropped. While the value is
/// borrowed or owned by a segment, nobody in this process may hold a reference into the
/// range or access it other than atomically or with volatile accesses.
///
/// ```
/// use std::ptr::NonNull;
///
/// use rsm::{ExportBuffer, ExportMemory};
///
/// /// The second page of a buffer.
/// struct SecondPage(ExportBuffer);
///
/// // SAFETY: the buffer keeps the promise for all of its range, and nobody else reaches it.
/// unsafe impl ExportMemory for SecondPage {
///     fn range(&self) -> (NonNull<u8>, usize) {
///         let (base, _) = self.0.range();
///         // SAFETY: the buffer is longer than a page.
///         (unsafe { base.add(4096) }, 4096)
///     }
/// }
/// ```
pub unsafe trait ExportMemory {
    /// First byte and length of the range.
    fn range(&self) -> (NonNull<u8>, usize);
}

/// Anonymous memory, zero-filled, aligned to pages.
///
/// ```
/// let mut buffer = rsm::ExportBuffer::new(10_000)?;
/// buffer.as_mut_slice()[..5].copy_from_slice(b"hello");
/// assert_eq!(&buffer.as_slice()[..5], b"hello");
/// assert_eq!(buffer.len(), 12_288); // whole pages
/// assert!(!buffer.is_empty());
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Debug)]
pub struct ExportBuffer {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the buffer owns its memory, as a boxed slice does.
unsafe impl Send for ExportBuffer {}
// SAFETY: as above.
unsafe impl Sync for ExportBuffer {}

impl ExportBuffer {
    /// A buffer of `len` bytes, rounded up to pages, of ordinary (4 KiB) pages.
    pub fn new(len: usize) -> Result<Self> {
        let page = page_size();
        Self::allocate(len, page, page, MmapAdvise::MADV_NOHUGEPAGE)
    }

    /// A buffer of `len` bytes, rounded up to pages, aligned to 2 MiB and made of huge
    /// pages where the kernel has them. Importers then need one translation for 2 MiB.
    ///
    /// ```
    /// let buffer = rsm::ExportBuffer::huge(3 << 20)?;
    /// assert_eq!(buffer.as_slice().as_ptr() as usize % (2 << 20), 0);
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn huge(len: usize) -> Result<Self> {
        Self::allocate(len, page_size(), HUGE, MmapAdvise::MADV_HUGEPAGE)
    }

    /// A buffer of `len` bytes, rounded up to 2 MiB, of huge pages from the pool that the
    /// administrator has set aside (`vm.nr_hugepages`).
    ///
    /// Fails with [`Status::InsufficientMem`] when the pool has too few.
    ///
    /// ```
    /// match rsm::ExportBuffer::hugetlb(2 << 20) {
    ///     Ok(buffer) => println!("{} bytes of the pool", buffer.len()),
    ///     Err(error) => println!("nothing left in the pool: {error}"),
    /// }
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn hugetlb(len: usize) -> Result<Self> {
        let layout = Layout::new(len, HUGE, HUGE).ok_or(Error::Rsm(Status::BadLength))?;
        Ok(Self {
            base: reserve(
                layout.reserve,
                MapFlags::MAP_HUGETLB | MapFlags::MAP_HUGE_2MB,
            )?,
            len: layout.len,
        })
    }

    fn allocate(len: usize, page: usize, align: usize, advice: MmapAdvise) -> Result<Self> {
        let layout = Layout::new(len, page, align).ok_or(Error::Rsm(Status::BadLength))?;
        let reserved = reserve(layout.reserve, MapFlags::empty())?;
        let (before, after) = layout.surplus(reserved.as_ptr() as usize, align);
        // SAFETY: both ends and the buffer between them lie in the mapping just made,
        // which nobody else knows.
        unsafe {
            let base = reserved.add(before);
            unmap(reserved, before);
            unmap(base.add(layout.len), after);
            // A kernel without huge pages refuses the advice and has small pages anyway.
            let _ = madvise(base.cast(), layout.len, advice);
            Ok(Self {
                base,
                len: layout.len,
            })
        }
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: there are no empty buffers.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The content.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: initialised by the kernel, owned by the buffer, and not exported: a
        // segment owns the buffer while it is.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// The content, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as for `as_slice`.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.len) }
    }
}

impl Drop for ExportBuffer {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is left.
        unsafe { unmap(self.base, self.len) };
    }
}

// SAFETY: the mapping lives as long as the buffer, and its content is lent only by
// methods that borrow the buffer.
unsafe impl ExportMemory for ExportBuffer {
    fn range(&self) -> (NonNull<u8>, usize) {
        (self.base, self.len)
    }
}

/// Memory owned elsewhere: shared memory, a file's private mapping, an arena.
///
/// ```no_run
/// use std::ptr::NonNull;
///
/// use rsm::{Controller, ExportSegment, ForeignMemory};
///
/// #[repr(align(4096))]
/// struct Arena([u8; 8192]);
///
/// let arena = NonNull::from(Box::leak(Box::new(Arena([0; 8192]))));
/// // SAFETY: it is never freed, and from here on the segment has the only way to it.
/// let memory = unsafe { ForeignMemory::new(arena.cast(), 8192) };
/// let segment = ExportSegment::create(&Controller::open()?, memory)?;
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Debug)]
pub struct ForeignMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: only an address and a length; `new` makes its caller answer for their use.
unsafe impl Send for ForeignMemory {}
// SAFETY: as above.
unsafe impl Sync for ForeignMemory {}

impl ForeignMemory {
    /// The range of `len` bytes from `base`.
    ///
    /// # Safety
    ///
    /// As [`ExportMemory`] says: until the value is dropped the range must stay mapped,
    /// readable and writable, and nobody in this process may hold a reference into it.
    pub const unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        Self { base, len }
    }
}

// SAFETY: promised by the caller of `new`.
unsafe impl ExportMemory for ForeignMemory {
    fn range(&self) -> (NonNull<u8>, usize) {
        (self.base, self.len)
    }
}

/// New private anonymous memory.
fn reserve(len: NonZeroUsize, flags: MapFlags) -> Result<NonNull<u8>> {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let memory = unsafe { mmap_anonymous(None, len, rights, MapFlags::MAP_PRIVATE | flags) };
    match memory {
        Ok(memory) => Ok(memory.cast()),
        Err(errno) => Err(Error::system("cannot allocate memory", errno)),
    }
}

/// How much to map so that `len` bytes can be aligned in it.
#[derive(Debug, PartialEq)]
struct Layout {
    len: usize,
    reserve: NonZeroUsize,
}

impl Layout {
    fn new(len: usize, page: usize, align: usize) -> Option<Self> {
        let len = NonZeroUsize::new(len)?
            .get()
            .checked_next_multiple_of(page)?;
        let reserve = NonZeroUsize::new(len.checked_add(align - page)?)?;
        Some(Self { len, reserve })
    }

    /// Bytes of the mapping at `address` before and after the aligned buffer.
    fn surplus(&self, address: usize, align: usize) -> (usize, usize) {
        let before = address.next_multiple_of(align) - address;
        (before, self.reserve.get() - self.len - before)
    }
}

pub(crate) fn page_size() -> usize {
    nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .and_then(|size| size.try_into().ok())
        .expect("the page size is always known")
}

/// # Safety
///
/// The range must be the caller's own, and not used any more.
unsafe fn unmap(base: NonNull<u8>, len: usize) {
    if len > 0 {
        // SAFETY: promised by the caller.
        let result = unsafe { munmap(base.cast(), len) };
        debug_assert!(result.is_ok(), "munmap: {result:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_rounds_and_reserves() {
        let reserve = |n| NonZeroUsize::new(n).unwrap();
        assert_eq!(Layout::new(0, 4096, 4096), None);
        assert_eq!(
            Layout::new(1, 4096, 4096),
            Some(Layout {
                len: 4096,
                reserve: reserve(4096)
            })
        );
        assert_eq!(
            Layout::new(HUGE, 4096, HUGE),
            Some(Layout {
                len: HUGE,
                reserve: reserve(2 * HUGE - 4096)
            })
        );
        assert_eq!(Layout::new(usize::MAX, 4096, 4096), None);
        assert_eq!(Layout::new(usize::MAX - 4095, 4096, HUGE), None);
    }

    #[test]
    fn surplus_leaves_an_aligned_buffer() {
        let layout = Layout::new(3 * HUGE + 4096, 4096, HUGE).unwrap();
        for address in (HUGE..2 * HUGE + 8192).step_by(4096) {
            let (before, after) = layout.surplus(address, HUGE);
            assert_eq!((address + before) % HUGE, 0);
            assert_eq!(before + layout.len + after, layout.reserve.get());
        }
    }

    #[test]
    fn buffers_are_zeroed_aligned_and_writable() {
        for (mut buffer, align) in [
            (ExportBuffer::new(5000).unwrap(), 4096),
            (ExportBuffer::huge(5000).unwrap(), HUGE),
        ] {
            assert_eq!(buffer.len(), 8192);
            assert_eq!(buffer.as_slice().as_ptr() as usize % align, 0);
            assert!(buffer.as_slice().iter().all(|&byte| byte == 0));
            buffer.as_mut_slice().fill(7);
            assert_eq!(buffer.as_slice()[8191], 7);
        }
        assert_eq!(
            ExportBuffer::new(0).unwrap_err().status(),
            Status::BadLength
        );
        assert_eq!(
            ExportBuffer::new(1 << 62).unwrap_err().status(),
            Status::InsufficientMem
        );
    }
}
