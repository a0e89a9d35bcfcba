// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the heap, which may be refused. `Box::new` would end the process then.

use std::alloc::{alloc, Layout};
use std::mem::MaybeUninit;

use crate::error::{Error, Result, Status};

/// Memory for a value that is not there yet.
pub(crate) struct Room<T>(Box<MaybeUninit<T>>);

impl<T> Room<T> {
    /// Fails with [`Status::InsufficientMem`].
    pub(crate) fn new() -> Result<Self> {
        const { assert!(size_of::<T>() > 0) };
        // SAFETY: the layout is not empty.
        let memory: *mut MaybeUninit<T> = unsafe { alloc(Layout::new::<T>()) }.cast();
        if memory.is_null() {
            return Err(Error::Rsm(Status::InsufficientMem));
        }
        // SAFETY: just allocated, as a box of this type is.
        Ok(Self(unsafe { Box::from_raw(memory) }))
    }

    /// The value of a box, and the room that it leaves.
    pub(crate) fn of(value: Box<T>) -> (T, Self) {
        let room: *mut MaybeUninit<T> = Box::into_raw(value).cast();
        // SAFETY: a box, from which the value is taken.
        unsafe { ((*room).assume_init_read(), Self::from_raw(room)) }
    }

    pub(crate) fn into_raw(self) -> *mut MaybeUninit<T> {
        Box::into_raw(self.0)
    }

    /// # Safety
    ///
    /// `room` must be what [`into_raw`](Self::into_raw) returned, once.
    pub(crate) unsafe fn from_raw(room: *mut MaybeUninit<T>) -> Self {
        // SAFETY: promised by the caller.
        Self(unsafe { Box::from_raw(room) })
    }

    /// The value, in there.
    pub(crate) fn fill(mut self, value: T) -> Box<T> {
        self.0.write(value);
        // SAFETY: written above.
        unsafe { self.0.assume_init() }
    }
}
