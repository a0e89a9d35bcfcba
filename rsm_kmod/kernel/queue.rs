// SPDX-License-Identifier: GPL-2.0

//! A workqueue of our own.

use core::ptr::NonNull;
use kernel::bindings;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::sync::atomic::{Acquire, Atomic, Release};
use kernel::workqueue::Queue;

/// Where a workqueue is found while it runs.
pub(crate) struct QueueCell(Atomic<usize>);

impl QueueCell {
    /// No queue yet.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Starts the queue, with works that run on any processor. One with `reclaim` makes progress
    /// however short memory is.
    ///
    /// The caller must keep the result until nobody can look for the queue any more.
    pub(crate) fn start(&'static self, name: &'static CStr, reclaim: bool) -> Result<Running> {
        let mut flags = bindings::wq_flags_WQ_UNBOUND;
        if reclaim {
            flags |= bindings::wq_flags_WQ_MEM_RECLAIM;
        }
        // SAFETY: `name` is a string without conversions.
        let queue =
            unsafe { bindings::alloc_workqueue_noprof(name.as_char_ptr(), flags, 0 as c_int) };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        self.0.store(queue.as_ptr() as usize, Release);
        // INVARIANT: Just made.
        Ok(Running { queue })
    }

    /// The queue, if it runs.
    pub(crate) fn get(&self) -> Option<&Queue> {
        let queue = self.0.load(Acquire) as *const bindings::workqueue_struct;
        // SAFETY: What is not null was stored by `start()`, whose caller keeps the queue running
        // for as long as anybody may ask.
        (!queue.is_null()).then(|| unsafe { Queue::from_raw(queue) })
    }
}

/// A running queue. Dropped, it runs what is queued and ends.
///
/// # Invariants
///
/// `queue` is a valid workqueue that this value owns.
pub(crate) struct Running {
    queue: NonNull<bindings::workqueue_struct>,
}

// SAFETY: Workqueues belong to no thread.
unsafe impl Send for Running {}
// SAFETY: Nothing is done through `&self`.
unsafe impl Sync for Running {}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: Valid and owned by the type invariant.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}
