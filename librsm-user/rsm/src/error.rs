// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong: RSMAPI status codes, and the errno of system calls that failed
//! before the kernel module could give one.

use std::io;

use nix::errno::Errno;
use rsm_sys as sys;

/// Result of this crate's operations.
///
/// ```no_run
/// fn local_node() -> rsm::Result<rsm::NodeId> {
///     Ok(rsm::Controller::open()?.local_node())
/// }
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// ```
/// use rsm::{Error, Status};
///
/// let error = Error::from(Status::ConnAborted);
/// assert_eq!(error.status(), Status::ConnAborted);
/// assert_eq!(error.errno(), None); // no system call failed
/// assert_eq!(error.to_string(), "the connection was aborted (RSMERR_CONN_ABORTED, 40)");
/// ```
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

impl From<Error> for io::Error {
    /// With a kind where the standard library has one, and this error as its source.
    fn from(error: Error) -> Self {
        let kind = match error.status() {
            Status::CtlrNotPresent | Status::SegNotPublished => io::ErrorKind::NotFound,
            Status::PermDenied | Status::BadPerms | Status::SegNotPublishedToNode => {
                io::ErrorKind::PermissionDenied
            }
            Status::BadOffset | Status::BadLength | Status::BadMemAlignment => {
                io::ErrorKind::InvalidInput
            }
            Status::SegidInUse => io::ErrorKind::AddrInUse,
            Status::InsufficientMem => io::ErrorKind::OutOfMemory,
            Status::ConnAborted => io::ErrorKind::ConnectionAborted,
            Status::Interrupted => io::ErrorKind::Interrupted,
            Status::Timeout => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Defines [`Status`]: variant, RSMAPI name, number, meaning.
macro_rules! statuses {
    ($($variant:ident, $name:literal, $code:expr, $meaning:literal;)*) => {
        /// An RSMAPI result code other than success.
        ///
        /// Codes from 101 on, and some of the others, are those of interconnect drivers: the
        /// loopback controller never gives them.
        ///
        /// ```
        /// use rsm::Status;
        ///
        /// let status = Status::from_code(40).expect("known");
        /// assert_eq!(status, Status::ConnAborted);
        /// assert_eq!((status.code(), status.name()), (40, "RSMERR_CONN_ABORTED"));
        /// assert_eq!(status.meaning(), "the connection was aborted");
        /// assert!(Status::ALL.contains(&status));
        /// ```
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
    BadLibraryVersion, "RSMERR_BAD_LIBRARY_VERSION", 1,
        "controller library has the wrong version";
    BadTopologyPtr, "RSMERR_BAD_TOPOLOGY_PTR", 2,
        "bad topology pointer";
    BadCtlrHndl, "RSMERR_BAD_CTLR_HNDL", 3,
        "bad controller handle";
    CtlrNotPresent, "RSMERR_CTLR_NOT_PRESENT", sys::RSM_STATUS_CTLR_NOT_PRESENT,
        "controller not present, or node not reachable through it";
    BadSegHndl, "RSMERR_BAD_SEG_HNDL", sys::RSM_STATUS_BAD_SEG_HNDL,
        "the segment is dead";
    SegAlreadyPublished, "RSMERR_SEG_ALREADY_PUBLISHED", sys::RSM_STATUS_SEG_ALREADY_PUBLISHED,
        "the segment is published already";
    SegNotPublished, "RSMERR_SEG_NOT_PUBLISHED", sys::RSM_STATUS_SEG_NOT_PUBLISHED,
        "no segment is published under this id";
    SegNotPublishedToNode, "RSMERR_SEG_NOT_PUBLISHED_TO_NODE", sys::RSM_STATUS_SEG_NOT_PUBLISHED_TO_NODE,
        "the access list does not name this node";
    SegAlreadyMapped, "RSMERR_SEG_ALREADY_MAPPED", 9,
        "the import has a window already";
    SegStillMapped, "RSMERR_SEG_STILL_MAPPED", 10,
        "the import still has a window";
    SegNotMapped, "RSMERR_SEG_NOT_MAPPED", 11,
        "the import has no window";
    NotCreator, "RSMERR_NOT_CREATOR", sys::RSM_STATUS_NOT_CREATOR,
        "only the process that created the segment may do this";
    BadBarrierPtr, "RSMERR_BAD_BARRIER_PTR", 13,
        "bad barrier pointer";
    BadSgio, "RSMERR_BAD_SGIO", 14,
        "bad scatter-gather list";
    BadLocalmemHndl, "RSMERR_BAD_LOCALMEM_HNDL", 15,
        "bad handle of local memory";
    BadAddr, "RSMERR_BAD_ADDR", sys::RSM_STATUS_BAD_ADDR,
        "memory not mapped, or of a kind that cannot be exported";
    BadMemAlignment, "RSMERR_BAD_MEM_ALIGNMENT", sys::RSM_STATUS_BAD_MEM_ALIGNMENT,
        "address, offset or length not aligned";
    BadOffset, "RSMERR_BAD_OFFSET", 18,
        "transfer outside of the mapped window";
    MisalignedOffset, "RSMERR_MISALIGNED_OFFSET", 19,
        "offset not aligned";
    BadLength, "RSMERR_BAD_LENGTH", sys::RSM_STATUS_BAD_LENGTH,
        "length zero or beyond the limits";
    BadAcl, "RSMERR_BAD_ACL", sys::RSM_STATUS_BAD_ACL,
        "access list invalid";
    BadSegid, "RSMERR_BAD_SEGID", 22,
        "bad segment id pointer";
    ReservedSegid, "RSMERR_RESERVED_SEGID", sys::RSM_STATUS_RESERVED_SEGID,
        "segment id in a reserved range";
    SegidInUse, "RSMERR_SEGID_IN_USE", sys::RSM_STATUS_SEGID_IN_USE,
        "segment id in use";
    BadMode, "RSMERR_BAD_MODE", 25,
        "no such barrier mode";
    BadPerms, "RSMERR_BAD_PERMS", 26,
        "mapping asks for more than the connection grants";
    PermDenied, "RSMERR_PERM_DENIED", sys::RSM_STATUS_PERM_DENIED,
        "permission denied";
    LocksNotSupported, "RSMERR_LOCKS_NOT_SUPPORTED", 28,
        "locks are not supported";
    LocksNotEnabled, "RSMERR_LOCKS_NOT_ENABLED", 29,
        "locks are not enabled";
    RebindNotAllowed, "RSMERR_REBIND_NOT_ALLOWED", sys::RSM_STATUS_REBIND_NOT_ALLOWED,
        "the segment was not created for rebinding";
    InsufficientResources, "RSMERR_INSUFFICIENT_RESOURCES", sys::RSM_STATUS_INSUFFICIENT_RESOURCES,
        "descriptors, segment ids or status slots used up";
    InsufficientMem, "RSMERR_INSUFFICIENT_MEM", sys::RSM_STATUS_INSUFFICIENT_MEM,
        "out of memory, or over the locked-memory limit";
    MapFailed, "RSMERR_MAP_FAILED", 33,
        "the segment cannot be mapped";
    PollfdInUse, "RSMERR_POLLFD_IN_USE", 34,
        "the poll descriptor is in use";
    BarrierUninitialized, "RSMERR_BARRIER_UNINITIALIZED", 35,
        "the barrier is not initialized";
    BarrierOpenFailed, "RSMERR_BARRIER_OPEN_FAILED", 36,
        "the barrier cannot be opened";
    BarrierNotOpened, "RSMERR_BARRIER_NOT_OPENED", 37,
        "the barrier is not open";
    BarrierFailure, "RSMERR_BARRIER_FAILURE", 38,
        "transfers failed since the barrier was opened";
    RemoteNodeUnreachable, "RSMERR_REMOTE_NODE_UNREACHABLE", 39,
        "no path to the node";
    ConnAborted, "RSMERR_CONN_ABORTED", sys::RSM_STATUS_CONN_ABORTED,
        "the connection was aborted";
    Interrupted, "RSMERR_INTERRUPTED", sys::RSM_STATUS_INTERRUPTED,
        "interrupted";
    Timeout, "RSMERR_TIMEOUT", sys::RSM_STATUS_TIMEOUT,
        "no event in time";
    BadAppid, "RSMERR_BAD_APPID", 43,
        "the application has no range of segment ids";
    BadConf, "RSMERR_BAD_CONF", 44,
        "configuration file missing, unreadable or malformed";
    SegNotConnected, "RSMERR_SEG_NOT_CONNECTED", 45,
        "the import is not connected";
    InternalError, "RSMERR_INTERNAL_ERROR", 100,
        "internal error";
    BadDriverVersion, "RSMERR_BAD_DRIVER_VERSION", 101,
        "driver has the wrong version";
    UnsupportedVersion, "RSMERR_UNSUPPORTED_VERSION", 102,
        "version not supported";
    DriverNameInUse, "RSMERR_DRIVER_NAME_IN_USE", 103,
        "name of the driver in use";
    DriverNotRegistered, "RSMERR_DRIVER_NOT_REGISTERED", 104,
        "driver not registered";
    DriverThreadRunning, "RSMERR_DRIVER_THREAD_RUNNING", 105,
        "thread of the driver is running";
    NeedThreadInit, "RSMERR_NEED_THREAD_INIT", 106,
        "thread must be initialized first";
    ThreadNotInited, "RSMERR_THREAD_NOT_INITED", 107,
        "thread not initialized";
    CtlrsRegistered, "RSMERR_CTLRS_REGISTERED", 108,
        "controllers are still registered";
    CtlrNotRegistered, "RSMERR_CTLR_NOT_REGISTERED", 109,
        "controller not registered";
    CtlrAlreadyRegistered, "RSMERR_CTLR_ALREADY_REGISTERED", 110,
        "controller registered already";
    CtlrInUse, "RSMERR_CTLR_IN_USE", 111,
        "controller in use";
    NameTooLong, "RSMERR_NAME_TOO_LONG", 112,
        "name too long";
    SegPublished, "RSMERR_SEG_PUBLISHED", 113,
        "the segment is published";
    SegNotPublishedToRsmAddr, "RSMERR_SEG_NOT_PUBLISHED_TO_RSM_ADDR", 114,
        "the segment is not published to this hardware address";
    SegInUse, "RSMERR_SEG_IN_USE", 115,
        "the segment is in use";
    BadSendqHndl, "RSMERR_BAD_SENDQ_HNDL", 116,
        "bad handle of a send queue";
    BadArgsErrors, "RSMERR_BAD_ARGS_ERRORS", 117,
        "bad arguments";
    BadMstype, "RSMERR_BAD_MSTYPE", 118,
        "bad type of memory";
    NoBackingMem, "RSMERR_NO_BACKING_MEM", 119,
        "the segment has no memory";
    NotMem, "RSMERR_NOT_MEM", 120,
        "not memory";
    MemAlreadyBound, "RSMERR_MEM_ALREADY_BOUND", 121,
        "memory bound already";
    MemNotBound, "RSMERR_MEM_NOT_BOUND", 122,
        "memory not bound";
    HandlerNotRegistered, "RSMERR_HANDLER_NOT_REGISTERED", 123,
        "handler not registered";
    NoHandler, "RSMERR_NO_HANDLER", 124,
        "no handler";
    UnbindRebindNotAllowed, "RSMERR_UNBIND_REBIND_NOT_ALLOWED", 125,
        "unbinding and rebinding not allowed";
    CallbacksNotSupported, "RSMERR_CALLBACKS_NOT_SUPPORTED", 126,
        "callbacks not supported";
    UnsupportedOperation, "RSMERR_UNSUPPORTED_OPERATION", 127,
        "operation not supported";
    RsmAddrUnreachable, "RSMERR_RSM_ADDR_UNREACHABLE", 128,
        "hardware address not reachable";
    UnknownRsmAddr, "RSMERR_UNKNOWN_RSM_ADDR", 129,
        "hardware address unknown";
    BadBarrierHndl, "RSMERR_BAD_BARRIER_HNDL", 130,
        "bad barrier handle";
    CommErrMaybeDelivered, "RSMERR_COMM_ERR_MAYBE_DELIVERED", 131,
        "communication failed, perhaps after delivery";
    CommErrNotDelivered, "RSMERR_COMM_ERR_NOT_DELIVERED", 132,
        "communication failed before delivery";
    QueueFenceUp, "RSMERR_QUEUE_FENCE_UP", 133,
        "the queue is fenced";
    QueueFull, "RSMERR_QUEUE_FULL", 134,
        "the queue is full";
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
        let expected: Vec<u32> = (1..=45).chain(100..=134).collect();
        assert_eq!(codes, expected);
        for &status in Status::ALL {
            assert_eq!(Status::from_code(status.code()), Some(status));
            assert!(status.name().starts_with("RSMERR_"), "{}", status.name());
            assert!(!status.meaning().is_empty());
        }
        assert_eq!(Status::from_code(0), None);
        assert_eq!(Status::from_code(46), None);
        assert_eq!(Status::from_code(135), None);
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
    fn as_errors_of_the_standard_library() {
        let error = io::Error::from(Error::Rsm(Status::ConnAborted));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        assert_eq!(inner, Some(&Error::Rsm(Status::ConnAborted)));
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
