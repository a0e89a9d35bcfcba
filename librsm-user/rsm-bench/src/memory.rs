// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings, and words in them.

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
            base: base.context("mmap of an import")?.cast(),
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

    /// Reads the first word.
    pub fn touch(&self) -> u64 {
        // SAFETY: the beginning of our own mapping, which is aligned.
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
