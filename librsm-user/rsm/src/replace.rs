// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mappings in place of others.
//!
//! With `MAP_FIXED` the kernel takes away what is at the address, and then asks the driver, which
//! may refuse. So a mapping is made elsewhere, and moved there once it exists.

use std::mem;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

use nix::errno::Errno;
use nix::libc::c_void;
use nix::sys::mman::{mremap, munmap, MRemapFlags};

use crate::buffer::page_size;

/// A mapping of our own, unmapped when dropped.
struct Region {
    base: NonNull<c_void>,
    len: usize,
}

impl Region {
    /// What `map` makes, where it does not overlap the `len` bytes at `place`, which
    /// `mremap` would refuse.
    fn apart_from(
        place: NonZeroUsize,
        len: usize,
        map: &impl Fn() -> Result<NonNull<c_void>, Errno>,
    ) -> Result<Self, Errno> {
        let region = Self { base: map()?, len };
        if region.base.addr().get().abs_diff(place.get()) >= len {
            return Ok(region);
        }
        // A part of the place is free, and the kernel chose that. It cannot again while this
        // one is there, or once more, at the place's other end.
        Self::apart_from(place, len, map)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our own mapping, which nobody has seen.
        let result = unsafe { munmap(self.base, self.len) };
        debug_assert!(
            result.is_ok(),
            "munmap of a mapping to be moved: {result:?}"
        );
    }
}

/// Puts the mapping of `len` bytes that `map` makes, wherever the kernel wants it, to `place`.
/// A failure of `map` leaves alone what is there.
///
/// # Safety
///
/// What lies at `place`, and for that length, must be the caller's to replace.
pub(crate) unsafe fn replace(
    place: NonZeroUsize,
    len: NonZeroUsize,
    map: impl Fn() -> Result<NonNull<c_void>, Errno>,
) -> Result<NonNull<c_void>, Errno> {
    let len = len.get().next_multiple_of(page_size());
    let region = Region::apart_from(place, len, &map)?;
    let there = NonNull::new(ptr::without_provenance_mut(place.get()));
    let how = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    // SAFETY: our own mapping; the place is given away by the caller.
    let moved = unsafe { mremap(region.base, len, len, how, there)? };
    mem::forget(region);
    Ok(moved)
}
