// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reader/writer semaphores, as `kernel/rwsem.rs` has them.
//!
//! Left out: a `struct rw_semaphore` makes readers queue behind a writer that waits, so a task that
//! took one twice for reading could stop for ever. Nothing in the module does.

use loom::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::mem::forget;
use std::ops::{Deref, DerefMut};
use std::thread::panicking;

/// A value behind a reader/writer semaphore.
pub struct RwSem<T>(RwLock<T>);

impl<T> RwSem<T> {
    /// A semaphore that nobody holds.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(value))
    }

    /// Locks for reading, together with other readers.
    pub fn read(&self) -> Guard<RwLockReadGuard<'_, T>> {
        Guard(Some(self.0.read().unwrap()))
    }

    /// Locks for writing, alone.
    pub fn write(&self) -> Guard<RwLockWriteGuard<'_, T>> {
        Guard(Some(self.0.write().unwrap()))
    }
}

/// Holds a semaphore until dropped. When a failure unwinds it is leaked: loom cannot release this
/// kind of lock after a deadlock.
#[must_use = "the lock is released at once when the guard is unused"]
pub struct Guard<G>(Option<G>);

impl<G> Drop for Guard<G> {
    fn drop(&mut self) {
        if panicking() {
            forget(self.0.take());
        }
    }
}

impl<G: Deref> Deref for Guard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        self.0.as_ref().expect("held")
    }
}

impl<G: DerefMut> DerefMut for Guard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        self.0.as_mut().expect("held")
    }
}
