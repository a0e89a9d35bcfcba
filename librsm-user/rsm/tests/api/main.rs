// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crate's whole interface, on the real thing: each call's ways to succeed and to fail,
//! what programs do with them, and what happens when somebody dies in the middle.

#[path = "../common/mod.rs"]
mod common;

mod barriers;
mod controller;
mod events;
mod exporting;
mod fork;
mod importing;
mod instructions;
mod kills;
mod lost_puts;
mod recipes;
mod ring;
mod scatter;
mod tearing;
mod threads;
mod transfers;
mod views;
mod windows;

use rsm::{
    Access, AccessEntry, Controller, ExportBuffer, ExportOptions, ExportSegment, ImportSegment,
    SegmentId, Status,
};

use common::raw::PAGE;

/// A published segment and a connection to it, both of this process.
struct Scene {
    controller: Controller,
    segment: ExportSegment,
    id: SegmentId,
    import: ImportSegment,
}

impl Scene {
    /// Of so many pages, for everybody to read and write, connected for both.
    #[track_caller]
    fn new(pages: usize) -> Self {
        let controller = Controller::open().expect("open");
        let (segment, id) = published(&controller, pages, 0o666);
        let import = connect(&controller, id, Access::ReadWrite).expect("connect");
        Self {
            controller,
            segment,
            id,
            import,
        }
    }

    #[track_caller]
    fn connect(&self, access: Access) -> ImportSegment {
        connect(&self.controller, self.id, access).expect("connect")
    }

    /// The word at `offset`, as the exporter sees it.
    #[track_caller]
    fn word(&self, offset: usize) -> u64 {
        self.segment.bytes().load_u64(offset).expect("load")
    }

    /// Takes the memory back, and keeps the rest.
    #[track_caller]
    fn abort(&self) {
        self.segment.unpublish().expect("unpublish");
    }
}

/// A segment that may be rebound, and its id.
#[track_caller]
fn published(controller: &Controller, pages: usize, mode: u32) -> (ExportSegment, SegmentId) {
    let buffer = ExportBuffer::new(pages * PAGE).expect("buffer");
    let segment = ExportOptions::new()
        .allow_rebind(true)
        .create(controller, buffer)
        .expect("create");
    let list = [AccessEntry::new(controller.local_node(), mode)];
    let id = segment.publish(None, &list).expect("publish");
    (segment, id)
}

fn connect(controller: &Controller, id: SegmentId, access: Access) -> rsm::Result<ImportSegment> {
    ImportSegment::connect(controller, controller.local_node(), id, access)
}

/// The status of a failure.
#[track_caller]
fn refused<T, E: Into<rsm::Error>>(result: Result<T, E>) -> Status {
    match result {
        Ok(_) => panic!("succeeded"),
        Err(error) => error.into().status(),
    }
}
