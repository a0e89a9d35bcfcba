// SPDX-License-Identifier: GPL-2.0

//! Waiting for time to pass.

use kernel::bindings;

/// Sleeps for some milliseconds.
pub(crate) fn pause(milliseconds: u32) {
    // SAFETY: May be called wherever sleeping is allowed.
    unsafe { bindings::msleep(milliseconds) };
}
