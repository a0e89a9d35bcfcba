// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong: one message, what to do about it, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use nix::errno::Errno;
use rsm::Status;

use crate::report;
use crate::screen::{BAD, DIM};

/// How the program ends when it does not end well. The manual page has the same list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Anything that is not below.
    Failed = 1,
    /// The command line makes no sense, or does not fit the segment.
    Usage = 2,
    /// No such segment, file, program, or no module.
    NotFound = 3,
    /// Not allowed.
    Denied = 4,
    /// The exporter took the segment back.
    Aborted = 5,
    /// Nothing happened in time.
    TimedOut = 6,
    /// A limit, or no memory.
    NoRoom = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Result of what a command does.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    exit: Exit,
    message: String,
    advice: Option<String>,
    status: Option<Status>,
    bytes: Option<u64>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            advice: None,
            status: None,
            bytes: None,
        }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failed operation on `what`, with the advice that goes with the status.
    pub fn rsm(what: impl Into<String>, error: rsm::Error) -> Self {
        Self {
            message: format!("{}: {error}", what.into()),
            ..Self::from(error)
        }
    }

    /// A failed operation of the system on `what`, such as a file.
    pub fn io(what: impl Into<String>, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            io::ErrorKind::PermissionDenied => Exit::Denied,
            io::ErrorKind::OutOfMemory | io::ErrorKind::StorageFull => Exit::NoRoom,
            _ => Exit::Failed,
        };
        Self::new(exit, format!("{}: {error}", what.into()))
    }

    /// Replaces the advice.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Notes how many bytes had been moved for certain.
    pub fn after(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// Prints it to stderr; nobody is left to tell if that fails.
    pub fn print(&self, json: bool) {
        if json {
            let report = report::Failure {
                error: self.message.clone(),
                advice: self.advice.clone(),
                status: self.status.map(|status| status.name().to_owned()),
                bytes: self.bytes,
                exit: self.exit as u8,
            };
            report.print();
        } else {
            let advice = match &self.advice {
                Some(advice) => format!("\n{DIM}        {advice}{DIM:#}"),
                None => String::new(),
            };
            let text = format!("{BAD}rsmctl:{BAD:#} {}{advice}", self.message);
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }
}

impl report::Failure {
    /// Prints it to stderr, as one line of JSON.
    pub fn print(&self) {
        let text = serde_json::to_string(self).unwrap_or_default();
        let _ = writeln!(anstream::stderr(), "{text}");
    }
}

impl From<rsm::Error> for Failure {
    /// Of an error that says itself what failed.
    fn from(error: rsm::Error) -> Self {
        let status = error.status();
        let (exit, advice) = meaning(status, error.errno());
        Self {
            exit,
            message: error.to_string(),
            advice: advice.map(str::to_owned),
            status: Some(status),
            bytes: None,
        }
    }
}

/// The exit code for a status, and what one can do.
fn meaning(status: Status, errno: Option<Errno>) -> (Exit, Option<&'static str>) {
    match (status, errno) {
        (_, Some(Errno::EACCES | Errno::EPERM)) => (
            Exit::Denied,
            Some("`rsmctl doctor` says who may use /dev/rsm."),
        ),
        (_, Some(Errno::ENOTTY)) => (
            Exit::Failed,
            Some("/dev/rsm is not the module's device: see `rsmctl doctor`."),
        ),
        (Status::CtlrNotPresent, Some(_)) => (
            Exit::NotFound,
            Some("Load the module with `modprobe rsm`; `rsmctl doctor` says what is missing."),
        ),
        (Status::SegNotPublished, _) => (
            Exit::NotFound,
            Some("`rsmctl list` shows what is published. Ids belong to an IPC namespace."),
        ),
        (Status::PermDenied | Status::BadPerms, _) => (
            Exit::Denied,
            Some("The exporter's access list does not admit you for this."),
        ),
        (Status::SegNotPublishedToNode, _) => (
            Exit::Denied,
            Some("The exporter's access list does not name this node."),
        ),
        (Status::NotCreator, _) => (Exit::Denied, None),
        (Status::ConnAborted | Status::BadSegHndl, _) => (
            Exit::Aborted,
            Some("The exporter took the segment back, or has ended."),
        ),
        (Status::Timeout, _) => (Exit::TimedOut, None),
        (Status::InsufficientMem, _) => (
            Exit::NoRoom,
            Some("Exported memory counts against `ulimit -l` and the module's limits: see `rsmctl doctor`."),
        ),
        (Status::InsufficientResources, _) => (
            Exit::NoRoom,
            Some("A limit of the module or of descriptors (`ulimit -n`) is reached: see `rsmctl doctor`."),
        ),
        (Status::BadAcl, _) => (
            Exit::Usage,
            Some("The loopback controller takes one entry, for this machine's own node."),
        ),
        (Status::ReservedSegid, _) => (
            Exit::Usage,
            Some("Ids of one's own choice are 0x400000 to 0x7fffffff; leave --id out to get one."),
        ),
        (Status::SegidInUse, _) => (
            Exit::Failed,
            Some("Choose another id, or leave --id out to get one that was never used."),
        ),
        _ => (Exit::Failed, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_causes_apart() {
        for (status, exit) in [
            (Status::SegNotPublished, Exit::NotFound),
            (Status::PermDenied, Exit::Denied),
            (Status::SegNotPublishedToNode, Exit::Denied),
            (Status::ConnAborted, Exit::Aborted),
            (Status::Timeout, Exit::TimedOut),
            (Status::InsufficientMem, Exit::NoRoom),
            (Status::InsufficientResources, Exit::NoRoom),
            (Status::BadAcl, Exit::Usage),
            (Status::ReservedSegid, Exit::Usage),
            (Status::SegidInUse, Exit::Failed),
            (Status::InternalError, Exit::Failed),
        ] {
            let failure = Failure::rsm("it", status.into());
            assert_eq!(failure.exit(), exit, "{status}");
            assert!(failure.to_string().contains(status.name()));
        }
    }

    #[test]
    fn a_closed_device_is_not_a_missing_one() {
        assert_eq!(
            meaning(Status::InternalError, Some(Errno::EACCES)).0,
            Exit::Denied
        );
        assert_eq!(
            meaning(Status::CtlrNotPresent, Some(Errno::ENOENT)).0,
            Exit::NotFound
        );
    }

    #[test]
    fn files() {
        for (kind, exit) in [
            (io::ErrorKind::NotFound, Exit::NotFound),
            (io::ErrorKind::PermissionDenied, Exit::Denied),
            (io::ErrorKind::StorageFull, Exit::NoRoom),
            (io::ErrorKind::IsADirectory, Exit::Failed),
        ] {
            assert_eq!(Failure::io("f", &kind.into()).exit(), exit);
        }
    }
}
