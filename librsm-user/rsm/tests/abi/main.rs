// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface of `/dev/rsm` as programs meet it: bad input of every kind gets its one
//! clear error and changes nothing.

#[path = "../common/mod.rs"]
mod common;

mod compat;
mod flags;
mod format;
mod sizes;
mod status;
mod unwritable;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use common::books::Books;
use common::memory::Map;
use common::raw::{self, Command, Connection, PAGE};
use rsm_sys::*;

/// A command: its name, number, size, and the kinds of descriptor that it belongs to.
type Row = (&'static str, u32, usize, &'static [&'static str]);

const fn row<C: Command>(name: &'static str, kinds: &'static [&'static str]) -> Row {
    (name, C::NUMBER, size_of::<C>(), kinds)
}

const COMMANDS: [Row; 13] = [
    row::<rsm_query>("query", &["controller"]),
    row::<rsm_attributes>("attributes", &["controller"]),
    row::<rsm_topology>("topology", &["controller"]),
    row::<rsm_export_create>("create", &["controller"]),
    row::<rsm_import_connect>("connect", &["controller"]),
    row::<rsm_export_publish>("publish", &["export"]),
    row::<rsm_export_destroy>("destroy", &["export"]),
    row::<rsm_export_unpublish>("unpublish", &["export"]),
    row::<rsm_export_republish>("republish", &["export"]),
    row::<rsm_export_rebind>("rebind", &["export"]),
    row::<rsm_import_prefault>("prefault", &["import"]),
    row::<rsm_event_post>("post", &["export", "import"]),
    row::<rsm_event_wait>("wait", &["export", "import"]),
];

/// One descriptor of each kind.
struct Kinds {
    controller: File,
    export: OwnedFd,
    id: u32,
    import: Connection,
    // Unmapped after the segment has ended, as in `Pair`.
    memory: Map,
}

impl Kinds {
    fn new() -> Self {
        // Nothing of another test is left, which would go away in the middle of this one.
        Books::open();
        let controller = raw::controller();
        let memory = Map::anonymous(4 * PAGE);
        let length = memory.len as u64;
        let flags = RSM_EXPORT_ALLOW_REBIND;
        let export = raw::create_with(&controller, memory.addr(), length, flags).expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        Self {
            controller,
            export,
            id,
            import,
            memory,
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
