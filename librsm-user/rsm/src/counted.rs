// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values with several owners, as in an `Arc`, whose memory is had before the value is: an
//! `Arc` would end the process when there is none.

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{fence, AtomicU64, Ordering};

use crate::room::Room;

/// One owner's share of a value.
pub(crate) struct Counted<T> {
    shared: NonNull<Shared<T>>,
}

/// A value, and how many own it: more than 64 bits can tell are not made in time.
pub(crate) struct Shared<T> {
    owners: AtomicU64,
    value: T,
}

// SAFETY: lends the value to several threads, any of which may drop it.
unsafe impl<T: Send + Sync> Send for Counted<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Counted<T> {}

impl<T> Counted<T> {
    /// The first owner.
    pub(crate) fn new(room: Room<Shared<T>>, value: T) -> Self {
        let owners = AtomicU64::new(1);
        let shared = Box::leak(room.fill(Shared { owners, value }));
        Self {
            shared: shared.into(),
        }
    }

    /// Are both of one value?
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.shared == other.shared
    }

    fn shared(&self) -> &Shared<T> {
        // SAFETY: stays until its last owner is dropped.
        unsafe { self.shared.as_ref() }
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        self.shared().owners.fetch_add(1, Ordering::Relaxed);
        Self {
            shared: self.shared,
        }
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        if self.shared().owners.fetch_sub(1, Ordering::Release) > 1 {
            return;
        }
        // What others have done with the value comes before its end.
        fence(Ordering::Acquire);
        // SAFETY: a box that `new` has leaked, and nobody else owns it any more.
        drop(unsafe { Box::from_raw(self.shared.as_ptr()) });
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared().value
    }
}

impl<T: fmt::Debug> fmt::Debug for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Counts how often it is dropped.
    struct Dropped<'a>(&'a AtomicU64);

    impl Drop for Dropped<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counted<T>(value: T) -> Counted<T> {
        Counted::new(Room::new().unwrap(), value)
    }

    #[test]
    fn the_last_owner_drops_it() {
        let count = AtomicU64::new(0);
        let first = counted(Dropped(&count));
        let second = first.clone();
        assert!(first.is(&second) && !first.is(&counted(Dropped(&AtomicU64::new(0)))));
        drop(first);
        assert_eq!(second.0.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(count.into_inner(), 1);
    }

    #[test]
    fn owners_in_many_threads() {
        let count = AtomicU64::new(0);
        let first = counted(Dropped(&count));
        thread::scope(|scope| {
            for _ in 0..8 {
                let mine = first.clone();
                scope.spawn(move || (0..1000).for_each(|_| drop(mine.clone())));
            }
            drop(first);
        });
        assert_eq!(count.into_inner(), 1);
    }
}
