// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays that grow without a lock, and never move or shrink.

use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

const PER_CHUNK: usize = 512;
const CHUNKS: usize = 4096;

/// Number of elements an array can have.
pub(crate) const CAPACITY: usize = PER_CHUNK * CHUNKS;

/// What all-zero bytes are a value of, that is shared and never dropped.
///
/// # Safety
///
/// All-zero bytes must be a value of the type.
pub(crate) unsafe trait Zeroed: Sync {}

// SAFETY: an integer.
unsafe impl Zeroed for AtomicU64 {}

pub(crate) struct Chunks<T: Zeroed> {
    chunks: [AtomicPtr<T>; CHUNKS],
}

impl<T: Zeroed> Chunks<T> {
    pub(crate) const fn new() -> Self {
        Self {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
        }
    }

    /// The element, unless nobody has asked for it or its neighbours to be made.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        let chunk = self.chunks.get(index / PER_CHUNK)?.load(Ordering::Acquire);
        // SAFETY: null, or a chunk of ours, which stays; the remainder is in it.
        (!chunk.is_null()).then(|| unsafe { &*chunk.add(index % PER_CHUNK) })
    }

    /// The element, made if need be; none beyond the capacity or without memory.
    pub(crate) fn get_or_make(&self, index: usize) -> Option<&T> {
        let place = self.chunks.get(index / PER_CHUNK)?;
        if place.load(Ordering::Acquire).is_null() {
            let layout = Layout::array::<T>(PER_CHUNK).ok()?;
            // SAFETY: the layout is not empty.
            let new = unsafe { alloc_zeroed(layout) };
            if new.is_null() {
                return None;
            }
            let old = ptr::null_mut();
            let set = place.compare_exchange(old, new.cast(), Ordering::AcqRel, Ordering::Relaxed);
            if set.is_err() {
                // SAFETY: made above, and not published.
                unsafe { dealloc(new, layout) };
            }
        }
        self.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay() {
        static ARRAY: Chunks<AtomicU64> = Chunks::new();
        assert!(ARRAY.get(5).is_none());
        ARRAY.get_or_make(5).unwrap().store(7, Ordering::Relaxed);
        assert_eq!(ARRAY.get(5).unwrap().load(Ordering::Relaxed), 7);
        assert_eq!(ARRAY.get(PER_CHUNK - 1).unwrap().load(Ordering::Relaxed), 0);
        assert!(ARRAY.get(PER_CHUNK).is_none());
        assert!(ARRAY.get_or_make(CAPACITY - 1).is_some());
        assert!(ARRAY.get_or_make(CAPACITY).is_none() && ARRAY.get(usize::MAX).is_none());
    }
}
