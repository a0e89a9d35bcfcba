// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an exporter does to its memory that ends the segment before the system call returns,
//! and what comes close to it but does not.

use std::sync::Barrier;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::RSM_STATUS_BAD_ADDR;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::common::{rounds, wait_until};
use crate::exporter::{file, huge, run_exporter, shared, small, Exporter};
use crate::{Remote, ABORTED, DEAD, DENIED, NOT_PUBLISHED, OLD};

const NONE: i32 = libc::PROT_NONE;
const EXEC: i32 = libc::PROT_EXEC;

const NOT_MAPPED: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);

/// Fails unless `deed`, done by an exporter, ends its segment before it returns.
#[track_caller]
fn assert_ends(what: &str, area: fn() -> Map, deed: fn(&Exporter)) {
    // Shown if the test fails.
    println!("{what}");
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, area, |exporter| {
        let own = Remote::of(exporter.id);
        own.window.assert_marked(OLD, 1);
        steps.await_step(1);
        deed(exporter);
        steps.reach(2);
        own.assert_taken_back();
        wait_until("VmPin is back", 150, || Books::private_now().0 == 0);
        exporter.assert_dead(1);
    });
    let heir = spawn(|| {
        remote.window.assert_marked(OLD, 1);
        steps.reach(3);
        steps.spin_for_step(2);
        remote.assert_taken_back();
    });
    heir.await_step(&steps, 3);
    raw::post(&remote.import, 0).expect("post");
    assert!(remote.live(), "{what}");
    steps.reach(1);
    process.spin_for_step(&steps, 2);
    remote.assert_taken_back();
    let again = raw::connect(&remote.controller, remote.id, 0o400).map(drop);
    assert_eq!(again, Err(NOT_PUBLISHED), "{what}");
    assert_eq!(raw::post(&remote.import, 0), Err(ABORTED), "{what}");
    heir.join();
    process.join();
    drop((remote, steps));
    books.balance();
}

/// Maps something else over pages of the segment.
fn map_over(exporter: &Exporter, first: isize, pages: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let place = exporter.page(first);
    // SAFETY: replaces a part of a mapping of ours.
    let base = unsafe { libc::mmap(place, pages * PAGE, READ | WRITE, flags, -1, 0) };
    assert_eq!(base, place, "mmap");
}

type Deed = (&'static str, fn(&Exporter));

const UNMAPPING: &[Deed] = &[
    ("munmap of the first page", |e| e.unmap(0, 1)),
    ("munmap of a page in the middle", |e| e.unmap(7, 1)),
    ("munmap of the last page", |e| e.unmap(e.last(), 1)),
    ("munmap of all", |e| e.unmap(0, e.pages)),
    ("munmap of more than it", |e| e.unmap(-1, e.pages + 2)),
    ("munmap up to the first page", |e| e.unmap(-1, 2)),
    ("munmap from the last page on", |e| e.unmap(e.last(), 2)),
    ("another mapping in the middle", |e| map_over(e, 7, 1)),
    ("another mapping over all", |e| map_over(e, -1, e.pages + 2)),
];

const MOVING: &[Deed] = &[
    ("moving all", |e| {
        let place = Map::anonymous(e.pages * PAGE);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        e.remap(0, e.pages, e.pages, flags, &place);
        assert_eq!(place.load(0), OLD | 1);
    }),
    ("moving a page", |e| {
        let place = Map::anonymous(PAGE);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        e.remap(7, 1, 1, flags, &place);
        assert_eq!(place.load(0), OLD | 8);
    }),
    ("moving the pages and leaving the mapping", |e| {
        let place = Map::anonymous(e.pages * PAGE);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
        e.remap(0, e.pages, e.pages, flags, &place);
        assert_eq!(place.load(0), OLD | 1);
    }),
    ("growing it, for which it must move", |e| {
        let nowhere = Map::anonymous(PAGE);
        e.remap(0, e.pages, 2 * e.pages, libc::MREMAP_MAYMOVE, &nowhere);
    }),
    ("shrinking it", |e| {
        let nowhere = Map::anonymous(PAGE);
        e.remap(0, e.pages, e.pages - 1, 0, &nowhere);
    }),
];

const PROTECTING: &[Deed] = &[
    ("the first page read-only", |e| e.protect(0, 1, READ)),
    ("a page in the middle read-only", |e| e.protect(7, 1, READ)),
    ("the last page read-only", |e| e.protect(e.last(), 1, READ)),
    ("all read-only", |e| e.protect(-1, e.pages + 2, READ)),
    ("a page without access", |e| e.protect(7, 1, NONE)),
    ("all without access", |e| e.protect(0, e.pages, NONE)),
    ("a page that can only be written", |e| {
        e.protect(7, 1, WRITE)
    }),
    ("read and execute", |e| e.protect(7, 1, READ | EXEC)),
    ("read-only and back", |e| {
        e.protect(7, 1, READ);
        e.protect(7, 1, READ | WRITE);
    }),
];

#[test]
fn unmapping_private_memory() {
    for (what, deed) in UNMAPPING {
        assert_ends(what, small, *deed);
    }
}

#[test]
fn unmapping_shared_memory() {
    for (what, deed) in UNMAPPING {
        assert_ends(what, file, *deed);
    }
    assert_ends("shmdt", shared, |e| {
        // SAFETY: detaches shared memory of ours, which nobody accesses any more.
        let result = unsafe { libc::shmdt(e.page(-1)) };
        assert_eq!(result, 0, "shmdt");
    });
}

#[test]
fn moving_it() {
    for (what, deed) in MOVING {
        assert_ends(what, small, *deed);
        assert_ends(what, file, *deed);
    }
}

#[test]
fn taking_rights_away() {
    for (what, deed) in PROTECTING {
        assert_ends(what, small, *deed);
        assert_ends(what, file, *deed);
    }
}

#[test]
fn pages_of_huge_pages() {
    for (what, deed) in UNMAPPING.iter().chain(&PROTECTING[..5]) {
        assert_ends(what, huge, *deed);
    }
}

#[test]
fn another_thread_does_it() {
    assert_ends("munmap by a thread", small, |e| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // SAFETY: a part of our own mapping.
                let result = unsafe { libc::munmap(e.area.at(PAGE).cast(), PAGE) };
                assert_eq!(result, 0, "munmap");
            });
        });
    });
}

/// One range, exported three times in different extents: those segments end that lose pages.
#[test]
fn segments_that_share_pages_end_one_by_one() {
    let books = Books::open();
    let area = Map::anonymous(9 * PAGE);
    area.mark(OLD);
    let controller = raw::controller();
    let segments = [0, 3, 6].map(|first: usize| {
        let addr = area.addr() + (first * PAGE) as u64;
        let length = area.len - first * PAGE;
        let export = raw::create(&controller, addr, length as u64).expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        (first, export, Remote::of(id))
    });
    for unmapped in [1, 4, 8] {
        // SAFETY: a part of our own mapping.
        let result = unsafe { libc::munmap(area.at(unmapped * PAGE).cast(), PAGE) };
        assert_eq!(result, 0, "munmap");
        for (first, _, remote) in &segments {
            if *first <= unmapped {
                remote.assert_taken_back();
            } else {
                assert!(remote.live(), "page {unmapped} is none of its");
                remote.window.assert_marked(OLD, *first);
            }
        }
    }
    drop((segments, area, controller));
    books.balance();
}

/// Memory that is unmapped, or loses its rights, while it is being exported: the segment does
/// not come into being, or dies at once.
#[test]
fn creating_while_the_memory_goes_away() {
    let books = Books::open();
    let controller = raw::controller();
    for turn in 0..rounds(300) {
        let memory = Map::anonymous(8 * PAGE);
        let start = Barrier::new(2);
        let result = std::thread::scope(|scope| {
            let create = scope.spawn(|| {
                start.wait();
                (0..turn * 7 % 400).for_each(|_| std::hint::spin_loop());
                raw::create(&controller, memory.addr(), memory.len as u64)
            });
            start.wait();
            (0..turn * 13 % 400).for_each(|_| std::hint::spin_loop());
            if turn % 2 == 0 {
                // SAFETY: a part of our own mapping.
                let result = unsafe { libc::munmap(memory.at(3 * PAGE).cast(), PAGE) };
                assert_eq!(result, 0, "munmap");
            } else {
                memory.protect(3 * PAGE, PAGE, READ).expect("mprotect");
            }
            create.join().expect("creating thread")
        });
        match result {
            Ok(export) => assert_eq!(raw::publish(&export, 0, &[]), Err(DEAD), "turn {turn}"),
            Err(failure) => {
                let expected = if turn % 2 == 0 { NOT_MAPPED } else { DENIED };
                assert_eq!(failure, expected, "turn {turn}");
            }
        }
    }
    drop(controller);
    books.balance();
}

/// A page is exchanged for another while it is being exported: importers see the one that the
/// exporter has then, or nothing.
#[test]
fn creating_while_pages_are_exchanged() {
    let books = Books::open();
    let controller = raw::controller();
    for turn in 0..rounds(30) {
        // Pinned in several steps, between which others get at the mappings.
        let memory = Map::anonymous(2048 * PAGE);
        let start = Barrier::new(2);
        let result = std::thread::scope(|scope| {
            let create = scope.spawn(|| {
                start.wait();
                raw::create(&controller, memory.addr(), memory.len as u64)
            });
            start.wait();
            (0..turn * 4000).for_each(|_| std::hint::spin_loop());
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: replaces a part of a mapping of ours.
            let base = unsafe { libc::mmap(memory.at(0).cast(), PAGE, READ | WRITE, flags, -1, 0) };
            assert_eq!(base, memory.at(0).cast(), "mmap");
            create.join().expect("creating thread")
        });
        let export = result.expect("create");
        match raw::publish(&export, 0, &[]) {
            Ok(id) => {
                memory.store(0, OLD);
                let remote = Remote::of(id);
                assert_eq!(remote.window.load(0), OLD, "turn {turn}");
            }
            // Exchanged afterwards.
            Err(failure) => assert_eq!(failure, DEAD, "turn {turn}"),
        }
    }
    drop(controller);
    books.balance();
}
