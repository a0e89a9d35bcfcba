// SPDX-License-Identifier: GPL-2.0

//! Those who poll a file of ours.
//!
//! Not `PollCondVar`, which waits for an RCU grace period when it is dropped. It must do so because
//! it may be dropped while a poller still looks at it; this one belongs to the object of a file, and
//! pollers keep the file open.

use super::raw;
use kernel::bindings;
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::sync::LockClassKey;
use kernel::types::Opaque;

/// Something can be taken.
pub(crate) const READY: u32 = 0x0040;
/// The other side is gone.
pub(crate) const HANGUP: u32 = 0x0010;

/// The argument of a poll callback.
#[derive(Clone, Copy)]
pub(crate) struct Poll {
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
}

impl Poll {
    /// Wraps the arguments of a callback.
    ///
    /// # Safety
    ///
    /// They must be those of a poll callback that is running, for as long as the result is used.
    pub(crate) unsafe fn from_raw(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> Self {
        Self { file, table }
    }
}

/// Pollers of one file.
///
/// # Invariants
///
/// `head` is initialised. It must be part of the object of the file that is polled.
#[pin_data]
pub(crate) struct Pollers {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: Wait queues belong to no thread.
unsafe impl Send for Pollers {}
// SAFETY: Wait queues have their own lock.
unsafe impl Sync for Pollers {}

impl Pollers {
    /// Nobody. `name` and `key` are for lockdep.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid for writes, `name` and `key` live for ever.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Adds a poller, who is told of every [`wake`](Pollers::wake) from now on. What there is to be
    /// seen must be looked at after this.
    pub(crate) fn add(&self, poll: Poll) {
        // SAFETY: The arguments are those of a running callback, and the queue lives as long as
        // the file's object.
        unsafe { raw::rsm_helper_poll_wait(poll.file, self.head.get(), poll.table) };
    }

    /// Whether nobody has to be told. Who holds a lock after it has been held by a poller who was
    /// [added](Pollers::add) before, or has released it since, sees that poller.
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: Initialised by the type invariant; the head is read at once.
        unsafe { !raw::rsm_helper_waitqueue_active(self.head.get()) }
    }

    /// Tells the pollers that `events` can be seen now; of those who want to be woken alone, one.
    pub(crate) fn wake(&self, events: u32) {
        self.wake_up_to(1, events);
    }

    /// Tells all pollers that `events` can be seen now.
    pub(crate) fn wake_all(&self, events: u32) {
        self.wake_up_to(0, events);
    }

    /// Wakes up to `exclusive` of those who want to be woken alone, 0 being all, and the others.
    fn wake_up_to(&self, exclusive: c_int, events: u32) {
        // SAFETY: Initialised by the type invariant.
        unsafe {
            bindings::__wake_up(
                self.head.get(),
                bindings::TASK_NORMAL,
                exclusive,
                core::ptr::without_provenance_mut::<c_void>(events as usize),
            )
        };
    }
}
