// SPDX-License-Identifier: GPL-2.0

//! The ioctl interface: types generated from the UAPI header, and the way of a command from its
//! number to an operation and back.

use crate::kapi::file::PendingFd;
use crate::kapi::user::{Args, Request};
use crate::logic::abi;
use crate::logic::status::Status;
use crate::segment::Segment;
use kernel::alloc::AllocError;
use kernel::ioctl::{_IOC_DIR, _IOC_NR, _IOC_TYPE};
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::transmute::{AsBytes, FromBytes};

/// Types and constants of `include/uapi/linux/rsm.h`.
#[allow(non_camel_case_types, dead_code, unreachable_pub, clippy::all)]
mod generated {
    include!("uapi_generated.rs");
}
pub(crate) use generated::*;

/// The errno that goes with a code.
pub(crate) fn errno(status: Status) -> Error {
    Error::from_errno(status.errno().wrapping_neg())
}

/// Why an operation failed: the RSMAPI code, and the errno where it is not the code's usual one.
pub(crate) struct Fail {
    status: Status,
    errno: Error,
}

impl Fail {
    /// Of a wait of `timeout_ms` milliseconds. One without end goes on if nobody handles what has
    /// interrupted it: a stop, a debugger, a freeze.
    pub(crate) fn of_wait(status: Status, timeout_ms: i32) -> Self {
        match status {
            Status::Interrupted if timeout_ms < 0 => Self {
                status,
                errno: ERESTARTNOHAND,
            },
            _ => status.into(),
        }
    }
}

impl From<Status> for Fail {
    fn from(status: Status) -> Self {
        Self {
            status,
            errno: errno(status),
        }
    }
}

impl From<AllocError> for Fail {
    fn from(_: AllocError) -> Self {
        Status::InsufficientMem.into()
    }
}

impl From<Error> for Fail {
    /// For errors of making files and descriptors.
    fn from(errno: Error) -> Self {
        let status = if errno == ENOMEM {
            Status::InsufficientMem
        } else {
            Status::InsufficientResources
        };
        Self { status, errno }
    }
}

/// What an operation leaves to be done once its results have reached the caller.
pub(crate) enum Commit {
    /// Nothing.
    None,
    /// Make a descriptor visible.
    Fd(PendingFd),
    /// Nothing; but undo this publication if the results do not reach the caller.
    Published(Arc<Segment>, u32),
}

/// The number of a command of ours; `None` for anybody else's.
pub(crate) fn command(cmd: u32) -> Option<u32> {
    const READ_WRITE: u32 = kernel::uapi::_IOC_READ | kernel::uapi::_IOC_WRITE;
    (_IOC_TYPE(cmd) == RSM_IOC_MAGIC && _IOC_DIR(cmd) == READ_WRITE).then(|| _IOC_NR(cmd))
}

/// Runs a command: reads its structure, performs `operation`, stores the results.
///
/// What will be stored is stored before the operation too, with its inputs as they came, so that a
/// structure that cannot be written is found while nothing has been changed yet. Operations that
/// have no results of their own have then stored all there is, the status, and cannot fail any more
/// once they are done; what others have done is undone if their results cannot be stored after all.
pub(crate) fn run<T: Args>(
    cmd: u32,
    addr: usize,
    operation: impl FnOnce(&mut T) -> Result<Commit, Fail>,
) -> Result {
    let mut request = Request::<T>::read(cmd, addr)?;
    if T::RESULTS {
        request.args.set_status(RSM_STATUS_SUCCESS);
        request.write()?;
    } else {
        request.write_status(RSM_STATUS_SUCCESS)?;
    }
    match operation(&mut request.args) {
        Ok(_) if !T::RESULTS => Ok(()),
        Ok(commit) => {
            let stored = request.write();
            match commit {
                Commit::Fd(fd) if stored.is_ok() => fd.install(),
                // Somebody else may have unpublished it already.
                Commit::Published(segment, id) if stored.is_err() => {
                    let _ = segment.unpublish(Some(id));
                }
                _ => (),
            }
            stored
        }
        Err(fail) => {
            request.write_status(fail.status as u32)?;
            Err(fail.errno)
        }
    }
}

/// Implements [`Args`] for a structure, given its size in the first version of the interface,
/// whether the kernel sets members other than `status`, and for each member that does not take any
/// value the bits that it may have.
macro_rules! args {
    ($type:ty, $size:expr, $results:expr, [$($member:ident: $known:expr),*]) => {
        const _: () = assert!(size_of::<$type>() == $size);

        // SAFETY: A structure of integers, for which any bit pattern is valid.
        unsafe impl FromBytes for $type {}
        // SAFETY: A structure of integers that fill it (layout tests of the user crate).
        unsafe impl AsBytes for $type {}
        // SAFETY: `repr(C)`, as all that the header gives, and begins with `size` and `status`.
        unsafe impl Args for $type {
            const MIN_SIZE: usize = $size;
            const RESULTS: bool = $results;

            fn size(&self) -> u32 {
                self.size
            }

            fn set_status(&mut self, status: u32) {
                self.status = status;
            }

            fn understood(&self) -> bool {
                true $(&& abi::only_known(self.$member, $known))*
            }
        }
    };
}

args!(rsm_query, 32, true, []);
args!(rsm_attributes, 72, true, []);
args!(rsm_topology, 16, true, []);
args!(rsm_export_create, 32, true, [flags: RSM_EXPORT_ALLOW_REBIND]);
args!(rsm_export_publish, 32, true, [flags: 0, __reserved: 0]);
args!(rsm_export_unpublish, 16, false, [flags: 0, __reserved: 0]);
args!(rsm_export_republish, 24, false, [flags: 0]);
args!(rsm_export_rebind, 32, false, [flags: 0, __reserved: 0]);
args!(rsm_export_destroy, 16, false, [flags: 0, __reserved: 0]);
args!(rsm_import_connect, 48, true, [flags: RSM_IMPORT_WAKE_ON_ABORT | RSM_IMPORT_SIGBUS]);
args!(rsm_import_prefault, 32, false, [flags: 0, __reserved: 0]);
args!(rsm_event_post, 16, false, [flags: RSM_EVENT_NO_ACCUMULATE, __reserved: 0]);
args!(rsm_event_wait, 16, false, [flags: 0]);
