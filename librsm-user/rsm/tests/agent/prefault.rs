// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prefault: the translations of a window are made at once, so that using it takes no fault.

use std::hint::black_box;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::in_child;
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::{map, Pair, ABORTED, DENIED, NEW, OLD};

const BAD_LENGTH: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_LENGTH);
const MISALIGNED: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_MEM_ALIGNMENT);
const BAD_ADDR: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);

/// Page faults of this thread so far.
fn faults() -> i64 {
    // SAFETY: the kernel fills it in.
    unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_minflt + usage.ru_majflt
    }
}

/// Page faults that reading, then writing every page of a window takes.
#[track_caller]
fn faults_of_use(window: &Map, pattern: u64, first_page: usize) -> i64 {
    // The code may fault for itself the first time, in a child once more: it must be the same code.
    let own = Map::anonymous(64 * PAGE);
    for page in 0..64 {
        own.store(page * PAGE, pattern | (first_page + page) as u64);
    }
    let mut taken = 0;
    for area in black_box([&own, window]) {
        let before = faults();
        use_all(area, pattern, first_page);
        taken = faults() - before;
    }
    taken
}

#[inline(never)]
#[track_caller]
fn use_all(area: &Map, pattern: u64, first_page: usize) {
    area.assert_marked(pattern, first_page);
    for page in 0..area.len / PAGE {
        area.store(page * PAGE + 8, 1);
    }
}

/// All of a window.
#[track_caller]
fn prefault(pair: &Pair, window: &Map) {
    raw::prefault(&pair.import, window.addr(), window.len as u64).expect("prefault");
}

/// Small pages that do not follow each other in physical memory.
fn scattered(pages: usize) -> Map {
    let memory = Map::anonymous(pages * PAGE);
    for first in 0..37 {
        for page in (first..pages).step_by(37) {
            memory.store(page * PAGE, 1);
        }
    }
    memory
}

#[test]
fn use_takes_no_fault_then() {
    let _settings = Knob::no_numa_balancing();
    for memory in [|| scattered(3000), || huge_memory(2 * HUGE)] {
        let books = Books::open();
        let pair = Pair::of(memory());
        // Once without, to see that there is something to save.
        assert!(faults_of_use(&pair.window, OLD, 0) > 0);
        let second = map(&pair.import, READ | WRITE);
        prefault(&pair, &second);
        assert_eq!(faults_of_use(&second, OLD, 0), 0);
        prefault(&pair, &second);
        assert_eq!(faults_of_use(&second, OLD, 0), 0, "twice is no harm");
        // A mapping made over, partly touched.
        let third = map(&pair.import, READ | WRITE);
        third.touch(5 * PAGE);
        third.store(700 * PAGE + 8, 2);
        prefault(&pair, &third);
        assert_eq!(faults_of_use(&third, OLD, 0), 0);
        pair.destroy();
        for window in [&pair.window, &second, &third] {
            window.assert_zero();
        }
        drop((second, third, pair));
        books.balance();
    }
}

#[test]
fn parts_and_windows_on_parts() {
    let _settings = Knob::no_numa_balancing();
    let books = Books::open();
    let pair = Pair::of(scattered(2000));
    let fd = pair.import.as_raw_fd();
    for (offset, pages, first, number) in [(0, 2000, 100, 900), (600, 900, 0, 900), (1999, 1, 0, 1)]
    {
        let flags = libc::MAP_SHARED;
        let rights = READ | WRITE;
        let window = Map::new(pages * PAGE, rights, flags, fd, offset * PAGE).expect("map");
        let addr = window.addr() + (first * PAGE) as u64;
        raw::prefault(&pair.import, addr, (number * PAGE) as u64).expect("prefault");
        let before = faults();
        for page in first..first + number {
            assert_eq!(window.load(page * PAGE), OLD | (offset + page) as u64);
        }
        assert_eq!(
            faults() - before,
            0,
            "{number} pages from {first} of {pages}"
        );
    }
    drop(pair);
    books.balance();
}

/// Two windows next to each other, in either order, and with different rights.
#[test]
fn a_range_with_two_windows() {
    let _settings = Knob::no_numa_balancing();
    let books = Books::open();
    let pair = Pair::of(scattered(1200));
    let place = Map::anonymous(1200 * PAGE);
    let put = |at: usize, pages: usize, rights, offset: usize, fd| {
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let (at, offset) = (place.at(at * PAGE).cast(), (offset * PAGE) as i64);
        // SAFETY: over memory of ours.
        let base = unsafe { libc::mmap(at, pages * PAGE, rights, flags, fd, offset) };
        assert_eq!(base, at, "mmap: {}", Errno::last());
    };
    let fd = pair.import.as_raw_fd();
    put(0, 500, READ, 700, fd);
    put(500, 700, READ | WRITE, 0, fd);
    prefault(&pair, &place);
    let before = faults();
    for page in 0..1200 {
        let expected = OLD | ((page + 700) % 1200) as u64;
        assert_eq!(place.load(page * PAGE), expected, "page {page}");
    }
    assert_eq!(faults() - before, 0);
    // One of another connection, or of other memory, is not for this one.
    let other = pair.connect();
    put(500, 700, READ, 0, other.as_raw_fd());
    let whole = raw::prefault(&pair.import, place.addr(), place.len as u64);
    assert_eq!(whole, Err(BAD_ADDR), "another connection's window");
    raw::prefault(&pair.import, place.addr(), 500 * PAGE as u64).expect("its own");
    // SAFETY: a part of our own mapping.
    unsafe { libc::munmap(place.at(300 * PAGE).cast(), PAGE) };
    let hole = raw::prefault(&pair.import, place.addr(), 500 * PAGE as u64);
    assert_eq!(hole, Err(BAD_ADDR), "a hole");
    drop((place, other, pair));
    books.balance();
}

#[test]
fn faults_come_back_when_the_memory_changes() {
    let _settings = Knob::no_numa_balancing();
    let pair = Pair::with(scattered(600), RSM_EXPORT_ALLOW_REBIND, 0);
    prefault(&pair, &pair.window);
    assert_eq!(faults_of_use(&pair.window, OLD, 0), 0);
    let new = scattered(600);
    new.mark(NEW);
    raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
    assert!(faults_of_use(&pair.window, NEW, 0) > 0, "rebound");
    raw::rebind(&pair.export, pair.memory.addr(), new.len as u64).expect("rebind");
    prefault(&pair, &pair.window);
    assert_eq!(faults_of_use(&pair.window, OLD, 0), 0);
}

/// A child has page tables of its own, and fork empties those of its parent.
#[test]
fn children_prefault_for_themselves() {
    let _settings = Knob::no_numa_balancing();
    let pair = Pair::of(scattered(600));
    prefault(&pair, &pair.window);
    in_child(|| {
        prefault(&pair, &pair.window);
        assert_eq!(faults_of_use(&pair.window, OLD, 0), 0);
        prefault(&pair, &pair.window);
    });
    prefault(&pair, &pair.window);
    assert_eq!(faults_of_use(&pair.window, OLD, 0), 0);
}

#[test]
fn prefault_errors_in_order() {
    const LEN: u64 = 4 * PAGE as u64;
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(4);
    let other = pair.connect();
    let others = map(&other, READ);
    let closed = map(&pair.import, libc::PROT_NONE);
    let memory = Map::anonymous(4 * PAGE);
    let half = map(&pair.import, READ);
    half.protect(PAGE, 2 * PAGE, libc::PROT_NONE)
        .expect("mprotect");
    let hole = map(&pair.import, libc::PROT_NONE);
    // SAFETY: a part of our own mapping.
    unsafe { libc::munmap(hole.at(2 * PAGE).cast(), PAGE) };
    let table = Map::shared(pair.controller.as_raw_fd(), PAGE, READ).expect("status table");
    let attempt = |addr, length| raw::prefault(&pair.import, addr, length);
    let top = u64::MAX - 4095;
    let check = |situation: &str, last: Result<(), Failure>| {
        for addr in [0, 1, top, pair.window.addr(), memory.addr()] {
            assert_eq!(attempt(addr, 0), Err(BAD_LENGTH), "{situation}: {addr:#x}");
        }
        for (addr, length) in [
            (1, LEN),
            (pair.window.addr() + 8, LEN),
            (pair.window.addr(), LEN + 1),
            (memory.addr(), 1),
            (top + 8, LEN),
            (pair.window.addr(), u64::MAX),
        ] {
            let seen = attempt(addr, length);
            assert_eq!(seen, Err(MISALIGNED), "{situation}: {length} at {addr:#x}");
        }
        for (addr, length) in [(top, LEN), (top, PAGE as u64), (pair.window.addr(), top)] {
            let seen = attempt(addr, length);
            assert_eq!(
                seen,
                Err(BAD_LENGTH),
                "{situation}: {length:#x} at {addr:#x}"
            );
        }
        for (what, addr) in [
            ("nothing", 0),
            ("memory of its own", memory.addr()),
            ("another connection's window", others.addr()),
            ("the kernel's half", 0xffff_8000_0000_0000),
            ("a hole, without access", hole.addr()),
        ] {
            assert_eq!(attempt(addr, LEN), Err(BAD_ADDR), "{situation}: {what}");
        }
        let page = PAGE as u64;
        assert_eq!(attempt(table.addr(), page), Err(BAD_ADDR), "{situation}");
        assert_eq!(attempt(closed.addr(), LEN), Err(DENIED), "{situation}");
        assert_eq!(
            attempt(half.addr(), LEN),
            Err(DENIED),
            "{situation}: in the middle"
        );
        assert_eq!(
            attempt(half.addr(), page),
            last,
            "{situation}: the good part"
        );
        assert_eq!(
            attempt(pair.window.addr(), LEN),
            last,
            "{situation}: a good one"
        );
        assert_eq!(
            raw::prefault(&other, others.addr(), LEN),
            last,
            "{situation}"
        );
    };
    let books = Books::amid();
    check("live", Ok(()));
    books.balance();
    pair.destroy();
    check("revoked", Err(ABORTED));
    pair.window.assert_zero();
    others.assert_zero();
}

/// Rights to write only are enough, and so is a window that can only be read.
#[test]
fn with_whatever_access_there_is() {
    let _settings = Knob::no_numa_balancing();
    let pair = Pair::of(scattered(600));
    for (perm, rights) in [(0o400, READ), (0o200, WRITE), (0o600, WRITE), (0o600, READ)] {
        let import = raw::connect(&pair.controller, pair.id, perm).expect("connect");
        let window = map(&import, rights);
        let result = raw::prefault(&import, window.addr(), window.len as u64);
        assert_eq!(result, Ok(()), "{perm:o}, rights {rights}");
        let before = faults();
        for page in 0..600 {
            if rights == READ {
                window.touch(page * PAGE);
            } else {
                window.store(page * PAGE + 8, 1);
            }
        }
        assert_eq!(faults() - before, 0, "{perm:o}, rights {rights}");
    }
}

/// Which is why there is a command for it.
#[test]
fn map_populate_does_nothing() {
    let pair = Pair::of(scattered(600));
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
    let fd = pair.import.as_raw_fd();
    let window = Map::new(600 * PAGE, READ | WRITE, flags, fd, 0).expect("map");
    assert!(faults_of_use(&window, OLD, 0) > 0);
}
