// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that is replaced without being unmapped: the segment ends soon after, and until
//! then importers see the memory as it was.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

use crate::common::backing::{memfd, shared_file};
use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::wait_until;
use crate::exporter::{file, huge, run_exporter, shared, small, Exporter};
use crate::{Remote, ABORTED, OLD};

/// `madvise(2)`: accesses to these pages give SIGSEGV.
const MADV_GUARD_INSTALL: i32 = 102;
/// `madvise(2)`: as `MADV_DONTNEED`, of locked memory too.
const MADV_DONTNEED_LOCKED: i32 = 24;

/// Waits until the segment is gone. Meanwhile its first page is as it was, or zero.
#[track_caller]
fn await_end(what: &str, remote: &Remote) {
    wait_until(what, 150, || {
        let seen = remote.window.load(0);
        let live = remote.live();
        assert!(seen == OLD | 1 || (seen == 0 && !live), "{what}: {seen:#x}");
        !live
    });
    wait_until(what, 150, || remote.window.load(0) == 0);
    remote.assert_taken_back();
    assert_eq!(raw::post(&remote.import, 0), Err(ABORTED), "{what}");
}

/// Fails unless `deed`, done by an exporter, ends its segment in the end.
#[track_caller]
fn assert_ends_soon(what: &str, area: fn() -> Map, deed: fn(&Exporter)) {
    // Shown if the test fails.
    println!("{what}");
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, area, |exporter| {
        let own = Remote::of(exporter.id);
        own.window.assert_marked(OLD, 1);
        steps.await_step(1);
        deed(exporter);
        await_end(what, &own);
        wait_until("VmPin is back", 150, || Books::private_now().0 == 0);
        exporter.assert_dead(0);
        // The exporter uses what is there now; importers have no part in it.
        steps.await_step(2);
        assert_eq!(own.window.load(0), 0);
    });
    steps.reach(1);
    await_end(what, &remote);
    steps.reach(2);
    process.join();
    drop((remote, steps));
    books.balance();
}

/// Makes a hole in the file behind a mapping, by a mapping's address.
fn punch(exporter: &Exporter, first: isize, pages: usize) {
    exporter.advise(first, pages, libc::MADV_REMOVE);
}

type Deed = (&'static str, fn(&Exporter));

/// For private memory.
const PRIVATE: &[Deed] = &[
    ("MADV_DONTNEED of the first page", |e| {
        e.advise(0, 1, libc::MADV_DONTNEED)
    }),
    ("MADV_DONTNEED of the last page", |e| {
        e.advise(e.last(), 1, libc::MADV_DONTNEED)
    }),
    ("MADV_DONTNEED of all", |e| {
        e.advise(-1, e.pages + 2, libc::MADV_DONTNEED)
    }),
    ("MADV_DONTNEED_LOCKED", |e| {
        e.advise(7, 1, MADV_DONTNEED_LOCKED)
    }),
    ("MADV_DONTNEED, and new content", |e| {
        e.advise(0, e.pages, libc::MADV_DONTNEED);
        e.area.mark(OLD << 1);
    }),
    ("MADV_GUARD_INSTALL", |e| e.advise(7, 1, MADV_GUARD_INSTALL)),
    ("MADV_GUARD_INSTALL over all", |e| {
        e.advise(0, e.pages, MADV_GUARD_INSTALL)
    }),
];

/// For memory of a file.
const FILE: &[Deed] = &[
    ("MADV_REMOVE of the first page", |e| punch(e, 0, 1)),
    ("MADV_REMOVE of the last page", |e| punch(e, e.last(), 1)),
    ("MADV_REMOVE of all", |e| punch(e, -1, e.pages + 2)),
    ("MADV_REMOVE, and new content", |e| {
        punch(e, 0, e.pages);
        e.area.mark(OLD << 1);
    }),
];

#[test]
fn private_memory() {
    for (what, deed) in PRIVATE {
        assert_ends_soon(what, small, *deed);
    }
}

#[test]
fn pages_of_huge_pages() {
    for (what, deed) in PRIVATE {
        assert_ends_soon(what, huge, *deed);
    }
}

#[test]
fn memory_of_a_file() {
    for (what, deed) in FILE {
        assert_ends_soon(what, file, *deed);
        assert_ends_soon(what, shared, *deed);
    }
}

/// How a file loses pages.
fn punch_file(file: &File, first: usize, pages: usize) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    let (offset, len) = ((first * PAGE) as i64, (pages * PAGE) as i64);
    // SAFETY: takes numbers.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) };
    assert_eq!(result, 0, "fallocate: {}", Errno::last());
}

type Cut = (&'static str, fn(&File));

const CUTS: &[Cut] = &[
    ("a hole in the middle", |file| punch_file(file, 5, 1)),
    ("a hole over all", |file| punch_file(file, 0, 18)),
    ("cut to nothing", |file| file.set_len(0).expect("ftruncate")),
    ("cut by a page", |file| {
        file.set_len(16 * PAGE as u64).expect("ftruncate");
    }),
];

/// The file is cut by the exporter through its descriptor, or by another process that has
/// neither exported nor imported anything.
#[test]
fn files_that_are_cut() {
    for (what, cut) in CUTS {
        for by_another in [false, true] {
            let books = Books::open();
            let file = memfd(18 * PAGE);
            let steps = Steps::new();
            let exporter = spawn(|| {
                let exporter = Exporter::of(shared_file(&file));
                steps.pass(exporter.id);
                steps.reach(0);
                steps.await_step(1);
                if !by_another {
                    cut(&file);
                }
                steps.await_step(2);
                wait_until("VmPin is back", 150, || Books::private_now().0 == 0);
                exporter.assert_dead(0);
            });
            exporter.await_step(&steps, 0);
            let remote = Remote::of(steps.passed());
            remote.window.assert_marked(OLD, 1);
            let other = spawn(|| {
                steps.await_step(1);
                if by_another {
                    cut(&file);
                }
            });
            steps.reach(1);
            await_end(what, &remote);
            other.join();
            steps.reach(2);
            exporter.join();
            drop((remote, file, steps));
            books.balance();
        }
    }
}

/// Replaced while nobody is looking: before it was published, and while it is not.
#[test]
fn segments_that_are_not_published() {
    let books = Books::open();
    let controller = raw::controller();
    for published_before in [false, true] {
        let memory = Map::anonymous(4 * PAGE);
        memory.mark(OLD);
        let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
        if published_before {
            raw::publish(&export, 0, &[]).expect("publish");
            raw::unpublish(&export).expect("unpublish");
        }
        // SAFETY: of our own mapping.
        unsafe { libc::madvise(memory.at(PAGE).cast(), PAGE, libc::MADV_DONTNEED) };
        let pinned = books.private().0;
        wait_until("VmPin is back", 150, || Books::private_now().0 == pinned);
        assert_eq!(raw::publish(&export, 0, &[]), Err(crate::DEAD));
    }
    drop(controller);
    books.balance();
}
