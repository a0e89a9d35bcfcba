// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the heap, which may be refused. `Box::new` would end the process then.

use std::alloc::{alloc, Layout};
use std::mem::MaybeUninit;

use rsm::{Result, Status};

use crate::result::fail;

/// Memory for a value that is not there yet.
pub(crate) struct Room<T>(Box<MaybeUninit<T>>);

impl<T> Room<T> {
    pub(crate) fn new() -> Result<Self> {
        const { assert!(size_of::<T>() > 0) };
        // SAFETY: the layout is not empty.
        let memory: *mut MaybeUninit<T> = unsafe { alloc(Layout::new::<T>()) }.cast();
        if memory.is_null() {
            return fail(Status::InsufficientMem);
        }
        // SAFETY: just allocated, as a box of this type is.
        Ok(Self(unsafe { Box::from_raw(memory) }))
    }

    /// The value, in there.
    pub(crate) fn fill(mut self, value: T) -> Box<T> {
        self.0.write(value);
        // SAFETY: written above.
        unsafe { self.0.assume_init() }
    }
}
