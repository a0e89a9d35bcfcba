// SPDX-License-Identifier: MIT OR Apache-2.0
//! A segment and a connection to it, which most tests start from.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{fence, Ordering};

use nix::errno::Errno;

use super::memory::{Map, READ, WRITE};
use super::raw::{self, Connection, PAGE};

/// What the exporter writes at first.
pub const OLD: u64 = 0x0a11_0000_0000_0000;

/// What the exporter writes after it has taken the memory back.
pub const NEW: u64 = 0x0bad_0000_0000_0000;

/// A published segment, one connection for reading and writing, and a mapping of it.
pub struct Pair {
    pub controller: File,
    pub export: OwnedFd,
    pub id: u32,
    pub import: Connection,
    pub window: Map,
    // Unmapped after the segment has ended: else its end would be left to a worker of the module's.
    pub memory: Map,
}

impl Pair {
    /// Of ordinary pages, each marked with [`OLD`].
    pub fn new(pages: usize) -> Self {
        Self::of(Map::anonymous(pages * PAGE))
    }

    pub fn of(memory: Map) -> Self {
        Self::with(memory, 0, 0)
    }

    /// Created and connected with these flags.
    pub fn with(memory: Map, create_flags: u32, connect_flags: u32) -> Self {
        memory.mark(OLD);
        let controller = raw::controller();
        let length = memory.len as u64;
        let export = raw::create_with(&controller, memory.addr(), length, create_flags);
        let export = export.expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        let import = raw::connect_with(&controller, id, 0o600, connect_flags).expect("connect");
        let window = map(&import, READ | WRITE);
        Self {
            controller,
            export,
            id,
            import,
            window,
            memory,
        }
    }

    /// Takes the memory back and at once gives it other content.
    #[track_caller]
    pub fn destroy(&self) {
        raw::destroy(&self.export).expect("destroy");
        self.memory.mark(NEW);
    }

    /// One more connection, for reading and writing.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        raw::connect(&self.controller, self.id, 0o600).expect("connect")
    }
}

/// Maps all of a segment.
#[track_caller]
pub fn map(import: &Connection, protection: i32) -> Map {
    Map::shared(import.fd.as_raw_fd(), import.length as usize, protection).expect("map")
}

/// The slot of a connection in the status table.
pub struct Slot {
    table: Map,
    offset: usize,
    generation: u64,
}

impl Slot {
    /// Of an import that was connected through `controller`.
    pub fn of(controller: &File, import: &Connection) -> Self {
        let offset = import.slot as usize * 8;
        let len = (offset + 8).next_multiple_of(PAGE);
        Self {
            table: Map::shared(controller.as_raw_fd(), len, READ).expect("status table"),
            offset,
            generation: import.generation,
        }
    }

    /// Is the connection live, so that what was read or written before was the segment?
    pub fn live(&self) -> bool {
        fence(Ordering::SeqCst);
        self.table.load(self.offset) == self.generation
    }
}

/// An import of a segment that another process exports.
pub struct Remote {
    pub controller: File,
    pub id: u32,
    pub import: Connection,
    pub window: Map,
    slot: Slot,
}

impl Remote {
    /// Connects for reading and writing, and maps all of it.
    #[track_caller]
    pub fn of(id: u32) -> Self {
        let controller = raw::controller();
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        Self {
            window: map(&import, READ | WRITE),
            slot: Slot::of(&controller, &import),
            controller,
            id,
            import,
        }
    }

    pub fn live(&self) -> bool {
        self.slot.live()
    }

    /// Fails unless the exporter has taken the memory back.
    #[track_caller]
    pub fn assert_taken_back(&self) {
        assert!(!self.live(), "the slot still says live");
        self.window.assert_zero();
        let again = Map::shared(self.import.as_raw_fd(), PAGE, READ).map(drop);
        assert_eq!(again, Err(Errno::ECONNABORTED), "mmap");
    }
}
