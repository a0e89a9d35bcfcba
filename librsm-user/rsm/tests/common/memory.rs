// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings, and single words of them that others may change.

use std::os::fd::RawFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc;

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub struct Map {
    base: NonNull<u8>,
    pub len: usize,
}

// SAFETY: words are accessed atomically.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

pub const READ: i32 = libc::PROT_READ;
pub const WRITE: i32 = libc::PROT_WRITE;

impl Map {
    pub fn new(
        len: usize,
        protection: i32,
        flags: i32,
        fd: RawFd,
        offset: usize,
    ) -> Result<Self, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base =
            unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, fd, offset as i64) };
        match base {
            libc::MAP_FAILED => Err(Errno::last()),
            base => Ok(Self {
                base: NonNull::new(base.cast()).expect("not at address 0"),
                len,
            }),
        }
    }

    /// Private anonymous memory of ordinary pages.
    pub fn anonymous(len: usize) -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let map = Self::new(len, READ | WRITE, flags, -1, 0).expect("memory");
        // SAFETY: advice on our own mapping.
        unsafe { libc::madvise(map.at(0).cast(), len, libc::MADV_NOHUGEPAGE) };
        map
    }

    /// A shared mapping of a descriptor from its beginning.
    pub fn shared(fd: RawFd, len: usize, protection: i32) -> Result<Self, Errno> {
        Self::new(len, protection, libc::MAP_SHARED, fd, 0)
    }

    /// Takes over a mapping made elsewhere.
    ///
    /// # Safety
    ///
    /// Nobody else may unmap it.
    pub unsafe fn adopt(base: *mut u8, len: usize) -> Self {
        Self {
            base: NonNull::new(base).expect("not at address 0"),
            len,
        }
    }

    /// Leaves the mapping in place.
    pub fn leak(self) -> *mut u8 {
        let base = self.base.as_ptr();
        std::mem::forget(self);
        base
    }

    pub fn addr(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    pub fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.len, "offset {offset:#x} beyond the mapping");
        // SAFETY: inside of the mapping, or one past its end.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// The aligned word at `offset`.
    pub fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(
            offset % 8 == 0 && offset + 8 <= self.len,
            "word at {offset:#x}"
        );
        // SAFETY: inside of the mapping and aligned; only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(self.at(offset).cast()) }
    }

    pub fn load(&self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Relaxed)
    }

    /// Reads the word at `offset` whether anybody wants to know it or not.
    pub fn touch(&self, offset: usize) {
        std::hint::black_box(self.load(offset));
    }

    pub fn store(&self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Relaxed);
    }

    /// Writes `pattern | page number` to the first word of every page.
    pub fn mark(&self, pattern: u64) {
        for offset in (0..self.len).step_by(super::raw::PAGE) {
            self.store(offset, pattern | (offset / super::raw::PAGE) as u64);
        }
    }

    /// Fails unless the first word of every page is as [`mark`](Self::mark) left it.
    #[track_caller]
    pub fn assert_marked(&self, pattern: u64, first_page: usize) {
        for offset in (0..self.len).step_by(super::raw::PAGE) {
            let page = offset / super::raw::PAGE + first_page;
            let (seen, expected) = (self.load(offset), pattern | page as u64);
            assert_eq!(seen, expected, "page {page}: {seen:#x}, not {expected:#x}");
        }
    }

    /// Fails unless the first and last word of every page is zero. On the debug kernel, where each
    /// page of a revoked mapping takes a millisecond to make, only some of many are looked at.
    #[track_caller]
    pub fn assert_zero(&self) {
        for page in some_pages(self.len, 0, if super::debug_kernel() { 17 } else { 1 }) {
            for offset in [page, page + super::raw::PAGE - 8] {
                let seen = self.load(offset);
                assert_eq!(seen, 0, "word at {offset:#x} of a revoked mapping");
            }
        }
    }

    /// Gives the kernel advice about all of it, which it must be able to take.
    #[track_caller]
    pub fn advise(&self, advice: i32) {
        // SAFETY: of our own mapping; what the advice takes away nobody relies on.
        let result = unsafe { libc::madvise(self.at(0).cast(), self.len, advice) };
        assert_eq!(result, 0, "madvise {advice}: {}", Errno::last());
    }

    pub fn protect(&self, offset: usize, len: usize, protection: i32) -> Result<(), Errno> {
        // SAFETY: of our own mapping; tests know what they do to it.
        let result = unsafe { libc::mprotect(self.at(offset).cast(), len, protection) };
        Errno::result(result).map(drop)
    }
}

/// Offsets of the pages of `len` bytes of memory; if they are many, of every `step`th from `first`
/// on and of the last.
pub fn some_pages(len: usize, first: usize, step: usize) -> impl Iterator<Item = usize> {
    let pages = len / super::raw::PAGE;
    let step = if pages > 64 { step } else { 1 };
    let last = (pages - 1) * super::raw::PAGE;
    let regular = (first % step..pages - 1).step_by(step);
    regular.map(|page| page * super::raw::PAGE).chain([last])
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
