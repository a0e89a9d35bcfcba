// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of segment ids that are reserved for applications.

use std::ffi::{c_char, c_int, CStr};

use rsm::{SegmentIdRange, Status};

use crate::abi::rsm_memseg_id_t;
use crate::result::{entry, fail};

#[no_mangle]
pub unsafe extern "C" fn rsm_get_segmentid_range(
    appid: *const c_char,
    baseid: *mut rsm_memseg_id_t,
    length: *mut u32,
) -> c_int {
    entry(|| {
        if appid.is_null() || baseid.is_null() || length.is_null() {
            return fail(Status::BadAddr);
        }
        // SAFETY: the caller passes a string.
        let application = unsafe { CStr::from_ptr(appid) };
        let range = SegmentIdRange::of(application.to_bytes())?;
        // SAFETY: the caller passes places for both.
        unsafe {
            baseid.write(range.base().get());
            length.write(range.len());
        }
        Ok(())
    })
}
