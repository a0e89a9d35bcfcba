// SPDX-License-Identifier: GPL-2.0

//! Waiting for time to pass, and measuring it.

use kernel::bindings;

/// Sleeps for some milliseconds.
pub(crate) fn pause(milliseconds: u32) {
    // SAFETY: May be called wherever sleeping is allowed.
    unsafe { bindings::msleep(milliseconds) };
}

/// A point in time.
#[derive(Clone, Copy)]
pub(crate) struct Instant(u64);

impl Instant {
    /// Now.
    pub(crate) fn now() -> Self {
        // SAFETY: May be called anywhere.
        Self(u64::try_from(unsafe { bindings::ktime_get() }).unwrap_or(0))
    }

    /// Nanoseconds since then.
    pub(crate) fn elapsed(self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }
}
