// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface of `/dev/rsm` as programs meet it: bad input of every kind gets its one
//! clear error and changes nothing.

#[path = "../common/mod.rs"]
mod common;

mod compat;
mod format;
mod status;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use common::memory::Map;
use common::raw::{self, Connection, PAGE};

/// One descriptor of each kind.
struct Kinds {
    controller: File,
    memory: Map,
    export: OwnedFd,
    id: u32,
    import: Connection,
}

impl Kinds {
    fn new() -> Self {
        let controller = raw::controller();
        let memory = Map::anonymous(4 * PAGE);
        let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        Self {
            controller,
            memory,
            export,
            id,
            import,
        }
    }

    fn all(&self) -> [(&'static str, RawFd); 3] {
        [
            ("controller", self.controller.as_raw_fd()),
            ("export", self.export.as_raw_fd()),
            ("import", self.import.fd.as_raw_fd()),
        ]
    }
}
