// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals, which both kinds of segment have.

use std::ffi::{c_int, c_uint, c_void};
use std::time::Duration;

use rsm::{Post, Result, Signal, Status};

use crate::abi::RSM_SIGPOST_NO_ACCUMULATE;
use crate::export::Export;
use crate::handle;
use crate::import::Import;
use crate::poll::References;
use crate::result::{entry, fail};

/// What both kinds of segment have.
pub(crate) struct Segment<'a> {
    pub(crate) signal: &'a Signal,
    pub(crate) references: &'a References,
}

impl Segment<'_> {
    /// # Safety
    ///
    /// As for [`handle::get`].
    pub(crate) unsafe fn of(memseg: *const c_void) -> Result<Self> {
        // SAFETY: promised by the caller.
        let (export, import) =
            unsafe { (handle::get::<Export>(memseg), handle::get::<Import>(memseg)) };
        match (export, import) {
            (Some(export), _) => Ok(Self {
                signal: &export.signal,
                references: &export.references,
            }),
            (_, Some(import)) => Ok(Self {
                signal: import.segment.signal(),
                references: &import.references,
            }),
            (None, None) => fail(Status::BadSegHndl),
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn rsm_intr_signal_post(memseg: *mut c_void, flags: c_uint) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let segment = unsafe { Segment::of(memseg)? };
        segment
            .signal
            .post(match flags & RSM_SIGPOST_NO_ACCUMULATE {
                0 => Post::Accumulate,
                _ => Post::NoAccumulate,
            })
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_intr_signal_wait(memseg: *mut c_void, timeout: c_int) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let segment = unsafe { Segment::of(memseg)? };
        segment.signal.wait(patience(timeout))
    })
}

/// Milliseconds, as poll() takes them: a negative number is for ever.
pub(crate) fn patience(timeout: c_int) -> Option<Duration> {
    Some(Duration::from_millis(timeout.try_into().ok()?))
}
