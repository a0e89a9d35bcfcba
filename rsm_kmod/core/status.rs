// SPDX-License-Identifier: GPL-2.0

//! Result codes: the exact RSMAPI code of a failure together with the errno that says the same in
//! Unix terms.

/// An RSMAPI result code that this module can return. Values are those of the RSMAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Node not reachable through this controller.
    CtlrNotPresent = 4,
    /// The segment is dead.
    BadSegHndl = 5,
    /// The segment is published already.
    SegAlreadyPublished = 6,
    /// No such published segment.
    SegNotPublished = 7,
    /// The caller's process did not create the segment.
    NotCreator = 12,
    /// Memory not mapped or of a kind that cannot be exported.
    BadAddr = 16,
    /// Address or length not a multiple of the page size.
    BadMemAlignment = 17,
    /// Length zero or out of range.
    BadLength = 20,
    /// Access list invalid.
    BadAcl = 21,
    /// Segment id in a reserved range.
    ReservedSegid = 23,
    /// Segment id already published.
    SegidInUse = 24,
    /// Access refused.
    PermDenied = 27,
    /// The segment was not made to be given other memory.
    RebindNotAllowed = 30,
    /// Descriptors, ids or slots used up.
    InsufficientResources = 31,
    /// Out of memory or over the locked-memory limit.
    InsufficientMem = 32,
    /// The connection was revoked.
    ConnAborted = 40,
    /// Interrupted by a signal.
    Interrupted = 41,
    /// Nothing came in time.
    Timeout = 42,
}

/// Linux errno values used here.
#[allow(missing_docs)]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EFAULT: i32 = 14;
    pub const EBUSY: i32 = 16;
    pub const ENODEV: i32 = 19;
    pub const EINVAL: i32 = 22;
    pub const EOPNOTSUPP: i32 = 95;
    pub const EADDRINUSE: i32 = 98;
    pub const ECONNABORTED: i32 = 103;
    pub const ETIMEDOUT: i32 = 110;
    pub const ESTALE: i32 = 116;
}

impl Status {
    /// The errno (positive) that goes with this code, as listed in the UAPI header.
    pub fn errno(self) -> i32 {
        use errno::*;
        match self {
            Status::CtlrNotPresent => ENODEV,
            Status::BadSegHndl => ESTALE,
            Status::SegAlreadyPublished => EBUSY,
            Status::SegNotPublished => ENOENT,
            Status::PermDenied => EACCES,
            Status::NotCreator => EPERM,
            Status::BadAddr => EFAULT,
            Status::BadMemAlignment
            | Status::BadLength
            | Status::BadAcl
            | Status::ReservedSegid => EINVAL,
            Status::SegidInUse => EADDRINUSE,
            Status::RebindNotAllowed => EOPNOTSUPP,
            Status::InsufficientResources => EAGAIN,
            Status::InsufficientMem => ENOMEM,
            Status::ConnAborted => ECONNABORTED,
            Status::Interrupted => EINTR,
            Status::Timeout => ETIMEDOUT,
        }
    }
}
