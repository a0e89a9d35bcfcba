// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rebind while importers use the segment: page by page, they see the old memory or the new,
//! and nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Barrier;

use rsm_sys::*;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{spawn, Shared};
use crate::common::raw::{self, PAGE};
use crate::common::{rounds, wait_until};
use crate::rebind_errors::BAD_ADDR;
use crate::{Pair, Remote, Slot, DEAD, NEW, OLD};

/// How often an importer has seen each of the two memories, and whether it may stop.
struct Seen {
    old: AtomicU64,
    new: AtomicU64,
    stop: AtomicBool,
}

/// Reads all pages again and again, and writes to each.
fn read_on(window: &Map, seen: &Seen) {
    while !seen.stop.load(Ordering::SeqCst) {
        for page in 0..window.len / PAGE {
            match window.load(page * PAGE) ^ page as u64 {
                OLD => seen.old.fetch_add(1, Ordering::Relaxed),
                NEW => seen.new.fetch_add(1, Ordering::Relaxed),
                other => panic!("page {page}: {other:#x}"),
            };
            window.store(page * PAGE + 8, OLD);
        }
    }
}

/// Rebinds to and fro between two memories under the eyes of two processes.
fn rebind_before_readers(memories: [Map; 2]) {
    let books = Books::open();
    // SAFETY: atomics may be zero.
    let seen: Shared<Seen> = unsafe { Shared::zeroed() };
    let [old, new] = memories;
    new.mark(NEW);
    let pair = Pair::with(old, RSM_EXPORT_ALLOW_REBIND, 0);
    let (last, len) = (pair.memory.len - PAGE, pair.memory.len as u64);
    let slot = Slot::of(&pair.controller, &pair.import);
    let importers = [0, 1].map(|_| {
        spawn(|| {
            let remote = Remote::of(pair.id);
            read_on(&remote.window, &seen);
            assert!(remote.live(), "rebind does not end a connection");
        })
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    wait_until("the importers read", 150, || count(&seen.old) > 0);
    let mut round = 0;
    let (goal, pages) = (rounds(200), pair.memory.len as u64 / PAGE as u64);
    wait_until("the importers read both", 250, || {
        for _ in 0..goal.div_ceil(10) {
            let (memory, pattern) = match round % 2 {
                0 => (&new, NEW),
                _ => (&pair.memory, OLD),
            };
            raw::rebind(&pair.export, memory.addr(), len).expect("rebind");
            // The window of this process was mapped before, and touched by the last round.
            assert_eq!(pair.window.load(0), pattern);
            assert_eq!(pair.window.load(last), pattern | (pages - 1));
            round += 1;
        }
        round >= goal && count(&seen.old) > 4 * pages && count(&seen.new) > 4 * pages
    });
    seen.stop.store(true, Ordering::SeqCst);
    importers.into_iter().for_each(|importer| importer.join());
    assert!(slot.live());
    pair.memory.assert_marked(OLD, 0);
    new.assert_marked(NEW, 0);
    drop((pair, new, slot, seen));
    books.balance();
}

#[test]
fn between_small_pages() {
    rebind_before_readers([Map::anonymous(64 * PAGE), Map::anonymous(64 * PAGE)]);
}

#[test]
fn between_huge_pages() {
    rebind_before_readers([huge_memory(2 * HUGE), huge_memory(2 * HUGE)]);
}

#[test]
fn between_small_and_huge_pages() {
    rebind_before_readers([Map::anonymous(2 * HUGE), huge_memory(2 * HUGE)]);
}

/// Each write goes to the memory that is behind the segment then: once rebind has returned,
/// none goes to the former.
#[test]
fn writes_reach_the_old_memory_no_more() {
    let books = Books::open();
    // SAFETY: atomics may be zero.
    let seen: Shared<Seen> = unsafe { Shared::zeroed() };
    let pair = Pair::with(Map::anonymous(16 * PAGE), RSM_EXPORT_ALLOW_REBIND, 0);
    let new = Map::anonymous(16 * PAGE);
    let importer = spawn(|| {
        let remote = Remote::of(pair.id);
        let mut number = 0;
        while !seen.stop.load(Ordering::SeqCst) {
            number += 1;
            for page in 0..16 {
                remote.window.store(page * PAGE + 8, number);
            }
        }
    });
    for round in 0..rounds(200) {
        let (from, to) = match round % 2 {
            0 => (&pair.memory, &new),
            _ => (&new, &pair.memory),
        };
        wait_until("writes arrive", 150, || from.load(15 * PAGE + 8) != 0);
        raw::rebind(&pair.export, to.addr(), to.len as u64).expect("rebind");
        (0..16).for_each(|page| from.store(page * PAGE + 8, 0));
        wait_until("writes arrive", 150, || to.load(15 * PAGE + 8) != 0);
        for page in 0..16 {
            assert_eq!(from.load(page * PAGE + 8), 0, "round {round}, page {page}");
        }
    }
    seen.stop.store(true, Ordering::SeqCst);
    importer.join();
    drop((pair, new, seen));
    books.balance();
}

/// Rebind and destroy at the same time: one comes first, and in the end nothing is left.
#[test]
fn rebind_meets_destroy() {
    let books = Books::open();
    for turn in 0..rounds(200) {
        let pair = Pair::with(Map::anonymous(8 * PAGE), RSM_EXPORT_ALLOW_REBIND, 0);
        let new = Map::anonymous(8 * PAGE);
        pair.window.touch(0);
        let start = Barrier::new(2);
        let begin = |late: bool| {
            start.wait();
            if late {
                (0..turn * 50).for_each(|_| std::hint::spin_loop());
            }
        };
        let result = std::thread::scope(|scope| {
            let rebind = scope.spawn(|| {
                begin(turn % 2 == 0);
                raw::rebind(&pair.export, new.addr(), new.len as u64)
            });
            begin(turn % 2 == 1);
            raw::destroy(&pair.export).expect("destroy");
            rebind.join().expect("rebinding thread")
        });
        assert!([Ok(()), Err(DEAD)].contains(&result), "{result:?}");
        pair.memory.mark(NEW);
        new.mark(NEW);
        pair.window.assert_zero();
        assert_eq!(Books::private_now().0, books.private().0, "VmPin");
    }
    books.balance();
}

/// Rebind while the old memory, or the new, is being unmapped: what importers see then is
/// memory that its exporter still has, or nothing.
#[test]
fn rebind_meets_munmap() {
    let books = Books::open();
    for turn in 0..rounds(200) {
        let of_the_new = turn % 2 == 0;
        let pair = Pair::with(Map::anonymous(8 * PAGE), RSM_EXPORT_ALLOW_REBIND, 0);
        let new = Map::anonymous(8 * PAGE);
        new.mark(NEW);
        let slot = Slot::of(&pair.controller, &pair.import);
        pair.window.assert_marked(OLD, 0);
        let start = Barrier::new(2);
        let result = std::thread::scope(|scope| {
            let rebind = scope.spawn(|| {
                start.wait();
                (0..turn * 7 % 400).for_each(|_| std::hint::spin_loop());
                raw::rebind(&pair.export, new.addr(), new.len as u64)
            });
            start.wait();
            (0..turn * 13 % 400).for_each(|_| std::hint::spin_loop());
            let unmapped = if of_the_new { &new } else { &pair.memory };
            // SAFETY: a part of our own mapping, which nobody accesses any more.
            let result = unsafe { nix::libc::munmap(unmapped.at(3 * PAGE).cast(), PAGE) };
            assert_eq!(result, 0, "munmap");
            rebind.join().expect("rebinding thread")
        });
        match (of_the_new, result) {
            // Rebound first, then unmapped; or dead first, then rebound.
            (true, Ok(())) | (false, Err(DEAD)) => {
                assert!(!slot.live(), "turn {turn}");
                pair.window.assert_zero();
            }
            // Unmapped first, so that it could not be rebound.
            (true, Err(BAD_ADDR)) => {
                assert!(slot.live(), "turn {turn}");
                pair.window.assert_marked(OLD, 0);
            }
            // Rebound first: the old does not matter any more.
            (false, Ok(())) => {
                assert!(slot.live(), "turn {turn}");
                pair.window.assert_marked(NEW, 0);
            }
            other => panic!("turn {turn}: {other:?}"),
        }
    }
    books.balance();
}
