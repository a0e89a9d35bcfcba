// SPDX-License-Identifier: GPL-2.0

//! Waiting for time to pass, and measuring it.

use kernel::bindings;
use kernel::time::{msecs_to_jiffies, Jiffies};

const NSEC_PER_MSEC: u64 = 1_000_000;

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

/// How long to wait at most, by the clock. The kernel's timeouts count jiffies, and those may stand
/// behind the clock when a wait begins (their processor was not let run, or slept) and catch up in
/// the middle of it: a wait that is over by them need not be over.
pub(crate) struct Timeout {
    /// Nanoseconds; `None` is without end.
    limit: Option<u64>,
    begin: Option<Instant>,
}

impl Timeout {
    /// So many milliseconds, or without end if negative.
    pub(crate) fn of_ms(ms: i32) -> Self {
        Self {
            limit: u64::try_from(ms)
                .ok()
                .map(|ms| ms.saturating_mul(NSEC_PER_MSEC)),
            begin: None,
        }
    }

    /// Jiffies to wait until it has to be asked again; `None` once time is up, which begins when this
    /// is called first.
    pub(crate) fn left(&mut self) -> Option<Jiffies> {
        let Some(limit) = self.limit else {
            return Some(Jiffies::MAX);
        };
        if limit == 0 {
            return None;
        }
        let begin = *self.begin.get_or_insert_with(Instant::now);
        let left = limit.saturating_sub(begin.elapsed());
        let ms = u32::try_from(left.div_ceil(NSEC_PER_MSEC)).unwrap_or(u32::MAX);
        (ms > 0).then(|| msecs_to_jiffies(ms))
    }
}
