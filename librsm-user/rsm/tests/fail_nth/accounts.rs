// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted against limits, with limits so tight that what a failure keeps is missing
//! the next time.

use nix::sys::resource::{setrlimit, Resource};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::pair::{NEW, OLD};
use crate::common::process::{become_user, in_child};
use crate::common::raw::{self, PAGE};
use crate::injection::{Injection, Scope};
use crate::sweep::Sweep;
use crate::{connect, map_apart, skipped};

/// Bytes of a segment.
const LENGTH: usize = 3 * PAGE;

/// Runs `part` as a user to whom all limits apply, which are those of one segment with one import
/// with one mapping, and of `memory` bytes.
fn with_limits(memory: usize, part: impl FnOnce(&Injection)) {
    let injection = Injection::new(Scope::Kernel);
    let books = Books::open();
    let knobs = [
        ("max_segments", 1),
        ("max_user_segments", 1),
        ("max_exported_mem", memory),
        ("max_imports", 1),
        ("max_user_imports", 1),
        ("max_segment_imports", 1),
        ("max_import_mappings", 1),
        ("max_user_mappings", 1),
    ]
    .map(|(name, value)| Knob::parameter(name, value));
    in_child(|| {
        let injection = injection.of_child();
        let limit = memory as u64;
        setrlimit(Resource::RLIMIT_MEMLOCK, limit, limit).expect("setrlimit");
        become_user(1000, 1000, &[]);
        part(&injection);
    });
    drop(knobs);
    books.balance();
}

#[test]
fn of_segments_and_their_memory() {
    if skipped() {
        return;
    }
    with_limits(LENGTH, |injection| {
        use std::os::fd::AsRawFd;
        let (controller, memory) = (raw::controller(), Map::anonymous(LENGTH));
        memory.mark(OLD);
        let create = || raw::create(&controller, memory.addr(), LENGTH as u64);
        let tally = Sweep::of("create").with(injection).single().run(
            || (),
            |()| create(),
            |(), segment| drop(segment),
        );
        tally.assert_failed(8, 3);

        let segment = create().expect("create");
        let id = raw::publish(&segment, 0, &[]).expect("publish");
        let node = raw::local_node(&controller);
        let tally = Sweep::of("connect").with(injection).single().run(
            || (),
            |()| connect(&controller, node, id),
            |(), import| drop(import),
        );
        tally.assert_failed(4, 3);

        let import = connect(&controller, node, id).expect("connect");
        let tally = Sweep::of("map").with(injection).single().run(
            || (),
            |()| map_apart(import.as_raw_fd(), LENGTH, READ | WRITE),
            |(), window| window.assert_marked(OLD, 0),
        );
        tally.assert_failed(2, 0);
    });
}

/// Old and new memory count for a moment.
#[test]
fn of_memory_that_is_replaced() {
    if skipped() {
        return;
    }
    with_limits(2 * LENGTH, |injection| {
        let [old, new] = [OLD, NEW].map(|mark| {
            let memory = Map::anonymous(LENGTH);
            memory.mark(mark);
            memory
        });
        let (controller, length) = (raw::controller(), LENGTH as u64);
        let flags = RSM_EXPORT_ALLOW_REBIND;
        let segment = raw::create_with(&controller, old.addr(), length, flags).expect("create");
        let tally = Sweep::of("rebind").with(injection).single().run(
            || (),
            |()| raw::rebind(&segment, new.addr(), length),
            |(), ()| raw::rebind(&segment, old.addr(), length).expect("back again"),
        );
        tally.assert_failed(3, 2);
    });
}
