// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens to an exporter's memory without taking it away: the segment lives, and both
//! sides go on seeing the same memory.

use std::fs;
use std::path::Path;

use nix::libc;

use crate::common::books::Books;
use crate::common::debug_kernel;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, Steps};
use crate::common::raw::PAGE;
use crate::exporter::{file, huge, run_exporter, shared, small, Exporter};
use crate::{Remote, NEW, OLD};

const EXEC: i32 = libc::PROT_EXEC;

/// What importers store, next to the exporter's marks.
const ANSWER: u64 = 0x0a45_0000_0000_0000;

/// Stores an answer in each page.
fn answer(window: &Map, turn: u64) {
    for page in 0..window.len / PAGE {
        window.store(page * PAGE + 8, ANSWER + (turn << 32) + page as u64);
    }
}

/// Fails unless the exporter finds the answer in each page.
#[track_caller]
fn assert_answered(what: &str, exporter: &Exporter, turn: u64) {
    for page in 0..exporter.pages {
        let seen = exporter.area.load((page + 1) * PAGE + 8);
        let expected = ANSWER + (turn << 32) + page as u64;
        assert_eq!(seen, expected, "{what}: page {page}, turn {turn}");
    }
}

/// What the exporter stores in a turn.
fn marks(pattern: u64, turn: u64) -> u64 {
    pattern + (turn << 32)
}

/// Fails unless the segment outlives `deed`, done twice by its exporter, and is what it was
/// for an importer of the same process and one of another.
#[track_caller]
pub fn assert_lives(what: &str, area: fn() -> Map, deed: fn(&Exporter)) {
    // Shown if the test fails.
    println!("{what}");
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, area, |exporter| {
        let own = Remote::of(exporter.id);
        own.window.assert_marked(OLD, 1);
        for turn in 0..2 {
            deed(exporter);
            exporter.settle();
            assert!(own.live(), "{what}: the segment is gone");
            own.window.assert_marked(marks(OLD, turn), 1);
            answer(&own.window, 3);
            assert_answered(what, exporter, 3);
            for page in 1..=exporter.pages {
                exporter
                    .area
                    .store(page * PAGE, marks(NEW, turn) | page as u64);
            }
            own.window.assert_marked(marks(NEW, turn), 1);
            steps.reach(4 * turn as usize + 1);
            steps.await_step(4 * turn as usize + 2);
            assert_answered(what, exporter, turn);
            for page in 1..=exporter.pages {
                exporter
                    .area
                    .store(page * PAGE, marks(OLD, turn + 1) | page as u64);
            }
        }
        // It is still this memory that matters.
        exporter.unmap(0, 1);
        own.assert_taken_back();
        exporter.assert_dead(0);
        steps.reach(15);
    });
    for turn in 0..2 {
        process.await_step(&steps, 4 * turn as usize + 1);
        assert!(remote.live(), "{what}: the segment is gone");
        remote.window.assert_marked(marks(NEW, turn), 1);
        answer(&remote.window, turn);
        steps.reach(4 * turn as usize + 2);
    }
    process.await_step(&steps, 15);
    remote.assert_taken_back();
    process.join();
    drop((remote, steps));
    books.balance();
}

type Deed = (&'static str, fn(&Exporter));

const NEIGHBOURS: &[Deed] = &[
    ("mprotect of the neighbours", |e| {
        for page in [-1, e.last() + 1] {
            e.protect(page, 1, READ);
            e.protect(page, 1, libc::PROT_NONE);
            e.protect(page, 1, READ | WRITE);
        }
    }),
    ("munmap of the neighbours, and others there", |e| {
        for page in [-1, e.last() + 1] {
            e.unmap(page, 1);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
            // SAFETY: where a page of ours has been.
            let base = unsafe { libc::mmap(e.page(page), PAGE, READ | WRITE, flags, -1, 0) };
            assert_eq!(base, e.page(page), "mmap");
        }
    }),
    ("MADV_DONTNEED of the neighbours", |e| {
        e.advise(-1, 1, libc::MADV_DONTNEED);
        e.advise(e.last() + 1, 1, libc::MADV_DONTNEED);
    }),
];

const RIGHTS: &[Deed] = &[
    ("executable and back", |e| {
        e.protect(0, e.pages, READ | WRITE | EXEC);
        e.protect(7, 1, READ | WRITE);
        e.protect(0, e.pages, READ | WRITE);
    }),
    ("the rights it has", |e| e.protect(0, e.pages, READ | WRITE)),
];

const HINTS: &[Deed] = &[
    ("MADV_FREE", |e| {
        let _ = e.try_to_advise(0, e.pages, libc::MADV_FREE);
    }),
    ("MADV_COLD", |e| e.advise(0, e.pages, libc::MADV_COLD)),
    ("MADV_PAGEOUT", |e| e.advise(0, e.pages, libc::MADV_PAGEOUT)),
    ("MADV_WILLNEED", |e| {
        let _ = e.try_to_advise(0, e.pages, libc::MADV_WILLNEED);
    }),
    ("MADV_POPULATE_WRITE", |e| {
        e.advise(0, e.pages, libc::MADV_POPULATE_WRITE)
    }),
    ("MADV_DONTFORK and back", |e| {
        e.advise(0, e.pages, libc::MADV_DONTFORK);
        in_child(|| ());
        e.advise(0, e.pages, libc::MADV_DOFORK);
    }),
    ("MADV_DONTDUMP", |e| e.advise(7, 1, libc::MADV_DONTDUMP)),
    ("mlock and munlock", |e| {
        // SAFETY: of our own mapping.
        unsafe {
            assert_eq!(libc::mlock(e.page(0), e.pages * PAGE), 0, "mlock");
            assert_eq!(libc::munlock(e.page(0), e.pages * PAGE), 0, "munlock");
        }
    }),
    ("references cleared", |_| {
        fs::write("/proc/self/clear_refs", "1").expect("clear_refs");
    }),
    ("soft-dirty marks cleared", |_| {
        fs::write("/proc/self/clear_refs", "4").expect("clear_refs");
    }),
];

const CHILDREN: &[Deed] = &[
    ("a child that writes", |e| {
        in_child(|| {
            e.area.mark(NEW);
            e.area.assert_marked(NEW, 0);
        })
    }),
    ("a child while the exporter writes", |e| {
        let steps = Steps::new();
        let child = crate::common::process::spawn(|| {
            steps.await_step(0);
            e.area.mark(NEW);
        });
        for page in 1..=e.pages {
            e.area.store(page * PAGE + 16, page as u64);
        }
        steps.reach(0);
        child.join();
    }),
    ("a child that unmaps it", |e| {
        in_child(|| e.unmap(-1, e.pages + 2))
    }),
    ("a child that loses its rights", |e| {
        in_child(|| e.protect(0, e.pages, READ))
    }),
    ("a child that forgets it", |e| {
        in_child(|| e.advise(0, e.pages, libc::MADV_DONTNEED))
    }),
];

const ALL: [fn() -> Map; 4] = [small, file, shared, huge];

#[test]
fn what_happens_next_to_it() {
    for (what, deed) in NEIGHBOURS {
        assert_lives(what, small, *deed);
        assert_lives(what, huge, *deed);
    }
}

#[test]
fn rights_that_stay_enough() {
    for area in ALL {
        for (what, deed) in RIGHTS {
            assert_lives(what, area, *deed);
        }
    }
}

#[test]
fn hints() {
    for area in ALL {
        for (what, deed) in HINTS {
            assert_lives(what, area, *deed);
        }
    }
}

/// These are about all memory, whatever the segment's, and take long where all of it is watched.
#[test]
fn caches_dropped_and_memory_compacted() {
    let areas: &[fn() -> Map] = if debug_kernel() { &[huge] } else { &ALL };
    for area in areas {
        assert_lives("caches dropped, memory compacted", *area, |_| {
            fs::write("/proc/sys/vm/drop_caches", "3").expect("drop_caches");
            fs::write("/proc/sys/vm/compact_memory", "1").expect("compact_memory");
        });
    }
}

#[test]
fn children() {
    for area in [small, huge] {
        for (what, deed) in CHILDREN {
            assert_lives(what, area, *deed);
        }
    }
}

/// The pages stay in the file, and come back when they are touched.
#[test]
fn dontneed_of_shared_memory() {
    for area in [file, shared] {
        assert_lives("MADV_DONTNEED, untouched", area, |e| {
            e.advise(0, e.pages, libc::MADV_DONTNEED);
        });
        assert_lives("MADV_DONTNEED of a page, touched", area, |e| {
            e.advise(7, 1, libc::MADV_DONTNEED);
            e.area.touch(8 * PAGE);
        });
        assert_lives("MADV_DONTNEED over the end", area, |e| {
            e.advise(-1, e.pages + 2, libc::MADV_DONTNEED);
        });
    }
}

/// A file is mapped elsewhere too, and that mapping goes away.
#[test]
fn another_mapping_of_the_same_file() {
    for area in [file, shared] {
        assert_lives("a second mapping", area, |e| {
            let len = e.pages * PAGE;
            // SAFETY: an old length of 0 makes another mapping of the same shared memory.
            let second = unsafe {
                let base = libc::mremap(e.page(0), 0, len, libc::MREMAP_MAYMOVE);
                assert_ne!(base, libc::MAP_FAILED, "mremap");
                Map::adopt(base.cast(), len)
            };
            assert_eq!(second.load(0), e.area.load(PAGE));
            second.protect(0, len, READ).expect("mprotect");
        });
    }
}

/// Splitting huge pages by the debug interface of the kernel, if there is one.
#[test]
fn splitting_huge_pages() {
    const SPLIT: &str = "/sys/kernel/debug/split_huge_pages";
    if !Path::new(SPLIT).exists() {
        return;
    }
    assert_lives("split_huge_pages", huge, |e| {
        let (from, to) = (e.page(0) as u64, e.page(e.last()) as u64);
        let order = format!("{},{from:#x},{to:#x}", std::process::id());
        // Pinned pages are not split; the kernel says so or does not.
        let _ = fs::write(SPLIT, order);
    });
}

#[test]
fn migrate_pages_to_another_node() {
    if !Path::new("/sys/devices/system/node/node1").exists() {
        return;
    }
    assert_lives("migrate_pages", small, |_| {
        for (from, to) in [(1u64, 2u64), (2, 1)] {
            // SAFETY: two masks of nodes.
            let result = unsafe { libc::syscall(libc::SYS_migrate_pages, 0, 64, &from, &to) };
            assert!(result >= 0, "migrate_pages: {}", nix::errno::Errno::last());
        }
    });
}
