// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rebind: other memory behind a segment, without its importers doing anything.

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{setrlimit, Resource};
use rsm_sys::*;

use crate::common::backing::{huge_memory, memfd, shared_file, system_v, HUGE};
use crate::common::books::{self, Books};
use crate::common::memory::{Map, READ};
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::{map, Pair, Remote, Slot, NEW, NOT_PUBLISHED, NO_MEMORY, OLD};

const BAD_LENGTH: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_LENGTH);

/// A segment of this memory that can be given other memory.
pub fn pair(memory: Map) -> Pair {
    Pair::with(memory, RSM_EXPORT_ALLOW_REBIND, 0)
}

/// Small pages, marked.
pub fn small(pages: usize, pattern: u64) -> Map {
    let memory = Map::anonymous(pages * PAGE);
    memory.mark(pattern);
    memory
}

/// Becomes a user who may lock this many pages, and nobody else's tests use.
pub fn become_limited(uid: u32, pages: usize) {
    let bytes = (pages * PAGE) as u64;
    setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes).expect("setrlimit");
    become_user(uid, uid, &[]);
}

pub fn unmap(memory: &Map, first: usize, pages: usize) {
    // SAFETY: a part of our own mapping.
    let result = unsafe { libc::munmap(memory.at(first * PAGE).cast(), pages * PAGE) };
    assert_eq!(result, 0, "munmap");
}

#[test]
fn importers_see_the_new_memory_when_it_returns() {
    let books = Books::open();
    let pair = pair(small(16, OLD));
    let slot = Slot::of(&pair.controller, &pair.import);
    pair.window.assert_marked(OLD, 0);
    let steps = Steps::new();
    let importer = spawn(|| {
        let remote = Remote::of(pair.id);
        remote.window.assert_marked(OLD, 0);
        let heir = spawn(|| {
            for window in [&remote.window, &pair.window] {
                window.assert_marked(OLD, 0);
            }
            steps.reach(0);
            steps.await_step(2);
            for window in [&remote.window, &pair.window] {
                window.assert_marked(NEW, 0);
            }
        });
        steps.reach(1);
        steps.await_step(2);
        remote.window.assert_marked(NEW, 0);
        assert!(remote.live());
        heir.join();
        remote.window.store(5 * PAGE + 16, 7);
    });
    importer.await_step(&steps, 0);
    steps.await_step(1);
    let new = small(16, NEW);
    let (pins, pinned) = (books::pins(), Books::private_now().0);
    raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
    pair.window.assert_marked(NEW, 0);
    steps.reach(2);
    assert!(slot.live(), "the connection is what it was");
    assert_eq!(Books::private_now().0, pinned, "VmPin: the old is unpinned");
    assert_eq!(books::pins(), pins, "pins: the old is unpinned");
    importer.join();
    assert_eq!(new.load(5 * PAGE + 16), 7, "what importers write is there");
    pair.memory.assert_marked(OLD, 0);
    assert_eq!(pair.memory.load(5 * PAGE + 16), 0, "and not here");
    new.store(8, 3);
    assert_eq!(pair.window.load(8), 3);
    map(&pair.connect(), READ).assert_marked(NEW, 0);
    raw::destroy(&pair.export).expect("destroy");
    pair.window.assert_zero();
    new.assert_marked(NEW, 0);
    drop((pair, slot, new, steps));
    books.balance();
}

#[test]
fn from_any_memory_to_any_other() {
    const PAGES: usize = 2 * HUGE / PAGE;
    let files = [memfd(2 * HUGE), memfd(2 * HUGE)];
    let kind = |n: usize| match n {
        0 => Map::anonymous(2 * HUGE),
        1 => huge_memory(2 * HUGE),
        2 => huge_memory(2 * HUGE),
        3 => shared_file(&files[0]),
        4 => shared_file(&files[1]),
        _ => system_v(2 * HUGE),
    };
    for n in 0..6 {
        let books = Books::open();
        let memories: Vec<_> = (0..6).map(kind).collect();
        let pair = pair(kind(n));
        let mut before = OLD;
        for (m, new) in memories.iter().enumerate() {
            let pattern = OLD + ((m as u64 + 1) << 32);
            new.mark(pattern);
            pair.window.assert_marked(before, 0);
            raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
            pair.window.assert_marked(pattern, 0);
            pair.window.store((PAGES - 1) * PAGE + 8, m as u64 + 1);
            assert_eq!(new.load((PAGES - 1) * PAGE + 8), m as u64 + 1, "{n} to {m}");
            before = pattern;
        }
        raw::destroy(&pair.export).expect("destroy");
        pair.window.assert_zero();
        drop((pair, memories));
        books.balance();
    }
}

#[test]
fn a_segment_that_is_not_published_can_be_rebound_too() {
    let books = Books::open();
    let pair = pair(small(4, OLD));
    let new = [small(4, NEW), small(4, NEW << 1)];
    raw::unpublish(&pair.export).expect("unpublish");
    raw::rebind(&pair.export, new[0].addr(), new[0].len as u64).expect("rebind");
    let id = raw::publish_mode(&pair.controller, &pair.export, 0o666).expect("publish");
    let remote = Remote::of(id);
    remote.window.assert_marked(NEW, 0);
    raw::rebind(&pair.export, new[1].addr(), new[1].len as u64).expect("rebind");
    remote.window.assert_marked(NEW << 1, 0);
    assert!(remote.live());
    pair.window.assert_zero();
    drop((pair, new, remote));
    books.balance();
}

#[test]
fn the_same_memory_again_is_nothing() {
    let books = Books::open();
    in_child(|| {
        // No more than the segment may be locked: memory that is not the same is refused.
        become_limited(4111, 4);
        let (pair, new) = (pair(small(4, OLD)), small(4, NEW));
        pair.window.assert_marked(OLD, 0);
        let attempt = |addr| raw::rebind(&pair.export, addr, 4 * PAGE as u64);
        assert_eq!(attempt(new.addr()), Err(NO_MEMORY));
        assert_eq!(attempt(pair.memory.addr()), Ok(()));
        pair.window.assert_marked(OLD, 0);
        let short = raw::rebind(&pair.export, pair.memory.addr(), 3 * PAGE as u64);
        assert_eq!(
            short,
            Err(BAD_LENGTH),
            "the length is looked at all the same"
        );
    });
    books.balance();
}

#[test]
fn old_and_new_memory_are_charged_together() {
    let books = Books::open();
    in_child(|| {
        become_limited(4113, 16);
        let spare = Map::anonymous(64 * PAGE);
        let room = |controller: &_, pages: usize| {
            raw::create(controller, spare.addr(), (pages * PAGE) as u64).map(drop)
        };
        let half = pair(small(8, OLD));
        let new = small(8, NEW);
        raw::rebind(&half.export, new.addr(), new.len as u64).expect("just enough for both");
        half.window.assert_marked(NEW, 0);
        assert_eq!(
            room(&half.controller, 9),
            Err(NO_MEMORY),
            "the new is charged"
        );
        assert_eq!(room(&half.controller, 8), Ok(()), "the old is credited");
        drop(half);

        let more = pair(small(9, OLD));
        let new = small(9, NEW);
        for _ in 0..3 {
            let seen = raw::rebind(&more.export, new.addr(), new.len as u64);
            assert_eq!(seen, Err(NO_MEMORY), "9 and 9 of 16 pages");
            more.window.assert_marked(OLD, 0);
            assert_eq!(Books::private_now().0, 36, "VmPin");
        }
        more.memory.store(8, 6);
        assert_eq!(more.window.load(8), 6, "the old memory, still");
        assert_eq!(room(&more.controller, 8), Err(NO_MEMORY));
        assert_eq!(
            room(&more.controller, 7),
            Ok(()),
            "nothing is charged for nothing"
        );
    });
    books.balance();
}

#[test]
fn only_the_new_memory_matters_then() {
    let books = Books::open();
    // Unmapping what was behind it does nothing, and unmapping what is ends it.
    let pair = pair(small(8, OLD));
    let slot = Slot::of(&pair.controller, &pair.import);
    let new = small(8, NEW);
    raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
    unmap(&pair.memory, 0, 8);
    pair.window.assert_marked(NEW, 0);
    new.store(8, 4);
    assert_eq!(pair.window.load(8), 4);
    assert!(slot.live());
    unmap(&new, 7, 1);
    assert!(!slot.live());
    pair.window.assert_zero();
    assert_eq!(raw::unpublish(&pair.export), Err(NOT_PUBLISHED));
    drop((pair, slot, new));
    books.balance();
}

#[test]
fn ranges_that_overlap() {
    let books = Books::open();
    let area = small(9, OLD);
    let controller = raw::controller();
    let (low, high) = (area.addr(), area.addr() + PAGE as u64);
    let len = 8 * PAGE as u64;
    let export = raw::create_with(&controller, low, len, RSM_EXPORT_ALLOW_REBIND).expect("create");
    let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
    let remote = Remote::of(id);
    for _ in 0..10 {
        remote.window.assert_marked(OLD, 0);
        raw::rebind(&export, high, len).expect("rebind");
        remote.window.assert_marked(OLD, 1);
        raw::rebind(&export, low, len).expect("rebind");
    }
    raw::rebind(&export, high, len).expect("rebind");
    unmap(&area, 0, 1);
    remote.window.assert_marked(OLD, 1);
    assert!(remote.live(), "the first page is no longer part of it");
    unmap(&area, 8, 1);
    remote.assert_taken_back();
    drop((remote, export, area, controller));
    books.balance();
}
