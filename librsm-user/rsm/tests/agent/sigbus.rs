// SPDX-License-Identifier: MIT OR Apache-2.0
//! `RSM_IMPORT_SIGBUS`: access to what has been taken back ends in a signal.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use rsm_sys::*;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::{map, Pair, Slot, NEW, OLD};

fn pair(memory: Map) -> Pair {
    Pair::with(memory, 0, RSM_IMPORT_SIGBUS)
}

/// Fails unless loads and stores anywhere in the mapping give SIGBUS.
#[track_caller]
fn assert_gives_sigbus(window: &Map) {
    let last = window.len - PAGE;
    for at in [0, last] {
        spawn(|| window.touch(at)).join_killed(Signal::SIGBUS);
        spawn(|| window.store(at + 8, 1)).join_killed(Signal::SIGBUS);
    }
}

#[test]
fn after_the_end_and_not_before() {
    for memory in [|| Map::anonymous(16 * PAGE), || huge_memory(2 * HUGE)] {
        for touched in [false, true] {
            let books = Books::open();
            let pair = pair(memory());
            let slot = Slot::of(&pair.controller, &pair.import);
            let read_only = map(&pair.import, READ);
            if touched {
                pair.window.assert_marked(OLD, 0);
                read_only.assert_marked(OLD, 0);
                pair.window.store(8, 5);
                assert_eq!(pair.memory.load(8), 5);
            }
            assert!(slot.live());
            pair.destroy();
            assert!(!slot.live());
            assert_gives_sigbus(&pair.window);
            spawn(|| read_only.touch(0)).join_killed(Signal::SIGBUS);
            pair.memory.assert_marked(NEW, 0);
            let again = Map::shared(pair.import.as_raw_fd(), PAGE, READ).map(drop);
            assert_eq!(again, Err(Errno::ECONNABORTED));
            drop((read_only, slot, pair));
            books.balance();
        }
    }
}

#[test]
fn however_it_ends() {
    let books = Books::open();
    let ends: [fn(&Pair); 3] = [
        |pair| raw::unpublish(&pair.export).expect("unpublish"),
        |pair| raw::destroy(&pair.export).expect("destroy"),
        |pair| {
            // SAFETY: a part of our own mapping.
            let result = unsafe { libc::munmap(pair.memory.at(PAGE).cast(), PAGE) };
            assert_eq!(result, 0, "munmap");
        },
    ];
    for end in ends {
        let pair = pair(Map::anonymous(4 * PAGE));
        pair.window.assert_marked(OLD, 0);
        end(&pair);
        assert_gives_sigbus(&pair.window);
    }
    books.balance();
}

#[test]
fn children_forked_before_and_after() {
    let books = Books::open();
    let pair = pair(Map::anonymous(4 * PAGE));
    pair.window.assert_marked(OLD, 0);
    let steps = Steps::new();
    let before = spawn(|| {
        pair.window.assert_marked(OLD, 0);
        steps.reach(0);
        steps.await_step(1);
        pair.window.touch(0);
    });
    let untouched = spawn(|| {
        steps.await_step(1);
        pair.window.store(3 * PAGE, 1);
    });
    before.await_step(&steps, 0);
    pair.destroy();
    steps.reach(1);
    before.join_killed(Signal::SIGBUS);
    untouched.join_killed(Signal::SIGBUS);
    in_child(|| assert_gives_sigbus(&pair.window));
    pair.memory.assert_marked(NEW, 0);
    drop((pair, steps));
    books.balance();
}

/// Each connection as it asked, be they of one segment and one process.
#[test]
fn others_see_zeroes() {
    let books = Books::open();
    let pair = pair(Map::anonymous(4 * PAGE));
    let other = pair.connect();
    let plain = map(&other, READ | WRITE);
    let moved = map(&pair.import, READ | WRITE);
    plain.assert_marked(OLD, 0);
    moved.assert_marked(OLD, 0);
    pair.destroy();
    plain.assert_zero();
    plain.mark(OLD);
    assert_gives_sigbus(&pair.window);
    assert_gives_sigbus(&moved);
    plain.assert_marked(OLD, 0);
    drop((plain, moved, other, pair));
    books.balance();
}

/// A system call that is to use the memory says EFAULT, and there is no signal.
#[test]
fn system_calls_fail() {
    let pair = pair(Map::anonymous(PAGE));
    let (reader, writer) = nix::unistd::pipe().expect("pipe");
    let write = || {
        // SAFETY: the kernel checks the memory.
        let result = unsafe { libc::write(writer.as_raw_fd(), pair.window.at(0).cast(), 8) };
        Errno::result(result)
    };
    assert_eq!(write(), Ok(8));
    pair.destroy();
    assert_eq!(write(), Err(Errno::EFAULT));
    // SAFETY: as above.
    let result = unsafe { libc::read(reader.as_raw_fd(), pair.window.at(0).cast(), 8) };
    assert_eq!(Errno::result(result), Err(Errno::EFAULT));
}

/// Rebind and republish are no end.
#[test]
fn what_does_not_end_it_gives_none() {
    let flags = (RSM_EXPORT_ALLOW_REBIND, RSM_IMPORT_SIGBUS);
    let pair = Pair::with(Map::anonymous(4 * PAGE), flags.0, flags.1);
    pair.window.assert_marked(OLD, 0);
    let new = Map::anonymous(4 * PAGE);
    new.mark(NEW);
    raw::republish(&pair.export, &[]).expect("republish");
    pair.window.assert_marked(OLD, 0);
    raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
    pair.window.assert_marked(NEW, 0);
}
