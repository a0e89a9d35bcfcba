// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a mapping is after the memory has been taken back: zero-filled memory of the
//! process, which nobody else sees.

use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::signal::Signal;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::{map, Pair, NEW, OLD};

/// What a process stores in a revoked mapping.
const OWN: u64 = 0x0077_0000_0000_0000;

#[test]
fn zero_whether_touched_before_or_not() {
    let pair = Pair::new(600);
    for page in (0..600).step_by(7) {
        assert_eq!(pair.window.load(page * PAGE), OLD | page as u64);
    }
    pair.destroy();
    pair.window.assert_zero();
    pair.memory.assert_marked(NEW, 0);
}

#[test]
fn keeps_what_is_stored() {
    let books = Books::open();
    let pair = Pair::new(600);
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.mark(OWN);
    pair.window.assert_marked(OWN, 0);
    pair.memory.assert_marked(NEW, 0);
    let Pair {
        controller,
        memory,
        export,
        import,
        window,
        ..
    } = pair;
    drop((controller, memory, export, import));
    window.assert_marked(OWN, 0);
    drop(window);
    books.balance();
}

#[test]
fn windows_on_one_import_show_the_same() {
    let pair = Pair::new(4);
    let second = map(&pair.import, READ | WRITE);
    let part = Map::new(
        PAGE,
        READ,
        libc::MAP_SHARED,
        pair.import.fd.as_raw_fd(),
        2 * PAGE,
    )
    .expect("map");
    pair.destroy();
    pair.window.mark(OWN);
    second.assert_marked(OWN, 0);
    assert_eq!(part.load(0), OWN | 2);
    second.store(2 * PAGE + 8, 5);
    assert_eq!(part.load(8), 5);
}

#[test]
fn imports_do_not_share_it() {
    let pair = Pair::new(4);
    let other = raw::connect(&pair.controller, pair.id, 0o600).expect("connect");
    let other = map(&other, READ | WRITE);
    pair.destroy();
    pair.window.mark(OWN);
    other.assert_zero();
}

#[test]
fn protection_is_kept() {
    let pair = Pair::new(4);
    let read_only = raw::connect(&pair.controller, pair.id, 0o400).expect("connect");
    let read_only = map(&read_only, READ);
    let protected = map(&pair.import, READ | WRITE);
    protected.assert_marked(OLD, 0);
    protected.protect(0, protected.len, READ).expect("mprotect");
    read_only.assert_marked(OLD, 0);
    pair.destroy();
    for (window, what) in [
        (&read_only, "connected for reading"),
        (&protected, "protected"),
    ] {
        window.assert_zero();
        spawn(|| window.store(0, 1)).join_killed(Signal::SIGSEGV);
        assert_eq!(window.load(0), 0, "{what}");
    }
    protected
        .protect(0, protected.len, READ | WRITE)
        .expect("mprotect");
    protected.mark(OWN);
    protected.assert_marked(OWN, 0);
}

#[test]
fn a_child_forked_before_has_its_own() {
    let books = Books::open();
    let pair = Pair::new(16);
    pair.window.assert_marked(OLD, 0);
    let steps = Steps::new();
    let child = spawn(|| {
        pair.window.assert_marked(OLD, 0);
        steps.reach(0);
        steps.await_step(1);
        pair.window.assert_zero();
        pair.window.mark(OWN);
        steps.reach(2);
        steps.await_step(3);
        pair.window.assert_marked(OWN, 0);
    });
    steps.await_step(0);
    pair.destroy();
    steps.reach(1);
    steps.await_step(2);
    pair.window.assert_zero();
    pair.window.mark(OWN << 1);
    pair.memory.assert_marked(NEW, 0);
    steps.reach(3);
    child.join();
    pair.window.assert_marked(OWN << 1, 0);
    drop(pair);
    books.balance();
}

#[test]
fn a_child_forked_after_sees_zeroes() {
    let books = Books::open();
    let pair = Pair::new(16);
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.mark(OWN);
    in_child(|| {
        pair.window.assert_zero();
        pair.window.mark(OWN << 1);
        in_child(|| pair.window.assert_zero());
        pair.window.assert_marked(OWN << 1, 0);
    });
    pair.window.assert_marked(OWN, 0);
    in_child(|| {
        // The other half of the mapping, after a part of it has moved.
        let place = Map::anonymous(16 * PAGE);
        move_to(&pair.window, 4 * PAGE, 4 * PAGE, &place, 0);
        assert_eq!(place.load(0), 0);
        place.store(0, 3);
        assert_eq!(pair.window.load(0), 0);
    });
    pair.window.assert_marked(OWN, 0);
    drop(pair);
    books.balance();
}

fn move_to(window: &Map, offset: usize, len: usize, to: &Map, at: usize) {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: moves a part of a mapping of ours over memory of ours.
    let moved = unsafe { libc::mremap(window.at(offset).cast(), len, len, flags, to.at(at)) };
    assert_eq!(moved, to.at(at).cast());
}

#[test]
fn content_moves_with_mremap() {
    let books = Books::open();
    let pair = Pair::new(8);
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.mark(OWN);
    let place = Map::anonymous(8 * PAGE);
    move_to(&pair.window, 0, 8 * PAGE, &place, 0);
    place.assert_marked(OWN, 0);
    // Unmapped and mapped parts keep what is stored as long as one of them is left.
    // SAFETY: a part of our own mapping.
    unsafe { assert_eq!(libc::munmap(place.at(2 * PAGE).cast(), PAGE), 0) };
    assert_eq!(place.load(PAGE), OWN | 1);
    assert_eq!(place.load(3 * PAGE), OWN | 3);
    move_to(&place, 4 * PAGE, 2 * PAGE, &place, 0);
    assert_eq!((place.load(0), place.load(PAGE)), (OWN | 4, OWN | 5));
    drop((place, pair));
    books.balance();
}

#[test]
fn splitting_by_mprotect_keeps_it() {
    let books = Books::open();
    let pair = Pair::new(9);
    pair.window.assert_marked(OLD, 0);
    for page in [3, 5] {
        pair.window
            .protect(page * PAGE, PAGE, READ)
            .expect("mprotect");
    }
    pair.destroy();
    pair.window.assert_zero();
    for page in [3, 5] {
        pair.window
            .protect(page * PAGE, PAGE, READ | WRITE)
            .expect("mprotect");
    }
    pair.window.mark(OWN);
    pair.window.protect(4 * PAGE, PAGE, READ).expect("mprotect");
    pair.window.assert_marked(OWN, 0);
    drop(pair);
    books.balance();
}

#[test]
fn threads_meet_the_end_together() {
    let pair = Pair::new(512);
    std::thread::scope(|scope| {
        let window = &pair.window;
        let readers: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn(move || loop {
                    for page in (n..512).step_by(4) {
                        let seen = window.load(page * PAGE);
                        match seen {
                            0 => return,
                            seen => assert_eq!(seen, OLD | page as u64),
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(20));
        pair.destroy();
        for reader in readers {
            reader.join().expect("reader");
        }
    });
    pair.window.assert_zero();
}

/// Pages that one process can have behind its revoked mappings when no other has any: 64 MiB,
/// or a 64th part of the machine, which is what a user has.
fn most_pages() -> usize {
    let meminfo = std::fs::read_to_string("/proc/meminfo").expect("meminfo");
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.expect("MemTotal").trim_end_matches("kB").trim();
    let pages = total.parse::<usize>().expect("a number of KiB") / 4;
    (pages / 64).min(16384)
}

/// All pages beyond the limit are one page. There is no signal.
#[test]
fn more_than_can_be_had() {
    const MORE: usize = 256;
    let books = Books::open();
    let held = most_pages();
    let pair = Pair::new(held + MORE);
    pair.destroy();
    pair.window.mark(OWN);
    for page in 0..held {
        let seen = pair.window.load(page * PAGE);
        assert_eq!(seen, OWN | page as u64, "page {page} of {held}");
    }
    let beyond = (held..held + MORE).map(|page| pair.window.load(page * PAGE));
    let beyond: Vec<u64> = beyond.collect();
    let last = OWN | (held + MORE - 1) as u64;
    assert!(beyond.iter().all(|&word| word == last), "{beyond:x?}");
    in_child(|| assert_eq!(pair.window.load((held + 1) * PAGE), 0));
    pair.memory.assert_marked(NEW, 0);
    drop(pair);
    books.balance();
}
