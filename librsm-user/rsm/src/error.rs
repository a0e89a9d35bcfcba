// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong: RSMAPI status codes, and the errno of system calls that failed
//! before the kernel module could give one.

use nix::errno::Errno;
use rsm_sys as sys;

/// Result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The module, or this crate in its place, answered with an RSMAPI status.
    #[error("{0}")]
    Rsm(#[from] Status),

    /// A system call failed without an RSMAPI status.
    #[error("{op}: {} (errno {}, {})", .errno.desc(), *.errno as i32, .status.name())]
    System {
        /// What was attempted.
        op: &'static str,
        /// Why it failed.
        errno: Errno,
        /// The status that RSMAPI gives for such a failure.
        status: Status,
    },
}

impl Error {
    /// The RSMAPI status of this failure; there is one for every failure.
    pub const fn status(&self) -> Status {
        match *self {
            Self::Rsm(status) | Self::System { status, .. } => status,
        }
    }

    /// The errno, where a system call failed without an RSMAPI status.
    pub const fn errno(&self) -> Option<Errno> {
        match *self {
            Self::Rsm(_) => None,
            Self::System { errno, .. } => Some(errno),
        }
    }

    /// A failed system call, with the status that RSMAPI prescribes for its errno.
    pub(crate) const fn system(op: &'static str, errno: Errno) -> Self {
        let status = match errno {
            Errno::EMFILE | Errno::ENFILE | Errno::EAGAIN => Status::InsufficientResources,
            Errno::ENOMEM => Status::InsufficientMem,
            Errno::EFAULT => Status::BadAddr,
            Errno::EINTR => Status::Interrupted,
            _ => Status::InternalError,
        };
        Self::System { op, errno, status }
    }

    /// A failed open of the device. Without the module there is no node, or a stale
    /// one without a driver.
    pub(crate) const fn open(errno: Errno) -> Self {
        const OP: &str = "cannot open /dev/rsm";
        match errno {
            Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => Self::System {
                op: "cannot open /dev/rsm (is the rsm module loaded?)",
                errno,
                status: Status::CtlrNotPresent,
            },
            _ => Self::system(OP, errno),
        }
    }

    /// A failed mmap of a window on a segment.
    pub(crate) const fn map(errno: Errno) -> Self {
        let status = match errno {
            Errno::ECONNABORTED => return Self::Rsm(Status::ConnAborted),
            Errno::EACCES => return Self::Rsm(Status::BadPerms),
            Errno::EAGAIN => Status::InsufficientResources,
            Errno::ENOMEM => Status::BadLength,
            _ => Status::MapFailed,
        };
        Self::System {
            op: "cannot map the segment",
            errno,
            status,
        }
    }

    /// A failed command: `code` is what the kernel stored in its status member, which
    /// stays 0 when the command was turned away before that.
    pub(crate) fn command(op: &'static str, code: u32, errno: Errno) -> Self {
        match Status::from_code(code) {
            Some(status) => Self::Rsm(status),
            None => Self::system(op, errno),
        }
    }
}

/// Defines [`Status`]: variant, RSMAPI name, number, meaning.
macro_rules! statuses {
    ($($variant:ident, $name:literal, $code:expr, $meaning:literal;)*) => {
        /// An RSMAPI result code other than success.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
        #[error("{} ({}, {})", self.meaning(), self.name(), self.code())]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Status {
            $(
                #[doc = concat!("`", $name, "`: ", $meaning, ".")]
                $variant = $code,
            )*
        }

        impl Status {
            /// Every status, in ascending order of its number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name of the code in the RSMAPI, `RSMERR_…`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What the code means, in a few words.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

statuses! {
    CtlrNotPresent, "RSMERR_CTLR_NOT_PRESENT", sys::RSM_STATUS_CTLR_NOT_PRESENT,
        "controller not present, or node not reachable through it";
    BadSegHndl, "RSMERR_BAD_SEG_HNDL", sys::RSM_STATUS_BAD_SEG_HNDL,
        "the segment is dead";
    SegAlreadyPublished, "RSMERR_SEG_ALREADY_PUBLISHED", sys::RSM_STATUS_SEG_ALREADY_PUBLISHED,
        "the segment is published already";
    SegNotPublished, "RSMERR_SEG_NOT_PUBLISHED", sys::RSM_STATUS_SEG_NOT_PUBLISHED,
        "no segment is published under this id";
    SegNotPublishedToNode, "RSMERR_SEG_NOT_PUBLISHED_TO_NODE",
        sys::RSM_STATUS_SEG_NOT_PUBLISHED_TO_NODE,
        "the access list does not name this node";
    NotCreator, "RSMERR_NOT_CREATOR", sys::RSM_STATUS_NOT_CREATOR,
        "only the process that created the segment may do this";
    BadAddr, "RSMERR_BAD_ADDR", sys::RSM_STATUS_BAD_ADDR,
        "memory not mapped, or of a kind that cannot be exported";
    BadMemAlignment, "RSMERR_BAD_MEM_ALIGNMENT", sys::RSM_STATUS_BAD_MEM_ALIGNMENT,
        "address, offset or length not aligned";
    BadOffset, "RSMERR_BAD_OFFSET", 18,
        "transfer outside of the mapped window";
    BadLength, "RSMERR_BAD_LENGTH", sys::RSM_STATUS_BAD_LENGTH,
        "length zero or beyond the limits";
    BadAcl, "RSMERR_BAD_ACL", sys::RSM_STATUS_BAD_ACL,
        "access list invalid";
    ReservedSegid, "RSMERR_RESERVED_SEGID", sys::RSM_STATUS_RESERVED_SEGID,
        "segment id in a reserved range";
    SegidInUse, "RSMERR_SEGID_IN_USE", sys::RSM_STATUS_SEGID_IN_USE,
        "segment id in use";
    BadPerms, "RSMERR_BAD_PERMS", 26,
        "mapping asks for more than the connection grants";
    PermDenied, "RSMERR_PERM_DENIED", sys::RSM_STATUS_PERM_DENIED,
        "permission denied";
    InsufficientResources, "RSMERR_INSUFFICIENT_RESOURCES",
        sys::RSM_STATUS_INSUFFICIENT_RESOURCES,
        "descriptors, segment ids or status slots used up";
    InsufficientMem, "RSMERR_INSUFFICIENT_MEM", sys::RSM_STATUS_INSUFFICIENT_MEM,
        "out of memory, or over the locked-memory limit";
    MapFailed, "RSMERR_MAP_FAILED", 33,
        "the segment cannot be mapped";
    ConnAborted, "RSMERR_CONN_ABORTED", sys::RSM_STATUS_CONN_ABORTED,
        "the connection was aborted";
    Interrupted, "RSMERR_INTERRUPTED", sys::RSM_STATUS_INTERRUPTED,
        "interrupted";
    InternalError, "RSMERR_INTERNAL_ERROR", 100,
        "internal error";
}

impl Status {
    /// The number of the code in the RSMAPI.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The status with this number; `None` for 0, which is success, and for numbers
    /// that this version does not know.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|status| status.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rsmapi() {
        let codes: Vec<u32> = Status::ALL.iter().map(|s| s.code()).collect();
        assert_eq!(
            codes,
            [4, 5, 6, 7, 8, 12, 16, 17, 18, 20, 21, 23, 24, 26, 27, 31, 32, 33, 40, 41, 100]
        );
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert!(status.name().starts_with("RSMERR_"), "{}", status.name());
            assert!(!status.meaning().is_empty());
        }
        assert_eq!(Status::from_code(0), None);
        assert_eq!(Status::from_code(3), None);
        assert_eq!(Status::from_code(u32::MAX), None);
    }

    #[test]
    fn errno_without_status_maps_as_the_rsmapi_says() {
        for (errno, status) in [
            (Errno::EMFILE, Status::InsufficientResources),
            (Errno::ENFILE, Status::InsufficientResources),
            (Errno::EAGAIN, Status::InsufficientResources),
            (Errno::ENOMEM, Status::InsufficientMem),
            (Errno::EFAULT, Status::BadAddr),
            (Errno::EINTR, Status::Interrupted),
            (Errno::ENOTTY, Status::InternalError),
            (Errno::EINVAL, Status::InternalError),
            (Errno::E2BIG, Status::InternalError),
            (Errno::EOPNOTSUPP, Status::InternalError),
        ] {
            let error = Error::command("test", 0, errno);
            assert_eq!(error.status(), status, "{errno}");
            assert_eq!(error.errno(), Some(errno));
        }
    }

    #[test]
    fn status_wins_over_errno() {
        let error = Error::command("test", 27, Errno::EACCES);
        assert_eq!(error, Error::Rsm(Status::PermDenied));
        assert_eq!(error.errno(), None);
    }

    #[test]
    fn unknown_status_falls_back_on_errno() {
        let error = Error::command("test", 9999, Errno::ENOMEM);
        assert_eq!(error.status(), Status::InsufficientMem);
    }

    #[test]
    fn missing_module_is_a_missing_controller() {
        for errno in [Errno::ENOENT, Errno::ENODEV, Errno::ENXIO] {
            assert_eq!(Error::open(errno).status(), Status::CtlrNotPresent);
            assert_eq!(Error::open(errno).errno(), Some(errno));
        }
        assert_eq!(Error::open(Errno::EACCES).status(), Status::InternalError);
        assert_eq!(
            Error::open(Errno::EMFILE).status(),
            Status::InsufficientResources
        );
    }

    #[test]
    fn map_failures() {
        for (errno, status) in [
            (Errno::ECONNABORTED, Status::ConnAborted),
            (Errno::EACCES, Status::BadPerms),
            (Errno::EAGAIN, Status::InsufficientResources),
            (Errno::ENOMEM, Status::BadLength),
            (Errno::EINVAL, Status::MapFailed),
        ] {
            assert_eq!(Error::map(errno).status(), status, "{errno}");
        }
    }

    #[test]
    fn messages_name_code_and_cause() {
        assert_eq!(
            Error::Rsm(Status::PermDenied).to_string(),
            "permission denied (RSMERR_PERM_DENIED, 27)"
        );
        assert_eq!(
            Error::open(Errno::ENOENT).to_string(),
            "cannot open /dev/rsm (is the rsm module loaded?): \
             No such file or directory (errno 2, RSMERR_CTLR_NOT_PRESENT)"
        );
    }
}
