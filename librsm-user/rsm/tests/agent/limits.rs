// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module's parameters limit for the whole machine: up to the limit and no further,
//! and again when something has been given back.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn, Steps};
use crate::common::raw::{self, failure, Connection, Failure, PAGE};
use crate::{map, Pair, NO_MEMORY, OLD, USED_UP};

/// An exporter of parts of its memory.
struct Exports {
    controller: File,
    memory: Map,
}

impl Exports {
    fn new(pages: usize) -> Self {
        Self {
            controller: raw::controller(),
            memory: Map::anonymous(pages * PAGE),
        }
    }

    fn create(&self, pages: usize) -> Result<OwnedFd, Failure> {
        raw::create(&self.controller, self.memory.addr(), (pages * PAGE) as u64)
    }
}

/// Fails unless `make` works just `limit` times, and again when something is given back.
#[track_caller]
fn assert_limit<T, E>(what: &str, limit: usize, over: E, make: impl Fn() -> Result<T, E>)
where
    E: std::fmt::Debug + PartialEq + Copy,
{
    let mut made = Vec::new();
    for n in 0..limit {
        made.push(make().unwrap_or_else(|e| panic!("{what}: {n} of {limit}: {e:?}")));
    }
    for _ in 0..3 {
        assert_eq!(make().map(drop), Err(over), "{what}: one more than {limit}");
    }
    for _ in 0..3 {
        drop(made.pop());
        made.push(make().unwrap_or_else(|e| panic!("{what}: given back: {e:?}")));
        assert_eq!(make().map(drop), Err(over), "{what}: full again");
    }
    made.clear();
    for n in 0..limit {
        made.push(make().unwrap_or_else(|e| panic!("{what}: {n} of {limit}: {e:?}")));
    }
    assert_eq!(
        make().map(drop),
        Err(over),
        "{what}: nothing has been lost or won"
    );
}

#[test]
fn segments() {
    let books = Books::open();
    let exports = Exports::new(1);
    let limit = Knob::parameter("max_segments", 3);
    assert_limit("max_segments", 3, USED_UP, || exports.create(1));
    // They are everybody's.
    let steps = Steps::new();
    let other = spawn(|| {
        let held = exports.create(1).expect("create");
        steps.reach(0);
        steps.await_step(1);
        drop(held);
    });
    other.await_step(&steps, 0);
    assert_limit("two that are left", 2, USED_UP, || exports.create(1));
    steps.reach(1);
    other.join();
    // Lowered below what there is, it takes nothing away; and 0 is no limit.
    let held: Vec<_> = (0..3).map(|_| exports.create(1).expect("create")).collect();
    limit.turn(1);
    assert_eq!(exports.create(1).map(drop), Err(USED_UP));
    assert_eq!(raw::publish(&held[2], 0, &[]).map(drop), Ok(()));
    limit.turn(0);
    let more: Vec<_> = (0..20)
        .map(|_| exports.create(1).expect("no limit"))
        .collect();
    drop((held, more, limit, exports, steps));
    books.balance();
}

#[test]
fn segments_come_before_memory() {
    let exports = Exports::new(4);
    // SAFETY: a part of our own mapping.
    unsafe { libc::munmap(exports.memory.at(PAGE).cast(), PAGE) };
    let _segments = Knob::parameter("max_segments", 1);
    let memory = Knob::parameter("max_exported_mem", PAGE);
    let attempt = |length| raw::create(&exports.controller, exports.memory.addr(), length);
    let hole = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);
    let zero = failure(Errno::EINVAL, RSM_STATUS_BAD_LENGTH);
    let (one, two) = (PAGE as u64, 2 * PAGE as u64);
    assert_eq!(
        attempt(two).map(drop),
        Err(NO_MEMORY),
        "before what it is like"
    );
    memory.turn(0);
    assert_eq!(attempt(two).map(drop), Err(hole));
    memory.turn(PAGE);
    let held = attempt(one).expect("create");
    assert_eq!(attempt(two).map(drop), Err(USED_UP), "before the memory");
    assert_eq!(attempt(0).map(drop), Err(zero), "the range comes first");
    drop(held);
    drop(attempt(one).expect("failures take nothing"));
}

#[test]
fn exported_memory() {
    let books = Books::open();
    let exports = Exports::new(64);
    let limit = Knob::parameter("max_exported_mem", 16 * PAGE);
    assert_limit("max_exported_mem", 4, NO_MEMORY, || exports.create(4));
    assert_eq!(exports.create(17).map(drop), Err(NO_MEMORY));
    let most = exports.create(15).expect("create");
    assert_eq!(exports.create(2).map(drop), Err(NO_MEMORY));
    let rest = exports.create(1).expect("the last page");
    // Destroy gives it back while the descriptor is open; close then gives nothing.
    raw::destroy(&most).expect("destroy");
    let again = exports.create(15).expect("given back by destroy");
    drop(most);
    assert_eq!(exports.create(1).map(drop), Err(NO_MEMORY));
    // Not a multiple of pages: whole pages count.
    drop((again, rest));
    limit.turn(3 * PAGE - 1);
    assert_eq!(exports.create(3).map(drop), Err(NO_MEMORY));
    drop(exports.create(2).expect("create"));
    limit.turn(0);
    drop(exports.create(64).expect("no limit"));
    drop((limit, exports));
    books.balance();
}

#[test]
fn exported_memory_of_a_segment_that_dies() {
    let books = Books::open();
    let exports = Exports::new(32);
    let limit = Knob::parameter("max_exported_mem", 16 * PAGE);
    let dying = exports.create(16).expect("create");
    assert_eq!(exports.create(1).map(drop), Err(NO_MEMORY));
    // SAFETY: a part of our own mapping.
    unsafe { libc::munmap(exports.memory.at(0).cast(), PAGE) };
    let (addr, len) = (exports.memory.addr() + 16 * 4096, 16 * PAGE as u64);
    crate::common::wait_until("the dead segment's memory is free", 150, || {
        raw::create(&exports.controller, addr, len).is_ok()
    });
    drop((dying, limit, exports));
    books.balance();
}

/// Old and new memory count both.
#[test]
fn rebind_counts_too() {
    let books = Books::open();
    let limit = Knob::parameter("max_exported_mem", 16 * PAGE);
    let new = Map::anonymous(9 * PAGE);
    let pair = Pair::with(Map::anonymous(9 * PAGE), RSM_EXPORT_ALLOW_REBIND, 0);
    let rebind = || raw::rebind(&pair.export, new.addr(), 9 * PAGE as u64);
    assert_eq!(rebind(), Err(NO_MEMORY), "9 and 9 of 16 pages");
    pair.window.assert_marked(OLD, 0);
    limit.turn(18 * PAGE);
    assert_eq!(rebind(), Ok(()));
    pair.window.assert_zero();
    let again = raw::rebind(&pair.export, pair.memory.addr(), 9 * PAGE as u64);
    assert_eq!(again, Ok(()), "the old has been given back");
    drop((pair, new, limit));
    books.balance();
}

#[test]
fn exported_percent() {
    let meminfo = std::fs::read_to_string("/proc/meminfo").expect("meminfo");
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.expect("MemTotal").trim_end_matches("kB").trim();
    let pages = kib.parse::<usize>().expect("a number") / 4;
    let books = Books::open();
    let exports = Exports::new(pages / 40);
    let limit = Knob::parameter("max_exported_percent", 1);
    // Half a percent and two and a half, so that it does not matter what all memory is.
    let half = pages / 200;
    assert_eq!(exports.create(5 * half).map(drop), Err(NO_MEMORY));
    let held = exports.create(half).expect("half a percent");
    assert_eq!(exports.create(2 * half).map(drop), Err(NO_MEMORY));
    drop(held);
    limit.turn(0);
    drop(exports.create(5 * half).expect("no limit"));
    drop((limit, exports));
    books.balance();
}

#[test]
fn imports_of_one_segment() {
    let books = Books::open();
    let (pair, other) = (Pair::new(1), Pair::new(1));
    let limit = Knob::parameter("max_segment_imports", 4);
    let connect = |pair: &Pair| raw::connect(&pair.controller, pair.id, 0o600);
    // One there is already.
    assert_limit("max_segment_imports", 3, USED_UP, || connect(&pair));
    let held: Vec<Connection> = (0..3).map(|_| connect(&pair).expect("connect")).collect();
    assert_eq!(connect(&pair).map(drop), Err(USED_UP));
    assert_limit("another segment", 3, USED_UP, || connect(&other));
    // A window keeps its connection.
    let window = map(&held[0], READ);
    drop(held);
    assert_limit("a window is left", 2, USED_UP, || connect(&pair));
    drop(window);
    limit.turn(0);
    let more: Vec<_> = (0..20).map(|_| connect(&pair).expect("no limit")).collect();
    drop((more, limit, other, pair));
    books.balance();
}

#[test]
fn imports_of_all() {
    let books = Books::open();
    let (pair, other) = (Pair::new(1), Pair::new(1));
    let limit = Knob::parameter("max_imports", 5);
    let connect = |pair: &Pair| raw::connect(&pair.controller, pair.id, 0o600);
    assert_limit("max_imports", 3, USED_UP, || connect(&pair));
    let held = [connect(&pair), connect(&other)].map(|import| import.expect("connect"));
    assert_limit("of both segments together", 1, USED_UP, || connect(&pair));
    in_child(|| assert_limit("and of all processes", 1, USED_UP, || connect(&other)));
    // Aborted ones count until they are closed.
    pair.destroy();
    assert_limit("one is free", 1, USED_UP, || connect(&other));
    drop(held);
    limit.turn(0);
    let more: Vec<_> = (0..20)
        .map(|_| connect(&other).expect("no limit"))
        .collect();
    drop((more, limit, other, pair));
    books.balance();
}

#[test]
fn mappings_of_one_import() {
    let books = Books::open();
    let pair = Pair::new(2);
    let other = pair.connect();
    let limit = Knob::parameter("max_import_mappings", 4);
    let window = |import: &Connection| {
        let fd = import.as_raw_fd();
        Map::new(PAGE, READ | WRITE, libc::MAP_SHARED, fd, PAGE)
    };
    // One there is already.
    assert_limit("max_import_mappings", 3, Errno::EAGAIN, || {
        window(&pair.import)
    });
    let held: Vec<_> = (0..3).map(|_| window(&pair.import).expect("map")).collect();
    assert_eq!(window(&pair.import).map(drop), Err(Errno::EAGAIN));
    assert_limit("another import", 4, Errno::EAGAIN, || window(&other));
    // What is asked for comes first.
    let attempt =
        |protection, flags| Map::new(PAGE, protection, flags, pair.import.as_raw_fd(), 0).map(drop);
    assert_eq!(attempt(READ, libc::MAP_PRIVATE), Err(Errno::EINVAL));
    assert_eq!(
        attempt(libc::PROT_EXEC, libc::MAP_SHARED),
        Err(Errno::EPERM)
    );
    drop(held);
    limit.turn(0);
    let more: Vec<_> = (0..20)
        .map(|_| window(&pair.import).expect("no limit"))
        .collect();
    pair.destroy();
    more.iter().for_each(Map::assert_zero);
    drop((more, limit, other, pair));
    books.balance();
}

/// Splitting a window makes two of it, and fork makes another, which cannot be refused.
#[test]
fn mappings_that_are_not_made_by_mmap() {
    let books = Books::open();
    let pair = Pair::new(4);
    let limit = Knob::parameter("max_import_mappings", 2);
    let window = || Map::new(PAGE, READ, libc::MAP_SHARED, pair.import.as_raw_fd(), 0);
    let held = window().expect("the second of two");
    let split = || pair.window.protect(0, PAGE, READ);
    assert_eq!(split(), Err(Errno::EAGAIN), "no third by splitting");
    pair.window.assert_marked(OLD, 0);
    pair.window.store(8, 1);
    drop(held);
    assert_eq!(split(), Ok(()));
    assert_eq!(window().map(drop), Err(Errno::EAGAIN), "two by splitting");
    pair.window.assert_marked(OLD, 0);
    limit.turn(4);
    let steps = Steps::new();
    let child = spawn(|| {
        pair.window.assert_marked(OLD, 0);
        steps.reach(0);
        steps.await_step(1);
    });
    child.await_step(&steps, 0);
    assert_eq!(
        window().map(drop),
        Err(Errno::EAGAIN),
        "two and two of a child"
    );
    steps.reach(1);
    child.join();
    crate::common::wait_until("the child's are gone", 150, || {
        let both = [window(), window()];
        both.iter().all(Result::is_ok)
    });
    assert_limit("the child's are gone", 2, Errno::EAGAIN, window);
    pair.destroy();
    pair.window.touch(0);
    drop((limit, pair, steps));
    books.balance();
}
