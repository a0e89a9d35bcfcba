// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results, as C has them, and the border that no panic crosses.

use std::ffi::c_int;
use std::panic::{catch_unwind, AssertUnwindSafe};

use rsm::{Error, Result, Status};

use crate::abi::RSM_SUCCESS;

/// A result as a code. An errno never becomes one: each error has its status.
#[inline]
pub(crate) fn code(result: Result<()>) -> c_int {
    match result {
        Ok(()) => RSM_SUCCESS as c_int,
        Err(error) => error.status().code() as c_int,
    }
}

/// Does the work of a function. A panic, which would be a mistake of ours, is
/// `RSMERR_INTERNAL_ERROR`.
///
/// Functions that move data do without this: what is under them does not panic, and if
/// it did all the same, `extern "C"` would end the program at the border.
pub(crate) fn entry(work: impl FnOnce() -> Result<()>) -> c_int {
    code(match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(_) => fail(Status::InternalError),
    })
}

/// A failure with this status.
#[inline]
pub(crate) const fn fail<T>(status: Status) -> Result<T> {
    Err(Error::Rsm(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_codes() {
        assert_eq!(entry(|| Ok(())), 0);
        assert_eq!(entry(|| fail(Status::ConnAborted)), 40);
        assert_eq!(entry(|| panic!("a mistake")), 100);
    }
}
