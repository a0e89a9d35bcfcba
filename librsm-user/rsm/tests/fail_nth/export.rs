// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments: create, publish, republish, rebind.

use std::os::fd::OwnedFd;

use rsm_sys::*;

use crate::common::backing::{huge_memory, memfd, shared_file, HUGE};
use crate::common::memory::Map;
use crate::common::pair::{Pair, NEW, OLD};
use crate::common::process::in_child;
use crate::common::raw::{self, Failure, PAGE};
use crate::injection::{Injection, Scope};
use crate::skipped;
use crate::sweep::{Sweep, Tallies};

/// Creates and closes a segment on memory that is there already.
fn create(what: &str, memory: &Map) -> Tallies {
    let controller = raw::controller();
    memory.mark(OLD);
    Sweep::of(what).run(
        || (),
        |()| raw::create(&controller, memory.addr(), memory.len as u64),
        |(), segment| assert_usable(segment, memory),
    )
}

fn assert_usable(segment: OwnedFd, memory: &Map) {
    raw::publish(&segment, 0, &[]).expect("publish");
    memory.assert_marked(OLD, 0);
}

/// Small pages that do not follow each other in physical memory.
fn scattered(pages: usize) -> Map {
    let memory = Map::anonymous(pages * PAGE);
    for first in 0..7 {
        for page in (first..pages).step_by(7) {
            memory.store(page * PAGE, 1);
        }
    }
    memory
}

#[test]
fn create_on_memory_of_all_kinds() {
    if skipped() {
        return;
    }
    // The file with its inode, the segment, the watch and its registration, pages, extents.
    create("create, small pages", &Map::anonymous(3 * PAGE)).assert_failed(8, 3);
    create("create, huge page", &huge_memory(HUGE)).assert_failed(8, 3);
    create("create, shared", &shared_file(&memfd(3 * PAGE))).assert_failed(8, 3);
    // The list of extents grows several times, at last to areas of `vmalloc`, whose records come
    // from a stock: what comes after them does not count the same in each round.
    let tallies = create("create, scattered pages", &scattered(600));
    tallies.assert_failed(15, 0);
    tallies.assert_failed_if_lasting(20);
}

/// Pages come into being while they are pinned.
#[test]
fn create_on_untouched_memory() {
    if skipped() {
        return;
    }
    let create = |what: &str, memory: fn() -> Map| {
        let controller = raw::controller();
        let tally = Sweep::of(what).run(
            memory,
            |memory| raw::create(&controller, memory.addr(), memory.len as u64),
            |memory, segment| {
                memory.assert_zero();
                raw::publish(&segment, 0, &[]).expect("publish");
            },
        );
        tally.assert_failed(8, 3);
    };
    create("create, untouched", || Map::anonymous(2 * PAGE));
    create("create, untouched file", || shared_file(&memfd(2 * PAGE)));
}

/// The first watch in an address space brings what all further ones use.
#[test]
fn first_create_of_a_process() {
    if skipped() {
        return;
    }
    let injection = Injection::new(Scope::Kernel);
    in_child(|| {
        let injection = injection.of_child();
        let (controller, memory) = (raw::controller(), Map::anonymous(PAGE));
        memory.mark(OLD);
        let tally = Sweep::of("first create")
            .with(&injection)
            .not_again()
            .single()
            .run(
                || (),
                |()| raw::create(&controller, memory.addr(), memory.len as u64),
                |(), segment| assert_usable(segment, &memory),
            );
        tally.assert_failed(9, 3);
    });
}

#[test]
fn publish() {
    if skipped() {
        return;
    }
    let (controller, memory) = (raw::controller(), Map::anonymous(PAGE));
    let node = raw::local_node(&controller);
    let acl = [rsm_access_entry { node, perm: 0o644 }];
    let segment = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
    let publish = |what: &str, id: u32, acl: &[rsm_access_entry]| {
        Sweep::of(what).run(
            || (),
            |()| raw::publish(&segment, id, acl),
            |(), assigned| {
                assert!(id == 0 || id == assigned);
                raw::connect(&controller, assigned, 0o600).expect("connect");
                raw::unpublish(&segment).expect("unpublish");
            },
        )
    };
    // The id is stored; a given one is there already. An access list takes two copies.
    publish("publish", 0, &[]).assert_failed(1, 3);
    publish("publish with a list", 0, &acl).assert_failed(1, 5);
    publish("publish, given id", 0x40_0000, &[]).assert_failed(1, 2);
    publish("publish, given id, with a list", 0x7fff_ffff, &acl).assert_failed(1, 4);
}

#[test]
fn republish() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let node = raw::local_node(&pair.controller);
    let acl = [rsm_access_entry { node, perm: 0o644 }];
    for (acl, copies) in [(&acl[..], 4), (&[][..], 2)] {
        let tally = Sweep::of("republish").run(
            || (),
            |()| raw::republish(&pair.export, acl),
            |(), ()| drop(pair.connect()),
        );
        tally.assert_failed_for_copies(copies);
        pair.window.assert_marked(OLD, 0);
    }
}

#[test]
fn rebind() {
    if skipped() {
        return;
    }
    for make in [|| Map::anonymous(3 * PAGE), || huge_memory(HUGE)] {
        let pair = Pair::with(make(), RSM_EXPORT_ALLOW_REBIND, 0);
        let other = make();
        other.mark(NEW);
        let rebind = |memory: &Map| -> Result<(), Failure> {
            raw::rebind(&pair.export, memory.addr(), memory.len as u64)
        };
        let kept = || pair.window.assert_marked(OLD, 0);
        let tally = Sweep::of("rebind").check(&kept).run(
            || (),
            |()| rebind(&other),
            |(), ()| {
                pair.window.assert_marked(NEW, 0);
                rebind(&pair.memory).expect("back again");
                pair.window.assert_marked(OLD, 0);
            },
        );
        tally.assert_failed(3, 2);
    }
}
