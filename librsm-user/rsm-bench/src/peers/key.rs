// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured, and on what.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::memory::PAGE;

/// What shares memory, or moves data, between processes: a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Column {
    Rsm,
    Memfd,
    Shm,
    ProcessVm,
    Socket,
    Pipe,
    Eventfd,
}

impl Column {
    /// All, as they stand.
    pub const ALL: [Self; 7] = [
        Self::Rsm,
        Self::Memfd,
        Self::Shm,
        Self::ProcessVm,
        Self::Socket,
        Self::Pipe,
        Self::Eventfd,
    ];

    /// What it is called in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsm => "rsm",
            Self::Memfd => "memfd",
            Self::Shm => "POSIX shm",
            Self::ProcessVm => "process_vm",
            Self::Socket => "Unix socket",
            Self::Pipe => "pipe",
            Self::Eventfd => "eventfd",
        }
    }
}

/// What is done: a row, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    Fill,
    Create,
    Destroy,
    Publish,
    ConnectMap,
    FirstTouch,
    FirstTouchFaults,
    SecondTouch,
    CopyOut,
    CopyIn,
    Unmap,
    Disconnect,
    Cycle,
    Put8,
    Get8,
    PutPage,
    GetPage,
    Barrier,
    PostWait,
    RoundTrip,
    /// From so many importers.
    Revoke(usize),
    Rebind,
    KernelMemory,
}

impl Operation {
    /// What is counted, if it is not what the clock counts.
    pub const fn unit(self) -> Option<&'static str> {
        match self {
            Self::FirstTouchFaults => Some("faults"),
            Self::KernelMemory => Some("bytes"),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fill => "fill",
            Self::Create => "create",
            Self::Destroy => "destroy",
            Self::Publish => "publish",
            Self::ConnectMap => "connect + map",
            Self::FirstTouch => "first touch",
            Self::FirstTouchFaults => "first touch, faults",
            Self::SecondTouch => "second touch",
            Self::CopyOut => "copy out",
            Self::CopyIn => "copy in",
            Self::Unmap => "unmap",
            Self::Disconnect => "disconnect",
            Self::Cycle => "connect, map, touch, unmap, disconnect",
            Self::Put8 => "put 8 B",
            Self::Get8 => "get 8 B",
            Self::PutPage => "put 4 KiB",
            Self::GetPage => "get 4 KiB",
            Self::Barrier => "barrier open + close",
            Self::PostWait => "signal post + wait, one process",
            Self::RoundTrip => "signal there and back, two processes",
            Self::Revoke(1) => "revoke, 1 importer",
            Self::Revoke(importers) => return write!(f, "revoke, {importers} importers"),
            Self::Rebind => "rebind, 1 importer",
            Self::KernelMemory => "kernel memory",
        })
    }
}

/// Of what pages memory is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Pages {
    Small,
    Huge,
}

impl Pages {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::Small, Self::Huge];

    /// Bytes of one.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Small => PAGE,
            Self::Huge => 2 << 20,
        }
    }
}

/// Memory to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Memory {
    /// How much.
    pub bytes: usize,
    /// Made of what.
    pub pages: Pages,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, unit) = match self.bytes {
            bytes if bytes >= 1 << 30 => (bytes >> 30, "GiB"),
            bytes if bytes >= 1 << 20 => (bytes >> 20, "MiB"),
            bytes => (bytes >> 10, "KiB"),
        };
        let pages = match self.pages {
            Pages::Small => "4 KiB pages",
            Pages::Huge => "THP",
        };
        write!(f, "{amount} {unit} of {pages}")
    }
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// What is done.
    pub operation: Operation,
    /// On what, where it matters.
    pub memory: Option<Memory>,
}

impl Operation {
    /// Done on memory.
    pub const fn of(self, memory: Memory) -> Key {
        Key {
            operation: self,
            memory: Some(memory),
        }
    }

    /// Done on whatever there is.
    pub const fn alone(self) -> Key {
        Key {
            operation: self,
            memory: None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.memory {
            Some(memory) => write!(f, "{}: {memory}", self.operation),
            None => write!(f, "{}", self.operation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names() {
        let memory = Memory {
            bytes: 64 << 20,
            pages: Pages::Huge,
        };
        let key = Operation::Revoke(10).of(memory);
        assert_eq!(key.to_string(), "revoke, 10 importers: 64 MiB of THP");
        assert_eq!(Operation::Put8.alone().to_string(), "put 8 B");
    }
}
