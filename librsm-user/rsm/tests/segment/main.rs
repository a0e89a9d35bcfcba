// SPDX-License-Identifier: MIT OR Apache-2.0
//! What segments do: their life, who may use them, how they are mapped, what is left after
//! they have been taken back.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod crate_api;
mod forbidden;
mod lifetime;
mod limits;
mod mapping;
mod memory;
mod processes;
mod revoked;
mod status_slot;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use common::memory::{Map, READ, WRITE};
use common::raw::{self, Connection, PAGE};

/// What the exporter writes at first.
const OLD: u64 = 0x0a11_0000_0000_0000;

/// What the exporter writes after it has taken the memory back.
const NEW: u64 = 0x0bad_0000_0000_0000;

/// A published segment, one connection for reading and writing, and a mapping of it.
struct Pair {
    controller: File,
    memory: Map,
    export: OwnedFd,
    id: u32,
    import: Connection,
    window: Map,
}

impl Pair {
    /// Of ordinary pages, each marked with [`OLD`].
    fn new(pages: usize) -> Self {
        Self::of(Map::anonymous(pages * PAGE))
    }

    fn of(memory: Map) -> Self {
        memory.mark(OLD);
        let controller = raw::controller();
        let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        let window = map(&import, READ | WRITE);
        Self {
            controller,
            memory,
            export,
            id,
            import,
            window,
        }
    }

    /// Takes the memory back and at once gives it other content.
    #[track_caller]
    fn destroy(&self) {
        raw::destroy(&self.export).expect("destroy");
        self.memory.mark(NEW);
    }
}

/// Maps all of a segment.
#[track_caller]
fn map(import: &Connection, protection: i32) -> Map {
    Map::shared(import.fd.as_raw_fd(), import.length as usize, protection).expect("map")
}
