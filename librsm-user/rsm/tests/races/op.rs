// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done, and what must come of it.

/// A thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    // The importer's.
    Fault,
    Map,
    Unmap,
    Mremap,
    Fork,
    Connect,
    Disconnect,
    Post,
    Wait,
    Kill,
    // The exporter's.
    Rebind,
    Republish,
    Unpublish,
    Destroy,
    Munmap,
    Mprotect,
    Dontneed,
    Exit,
}

pub const ALL: [Op; 18] = [
    Op::Fault,
    Op::Map,
    Op::Unmap,
    Op::Mremap,
    Op::Fork,
    Op::Connect,
    Op::Disconnect,
    Op::Post,
    Op::Wait,
    Op::Kill,
    Op::Rebind,
    Op::Republish,
    Op::Unpublish,
    Op::Destroy,
    Op::Munmap,
    Op::Mprotect,
    Op::Dontneed,
    Op::Exit,
];

impl Op {
    /// Does the exporter do it?
    pub fn is_exporters(self) -> bool {
        self as usize >= Op::Rebind as usize
    }

    /// Does it end the connection, whatever memory the segment stands on?
    pub fn takes_back(self) -> bool {
        matches!(self, Op::Unpublish | Op::Destroy | Op::Exit)
    }

    /// Does it end the connection if the segment stands on the first memory?
    pub fn spoils_first_memory(self) -> bool {
        matches!(self, Op::Munmap | Op::Mprotect | Op::Dontneed)
    }

    /// Does it end the process that does it?
    pub fn ends_its_process(self) -> bool {
        matches!(self, Op::Kill | Op::Exit)
    }

    /// Does it take the importer's window away?
    pub fn removes_window(self) -> bool {
        matches!(self, Op::Unmap | Op::Mremap | Op::Disconnect)
    }
}
