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

/// Offsets of the pages of so many bytes, in an order of writing to them first that leaves no `unit`
/// beside its neighbour in physical memory, too. The kernel gives out neighbours one after the other
/// or not, as its free memory happens to lie; runs of them cost less.
pub fn apart(bytes: usize, unit: usize) -> impl Iterator<Item = usize> {
    let every_other = move |first| (first..bytes).step_by(2 * unit);
    let units = every_other(0).chain(every_other(unit));
    units.flat_map(move |begin| (begin..bytes.min(begin + unit)).step_by(PAGE))
}

/// What one table of the lowest kind but one covers.
const TABLE: usize = 1 << 30;

/// Until it is dropped, mappings of up to half a [`TABLE`] lie in one: where the program and its
/// libraries end, which any change of them moves, does not decide how many tables they take.
/// Nothing, if that is so already.
pub fn within_one_table() -> Result<Option<Map>> {
    const PROBE: usize = 64 << 20;
    let end = Map::reserved(PROBE)?.base.addr().get() + PROBE;
    let over = (end - TABLE / 2) % TABLE;
    (over > 0).then(|| Map::reserved(over)).transpose()
}

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

    /// Addresses only.
    fn reserved(len: usize) -> Result<Self> {
        let length = NonZeroUsize::new(len).context("no addresses asked for")?;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe { mmap_anonymous(None, length, ProtFlags::PROT_NONE, flags)? };
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

    /// Writes a word of each page, in the order of [`apart`].
    pub fn mark(&self, unit: usize) {
        for offset in apart(self.len, unit) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_for_mappings_within_each_other() {
        let places: Result<Vec<_>> = (0..3).map(|_| within_one_table()).collect();
        assert_eq!(places.unwrap().len(), 3);
    }

    #[test]
    fn neighbours_are_written_apart() {
        let pages = |bytes, unit| {
            let offsets = apart(bytes * PAGE, unit * PAGE);
            offsets.map(|offset| offset / PAGE).collect::<Vec<_>>()
        };
        assert_eq!(pages(1, 1), [0]);
        assert_eq!(pages(5, 1), [0, 2, 4, 1, 3]);
        assert_eq!(pages(7, 2), [0, 1, 4, 5, 2, 3, 6]);
        assert_eq!(pages(2, 4), [0, 1]);
    }
}
