// SPDX-License-Identifier: MIT OR Apache-2.0
//! Imports: connect, map, prefault.

use std::os::fd::{AsRawFd, OwnedFd};

use crate::common::backing::{huge_memory, HUGE};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::pair::{Pair, OLD};
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, Connection, PAGE};
use crate::sweep::Sweep;
use crate::{connect, map_apart, skipped, window_apart};

#[test]
fn connect_of_the_first_and_others() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let node = raw::local_node(&pair.controller);
    let assert_slot = |import: &Connection, slot: u32| {
        // The lowest that is free: failures have kept none.
        assert_eq!(import.slot, slot);
        assert_eq!(import.length, PAGE as u64);
    };
    // The file, the peer, the node, the import; and the first time a page of slots.
    let first = Sweep::of("first connect").run(
        raw::controller,
        |controller| connect(controller, node, pair.id),
        |_, import| assert_slot(&import, 0),
    );
    first.assert_failed(8, 3);
    let other = Sweep::of("connect").run(
        || (),
        |()| connect(&pair.controller, node, pair.id),
        |(), import| assert_slot(&import, 1),
    );
    other.assert_failed(5, 3);
}

#[test]
fn map() {
    if skipped() {
        return;
    }
    for memory in [|| Map::anonymous(3 * PAGE), || huge_memory(HUGE)] {
        let pair = Pair::of(memory());
        let (fd, len) = (pair.import.as_raw_fd(), pair.memory.len);
        let sweep = |what, import: &OwnedFd| {
            Sweep::of(what).run(
                || (),
                |()| map_apart(import.as_raw_fd(), len, READ | WRITE),
                |(), window| window.assert_marked(OLD, 0),
            )
        };
        // The first of all.
        let import = pair.connect();
        sweep("map", &import.fd).assert_failed(2, 0);
        // Another of the same address space.
        let window = Map::shared(import.as_raw_fd(), len, READ).expect("map");
        sweep("map again", &import.fd).assert_failed(2, 0);
        drop(window);
        // The first of this address space, while another one has some.
        let steps = Steps::new();
        let other = spawn(|| {
            let _window = Map::shared(import.as_raw_fd(), len, READ).expect("map");
            steps.reach(1);
            steps.await_step(2);
        });
        other.await_step(&steps, 1);
        sweep("map next to another process", &import.fd).assert_failed(3, 0);
        steps.reach(2);
        other.join();
        // Where the kernel chooses the address.
        let tally = Sweep::of("map anywhere").run(
            || (),
            |()| Map::shared(fd, len, READ),
            |(), window| window.assert_marked(OLD, 0),
        );
        tally.assert_failed(2, 0);
    }
}

#[test]
fn prefault() {
    if skipped() {
        return;
    }
    for memory in [|| Map::anonymous(700 * PAGE), || huge_memory(2 * HUGE)] {
        let pair = Pair::of(memory());
        let tally = Sweep::of("prefault").run(
            || window_apart(&pair.import),
            |window| raw::prefault(&pair.import, window.addr(), window.len as u64),
            |window, ()| window.assert_marked(OLD, 0),
        );
        // A page table of each level, at least.
        tally.assert_failed(2, 2);
    }
}
