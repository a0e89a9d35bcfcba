// SPDX-License-Identifier: GPL-2.0

//! Reader/writer semaphores.
//!
//! Both sides may sleep. Not the per-CPU kind: that one costs an RCU grace period per writer.
//!
//! C header: `include/linux/rwsem.h`.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::LockClassKey;
use kernel::types::{NotThreadSafe, Opaque};

/// A value behind a `struct rw_semaphore`.
///
/// # Invariants
///
/// `sem` is initialised, and `data` is reached only through a guard that holds it.
#[pin_data]
pub(crate) struct RwSem<T> {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
    data: UnsafeCell<T>,
}

// SAFETY: The semaphore may be used from any thread, and moving it moves the value it guards.
unsafe impl<T: Send> Send for RwSem<T> {}
// SAFETY: Readers share `&T` between threads (`Sync`), a writer gets `&mut T` (`Send`).
unsafe impl<T: Send + Sync> Sync for RwSem<T> {}

impl<T> RwSem<T> {
    /// Makes an initialiser. `name` and `key` are for lockdep.
    pub(crate) fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid for writes, `name` and `key` live for ever.
            sem <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_rwsem(slot, name.as_char_ptr(), key.as_ptr())
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Locks for reading, together with other readers.
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        // SAFETY: `sem` is initialised by the type invariant.
        unsafe { bindings::down_read(self.sem.get()) };
        ReadGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }

    /// Locks for writing, alone.
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        // SAFETY: `sem` is initialised by the type invariant.
        unsafe { bindings::down_write(self.sem.get()) };
        WriteGuard {
            lock: self,
            _not_send: NotThreadSafe,
        }
    }
}

/// Holds an [`RwSem`] for reading. The task that took it must drop it.
#[must_use = "the lock is released at once when the guard is unused"]
pub(crate) struct ReadGuard<'a, T> {
    lock: &'a RwSem<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The semaphore is held for reading, so nobody has `&mut T`.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The guard holds the semaphore for reading, and this task took it.
        unsafe { bindings::up_read(self.lock.sem.get()) };
    }
}

/// Holds an [`RwSem`] for writing. The task that took it must drop it.
#[must_use = "the lock is released at once when the guard is unused"]
pub(crate) struct WriteGuard<'a, T> {
    lock: &'a RwSem<T>,
    _not_send: NotThreadSafe,
}

impl<T> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The semaphore is held for writing, so nobody else has access.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The semaphore is held for writing, so nobody else has access.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The guard holds the semaphore for writing, and this task took it.
        unsafe { bindings::up_write(self.lock.sem.get()) };
    }
}
