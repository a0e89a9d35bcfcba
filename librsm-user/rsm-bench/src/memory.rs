// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings, and words in them.

use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use anyhow::{Context, Result};
use nix::sys::mman::{madvise, mmap, mmap_anonymous, munmap, MapFlags, MmapAdvise, ProtFlags};

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// A mapping; unmapped when dropped.
#[derive(Debug)]
pub struct Map {
    base: NonNull<u8>,
    len: usize,
}

const BOTH: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

impl Map {
    /// Memory of ordinary pages.
    pub fn anonymous(len: usize) -> Result<Self> {
        let length = NonZeroUsize::new(len).context("no memory asked for")?;
        // SAFETY: a new mapping at an address of the kernel's choice, and advice on it.
        let base = unsafe {
            let base = mmap_anonymous(None, length, BOTH, MapFlags::MAP_PRIVATE)?;
            // A kernel without huge pages refuses, and has ordinary ones anyway.
            let _ = madvise(base, len, MmapAdvise::MADV_NOHUGEPAGE);
            base
        };
        Ok(Self {
            base: base.cast(),
            len,
        })
    }

    /// The first `len` bytes of what a descriptor stands for.
    pub fn shared(descriptor: impl AsFd, len: usize) -> Result<Self> {
        let length = NonZeroUsize::new(len).context("no memory asked for")?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mmap(None, length, BOTH, MapFlags::MAP_SHARED, descriptor, 0) };
        Ok(Self {
            base: base.context("mmap")?.cast(),
            len,
        })
    }

    /// Address of a page.
    pub fn page(&self, number: usize) -> u64 {
        assert!(
            number < self.len / PAGE,
            "page {number} of {} bytes",
            self.len
        );
        self.base.as_ptr() as u64 + (number * PAGE) as u64
    }

    /// All of it.
    pub fn view(&self) -> View<'_> {
        // SAFETY: mapped for as long as `self` lives, and no references into it are given.
        unsafe { View::new(self.base.as_ptr(), self.len) }
    }

    /// Asks for huge pages, where the system gives them for such memory.
    pub fn advise_huge(&self) {
        // SAFETY: advice on our own mapping. A kernel without huge pages refuses.
        let _ = unsafe { madvise(self.base.cast(), self.len, MmapAdvise::MADV_HUGEPAGE) };
    }

    /// Reads the first word.
    pub fn touch(&self) -> u64 {
        // SAFETY: the beginning of our own mapping, which is aligned.
        unsafe { self.base.cast::<u64>().read_volatile() }
    }
}

/// Memory that others may change, and ways of going over it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    base: *mut u8,
    len: usize,
    memory: PhantomData<&'a Map>,
}

impl View<'_> {
    /// # Safety
    ///
    /// `len` bytes from `base`, which is aligned to pages, must be mapped, readable and writable as
    /// long as the view lives, and nobody may have a reference into them.
    pub unsafe fn new(base: *mut u8, len: usize) -> Self {
        let memory = PhantomData;
        Self { base, len, memory }
    }

    /// Reads a word of each page.
    pub fn touch(&self) {
        for offset in (0..self.len).step_by(PAGE) {
            // SAFETY: within the memory, and aligned.
            unsafe { self.base.add(offset).cast::<u64>().read_volatile() };
        }
    }

    /// Writes a word of each page.
    pub fn mark(&self) {
        for offset in (0..self.len).step_by(PAGE) {
            // SAFETY: as above.
            unsafe { self.base.add(offset).cast::<u64>().write_volatile(1) };
        }
    }

    /// Copies the first bytes out.
    pub fn copy_out(&self, into: &mut [u8]) {
        assert!(into.len() <= self.len);
        // SAFETY: within the memory; a reference never overlaps with it.
        unsafe {
            self.base
                .copy_to_nonoverlapping(into.as_mut_ptr(), into.len())
        }
    }

    /// Copies to the first bytes.
    pub fn copy_in(&self, from: &[u8]) {
        assert!(from.len() <= self.len);
        // SAFETY: as above.
        unsafe {
            self.base
                .copy_from_nonoverlapping(from.as_ptr(), from.len())
        }
    }

    /// Stores the first word.
    #[inline]
    pub fn store(&self, value: u64) {
        // SAFETY: the memory is a page at least, and aligned.
        unsafe { self.base.cast::<u64>().write_volatile(value) }
    }

    /// Loads the first word.
    #[inline]
    pub fn load(&self) -> u64 {
        // SAFETY: as above.
        unsafe { self.base.cast::<u64>().read_volatile() }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: our own mapping, into which no reference was given.
        let result = unsafe { munmap(self.base.cast(), self.len) };
        debug_assert!(result.is_ok(), "munmap: {result:?}");
    }
}
