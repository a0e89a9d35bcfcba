// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unpublish: importers lose the segment, the exporter keeps it and may publish it again.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn, Shared, Steps};
use crate::common::raw::{self, failure, PAGE};
use crate::common::{rounds, wait_until};
use crate::{map, Pair, Remote, Slot, NEW, NOT_CREATOR, NOT_PUBLISHED, OLD};

#[test]
fn takes_the_segment_from_importers_and_keeps_it_bound() {
    let books = Books::open();
    let pair = Pair::new(8);
    let pinned = Books::private_now().0;
    assert_eq!(pinned, books.private().0 + 32, "VmPin");
    let slot = Slot::of(&pair.controller, &pair.import);
    pair.window.assert_marked(OLD, 0);
    pair.window.store(8, 77);
    assert!(slot.live());
    raw::unpublish(&pair.export).expect("unpublish");
    pair.memory.mark(NEW);
    assert!(!slot.live());
    pair.window.assert_zero();
    pair.window.mark(OLD);
    pair.memory.assert_marked(NEW, 0);
    assert_eq!(pair.memory.load(8), 77, "what importers wrote before stays");
    let again = Map::shared(pair.import.as_raw_fd(), PAGE, READ);
    assert_eq!(again.map(drop), Err(Errno::ECONNABORTED));
    let connect = raw::connect(&pair.controller, pair.id, 0o400).map(drop);
    assert_eq!(connect, Err(NOT_PUBLISHED));
    assert_eq!(Books::private_now().0, pinned, "the memory stays pinned");

    let id = raw::publish_mode(&pair.controller, &pair.export, 0o666).expect("publish again");
    assert!(id > pair.id, "{id:#x} after {:#x}", pair.id);
    let import = raw::connect(&pair.controller, id, 0o600).expect("connect");
    assert_eq!(import.length as usize, 8 * PAGE);
    let window = map(&import, READ | WRITE);
    window.assert_marked(NEW, 0);
    window.store(16, 5);
    assert_eq!(pair.memory.load(16), 5);
    pair.window.assert_marked(OLD, 0);
    assert!(!slot.live(), "the old connection stays aborted");
    pair.destroy();
    window.assert_zero();
    assert_eq!(Books::private_now().0, books.private().0, "VmPin");
    drop((window, import, slot, pair));
    books.balance();
}

#[test]
fn the_id_is_free_at_once() {
    const ID: u32 = 0x60_2000;
    let in_use = failure(Errno::EADDRINUSE, RSM_STATUS_SEGID_IN_USE);
    let books = Books::open();
    let controller = raw::controller();
    let memories = [Map::anonymous(2 * PAGE), Map::anonymous(2 * PAGE)];
    let segments = [0, 1].map(|n: usize| {
        memories[n].mark(OLD << n);
        raw::create(&controller, memories[n].addr(), 2 * PAGE as u64).expect("create")
    });
    let mut former = Vec::new();
    for round in 0..20 {
        let (this, other) = (round % 2, (round + 1) % 2);
        assert_eq!(raw::publish(&segments[this], ID, &[]), Ok(ID), "{round}");
        assert_eq!(raw::publish(&segments[other], ID, &[]), Err(in_use));
        let import = raw::connect(&controller, ID, 0o600).expect("connect");
        let window = map(&import, READ | WRITE);
        window.assert_marked(OLD << this, 0);
        for (slot, window) in &former {
            let (slot, window): (&Slot, &Map) = (slot, window);
            assert!(!slot.live(), "round {round}");
            window.assert_zero();
        }
        raw::unpublish(&segments[this]).expect("unpublish");
        window.assert_zero();
        former.push((Slot::of(&controller, &import), window));
    }
    for (n, memory) in memories.iter().enumerate() {
        memory.assert_marked(OLD << n, 0);
    }
    drop((former, segments, memories, controller));
    books.balance();
}

#[test]
fn importers_in_other_processes_and_their_children() {
    let books = Books::open();
    let pair = Pair::new(16);
    pair.window.assert_marked(OLD, 0);
    let steps = Steps::new();
    let importers: Vec<_> = (0..3)
        .map(|n| {
            spawn(|| {
                let remote = Remote::of(pair.id);
                remote.window.assert_marked(OLD, 0);
                let heir = spawn(|| {
                    remote.window.assert_marked(OLD, 0);
                    steps.reach(2 * n);
                    steps.await_step(10);
                    remote.assert_taken_back();
                    pair.window.assert_zero();
                });
                steps.reach(2 * n + 1);
                steps.await_step(10);
                remote.assert_taken_back();
                heir.join();
                // The same segment under its new id, next to what is left of the old one.
                let again = Remote::of(steps.passed());
                again.window.assert_marked(NEW, 0);
                remote.assert_taken_back();
            })
        })
        .collect();
    (0..6).for_each(|step| steps.await_step(step));
    raw::unpublish(&pair.export).expect("unpublish");
    pair.memory.mark(NEW);
    steps.pass(raw::publish_mode(&pair.controller, &pair.export, 0o666).expect("publish"));
    steps.reach(10);
    importers.into_iter().for_each(|importer| importer.join());
    drop((pair, steps));
    books.balance();
}

#[test]
fn unpublish_errors() {
    let books = Books::open();
    let pair = Pair::new(1);
    let create = || raw::create(&pair.controller, pair.memory.addr(), PAGE as u64).expect("create");
    let (bound, dead, dead_published) = (create(), create(), create());
    raw::destroy(&dead).expect("destroy");
    raw::publish(&dead_published, 0, &[]).expect("publish");
    raw::destroy(&dead_published).expect("destroy");
    for segment in [&bound, &dead, &dead_published] {
        assert_eq!(raw::unpublish(segment), Err(NOT_PUBLISHED));
        in_child(|| assert_eq!(raw::unpublish(segment), Err(NOT_PUBLISHED), "not creator"));
    }
    in_child(|| assert_eq!(raw::unpublish(&pair.export), Err(NOT_CREATOR)));
    pair.window.assert_marked(OLD, 0);
    pair.connect();
    // Another thread is the same process.
    std::thread::scope(|scope| {
        scope.spawn(|| raw::unpublish(&pair.export).expect("unpublish by a thread"));
    });
    pair.window.assert_zero();
    assert_eq!(raw::unpublish(&pair.export), Err(NOT_PUBLISHED), "twice");
    drop((bound, dead, dead_published, pair));
    books.balance();
}

/// What an importer that connects all the time has met.
struct Met {
    connected: AtomicUsize,
    refused: AtomicUsize,
    /// Not 0 when it may stop.
    enough: AtomicU64,
}

/// A connection is made to the publication there is, or not at all; one that was made while
/// the segment was being unpublished is aborted.
#[test]
fn connecting_while_the_segment_comes_and_goes() {
    const ID: u32 = 0x60_2001;
    let (open, closed) = (OLD, NEW);
    let books = Books::open();
    // SAFETY: atomics may be zero.
    let met: Shared<Met> = unsafe { Shared::zeroed() };
    let controller = raw::controller();
    let memory = Map::anonymous(PAGE);
    memory.store(0, closed);
    let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
    let importer = spawn(|| {
        let controller = raw::controller();
        let mut held = Vec::new();
        while met.enough.load(Ordering::SeqCst) == 0 {
            let import = match raw::connect(&controller, ID, 0o600) {
                Ok(import) => import,
                Err(failure) => {
                    assert_eq!(failure, NOT_PUBLISHED);
                    met.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
            };
            met.connected.fetch_add(1, Ordering::SeqCst);
            let slot = Slot::of(&controller, &import);
            match Map::shared(import.as_raw_fd(), PAGE, READ | WRITE) {
                Ok(window) => {
                    let seen = window.load(0);
                    // While the connection is live the segment is published.
                    assert!(!slot.live() || seen == open, "{seen:#x} while live");
                    assert!([0, open].contains(&seen), "{seen:#x}");
                    held.push((import, slot, Some(window)));
                }
                Err(error) => {
                    assert_eq!(error, Errno::ECONNABORTED);
                    assert!(!slot.live(), "aborted, but live");
                    held.push((import, slot, None));
                }
            }
            if held.len() > 40 {
                held.clear();
            }
        }
        for (import, slot, window) in &held {
            assert!(!slot.live(), "slot {} after the end", import.slot);
            window.iter().for_each(Map::assert_zero);
        }
    });
    let goal = rounds(300);
    let mut turns = 0;
    wait_until("the importer meets it open and closed", 250, || {
        for _ in 0..20 {
            memory.store(0, open);
            assert_eq!(raw::publish(&export, ID, &[]), Ok(ID));
            // Now and then the importer gets the time to connect.
            let before = met.connected.load(Ordering::SeqCst);
            for _ in 0..turns % 4 * 100 {
                if met.connected.load(Ordering::SeqCst) != before {
                    break;
                }
                std::thread::yield_now();
            }
            raw::unpublish(&export).expect("unpublish");
            memory.store(0, closed);
            turns += 1;
        }
        met.connected.load(Ordering::SeqCst) >= goal && met.refused.load(Ordering::SeqCst) >= goal
    });
    met.enough.store(1, Ordering::SeqCst);
    importer.join();
    assert_eq!(memory.load(0), closed);
    drop((export, memory, controller, met));
    books.balance();
}
