// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that can be exported, of every kind, and memory that cannot.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::backing::{huge_memory, memfd, reserve_huge_pages, system_v, RegularFile, HUGE};
use crate::common::books::{self, Books};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::{map, Pair, NEW, OLD};

/// A segment of this memory is shared and taken back.
#[track_caller]
fn assert_exportable(memory: Map) {
    let books = Books::open();
    let pages = memory.len / PAGE;
    let pair = Pair::of(memory);
    pair.window.assert_marked(OLD, 0);
    pair.window.store((pages - 1) * PAGE + 8, 7);
    assert_eq!(pair.memory.load((pages - 1) * PAGE + 8), 7);
    pair.destroy();
    pair.window.assert_zero();
    pair.window.store(0, 1);
    pair.memory.assert_marked(NEW, 0);
    drop(pair);
    books.balance();
}

#[test]
fn anonymous_memory() {
    assert_exportable(Map::anonymous(PAGE));
    assert_exportable(Map::anonymous(17 * PAGE));
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    assert_exportable(Map::new(17 * PAGE, READ | WRITE, flags, -1, 0).expect("map"));
}

/// An entry of an array of 64-bit words that the kernel shows.
fn entry(file: &str, index: u64) -> u64 {
    let mut entry = [0; 8];
    let file = File::open(file).expect(file);
    file.read_exact_at(&mut entry, index * 8).expect("entry");
    u64::from_ne_bytes(entry)
}

/// How many pages the kernel has marked dirty, which it must not lose.
fn dirty_pages(memory: &Map) -> usize {
    const DIRTY: u64 = 1 << 4; // KPF_DIRTY
    let pages = memory.addr() / PAGE as u64..(memory.addr() + memory.len as u64) / PAGE as u64;
    let frame = |page| entry("/proc/self/pagemap", page) & ((1 << 55) - 1);
    pages
        .filter(|&page| entry("/proc/kpageflags", frame(page)) & DIRTY != 0)
        .count()
}

/// Importers' stores leave no trace in the exporter's page table: the pages have to be marked.
#[test]
fn pages_given_back_are_dirty() {
    let alone = Map::anonymous(33 * PAGE);
    for page in (0..33).step_by(2).chain((1..33).step_by(2)) {
        alone.store(page * PAGE, 1);
    }
    let together = Map::anonymous(32 * PAGE);
    together.mark(OLD);
    let huge = huge_memory(HUGE);
    huge.mark(OLD);
    for memory in [alone, together, huge] {
        assert_eq!(dirty_pages(&memory), 0, "not yet");
        let controller = raw::controller();
        let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
        raw::destroy(&export).expect("destroy");
        assert_eq!(dirty_pages(&memory), memory.len / PAGE);
    }
}

#[test]
fn memory_that_was_never_touched() {
    let memory = Map::anonymous(8 * PAGE);
    let controller = raw::controller();
    let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
    let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
    let import = raw::connect(&controller, id, 0o600).expect("connect");
    let window = map(&import, READ | WRITE);
    window.assert_zero();
    window.mark(OLD);
    memory.assert_marked(OLD, 0);
}

#[test]
fn posix_shared_memory_and_memfd() {
    let file = memfd(9 * PAGE);
    assert_exportable(Map::shared(file.as_raw_fd(), 9 * PAGE, READ | WRITE).expect("map"));
    let path = "/dev/shm/rsm-test";
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path);
    let file = file.expect("shm");
    file.set_len(9 * PAGE as u64).expect("set_len");
    fs::remove_file(path).expect("unlink");
    assert_exportable(Map::shared(file.as_raw_fd(), 9 * PAGE, READ | WRITE).expect("map"));
}

#[test]
fn system_v_shared_memory() {
    assert_exportable(system_v(9 * PAGE));
}

#[test]
fn private_mapping_of_a_file() {
    let path = "/tmp/rsm-test-private";
    fs::write(path, vec![1; 9 * PAGE]).expect("write");
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("open");
    let memory = Map::new(
        9 * PAGE,
        READ | WRITE,
        libc::MAP_PRIVATE,
        file.as_raw_fd(),
        0,
    );
    assert_exportable(memory.expect("map"));
    assert!(
        fs::read(path).expect("read").iter().all(|&b| b == 1),
        "the file has changed"
    );
    fs::remove_file(path).expect("unlink");
}

#[test]
fn several_mappings_in_a_row() {
    let memory = Map::anonymous(12 * PAGE);
    let file = memfd(4 * PAGE);
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: replaces the middle of a mapping of ours.
    let middle = unsafe {
        let at = memory.at(4 * PAGE).cast();
        libc::mmap(at, 4 * PAGE, READ | WRITE, flags, file.as_raw_fd(), 0)
    };
    assert_eq!(middle, memory.at(4 * PAGE).cast());
    assert_exportable(memory);
}

#[test]
fn hugetlb_pages() {
    let _reserved = reserve_huge_pages(2);
    for flags in [libc::MAP_PRIVATE, libc::MAP_SHARED] {
        let flags = flags | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
        let memory = Map::new(2 * HUGE, READ | WRITE, flags, -1, 0).expect("huge pages");
        assert_exportable(memory);
    }
}

/// Small pages that do not follow each other in physical memory. (Those that happen to do
/// are as good as a huge page.)
fn scattered_memory(len: usize) -> Map {
    const STRIDE: usize = 37;
    let memory = Map::anonymous(len);
    for first in 0..STRIDE {
        for page in (first..len / PAGE).step_by(STRIDE) {
            memory.store(page * PAGE, 1);
        }
    }
    memory
}

/// KiB of page tables that mapping and touching all of a segment takes, and page faults.
fn cost_of_mapping(memory: Map) -> (u64, i64) {
    let pair = Pair::of(memory);
    let faults = || {
        // SAFETY: the kernel fills it in.
        unsafe {
            let mut usage = std::mem::zeroed();
            libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
            usage.ru_minflt
        }
    };
    let window = map(&pair.import, READ | WRITE);
    let (tables, before) = (books::status_kib("VmPTE"), faults());
    window.assert_marked(OLD, 0);
    let cost = (books::status_kib("VmPTE") - tables, faults() - before);
    pair.destroy();
    window.assert_zero();
    pair.memory.assert_marked(NEW, 0);
    cost
}

/// Where page tables are checked, the kernel does not bear huge entries on such memory.
fn only_small_entries() -> bool {
    let line = fs::read_to_string("/proc/cmdline").expect("cmdline");
    line.split_whitespace()
        .any(|word| word == "page_table_check=on")
}

#[test]
fn huge_pages_are_mapped_by_huge_entries() {
    const LEN: usize = 16 << 20;
    let books = Books::open();
    let huge = cost_of_mapping(huge_memory(LEN));
    let small = cost_of_mapping(scattered_memory(LEN));
    // A page table of 4 KiB for each 2 MiB; at most two more of a higher level.
    assert!(
        (32..=40).contains(&small.0),
        "small pages: {} KiB of page tables",
        small.0
    );
    if only_small_entries() {
        assert!(
            (32..=40).contains(&huge.0),
            "small entries: {} KiB of page tables",
            huge.0
        );
    } else {
        assert!(huge.0 <= 8, "huge pages: {} KiB of page tables", huge.0);
    }
    assert!((8..=16).contains(&huge.1), "huge pages: {} faults", huge.1);
    assert!(
        (8..=16).contains(&small.1),
        "small pages: {} faults",
        small.1
    );
    books.balance();
}

/// Addresses of windows are chosen so that they fit the memory, wherever in a huge page it begins.
#[test]
fn unaligned_parts_of_huge_pages_are_mapped_by_huge_entries() {
    const LEN: usize = 16 << 20;
    let books = Books::open();
    for skipped in [1, 100, 511] {
        let whole = huge_memory(LEN + HUGE);
        let (begin, rest) = (whole.at(0), whole.at(skipped * PAGE));
        std::mem::forget(whole);
        // SAFETY: the first pages of a mapping of ours, which nothing refers to any more.
        let memory = unsafe {
            assert_eq!(libc::munmap(begin.cast(), skipped * PAGE), 0);
            Map::adopt(rest, LEN + HUGE - skipped * PAGE)
        };
        let (tables, _) = cost_of_mapping(memory);
        if only_small_entries() {
            assert!((32..=44).contains(&tables), "{skipped}: {tables} KiB");
        } else {
            // One for each end, and two of a higher level.
            assert!(tables <= 16, "{skipped}: {tables} KiB of page tables");
        }
    }
    books.balance();
}

#[test]
fn parts_of_huge_pages() {
    let memory = huge_memory(2 * HUGE);
    let books = Books::open();
    let controller = raw::controller();
    for (first, pages) in [(1, 1), (3, 700), (511, 2), (512, 512), (100, 924), (0, 513)] {
        memory.mark(OLD);
        let addr = memory.addr() + (first * PAGE) as u64;
        let export = raw::create(&controller, addr, (pages * PAGE) as u64).expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        let window = map(&import, READ | WRITE);
        window.assert_marked(OLD, first);
        window.store(8, 5);
        assert_eq!(memory.load(first * PAGE + 8), 5);
        raw::destroy(&export).expect("destroy");
        memory.mark(NEW);
        window.assert_zero();
    }
    drop(controller);
    books.balance();
}

#[test]
fn huge_pages_behave_like_small_ones_when_taken_back() {
    let books = Books::open();
    let pair = Pair::of(huge_memory(4 * HUGE));
    pair.window.assert_marked(OLD, 0);
    // Split in the parent's tables and the child's, whole elsewhere.
    pair.window
        .protect(HUGE + 5 * PAGE, PAGE, READ)
        .expect("mprotect");
    // SAFETY: a part of our own mapping.
    unsafe { libc::munmap(pair.window.at(2 * HUGE + PAGE).cast(), PAGE) };
    assert_eq!(pair.window.load(HUGE + 5 * PAGE), OLD | 517);
    crate::common::process::in_child(|| {
        assert_eq!(pair.window.load(3 * HUGE), OLD | 1536);
        pair.window.store(3 * HUGE + 8, 6);
    });
    assert_eq!(pair.memory.load(3 * HUGE + 8), 6);
    pair.destroy();
    for page in (0..4 * HUGE / PAGE).filter(|&page| page != 2 * 512 + 1) {
        assert_eq!(pair.window.load(page * PAGE), 0, "page {page}");
    }
    pair.memory.assert_marked(NEW, 0);
    drop(pair);
    books.balance();
}

const NOT_EXPORTABLE: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);

#[test]
fn shared_mappings_of_regular_files_are_refused() {
    // Nothing of another test is left.
    Books::open();
    let regular = RegularFile::new(4 * PAGE);
    let file = &regular.file;
    let controller = raw::controller();
    let books = Books::amid();
    let attempt = |map: &Map| raw::create(&controller, map.addr(), map.len as u64).map(drop);
    let shared = Map::shared(file.as_raw_fd(), 4 * PAGE, READ | WRITE).expect("map");
    shared.mark(OLD);
    assert_eq!(attempt(&shared), Err(NOT_EXPORTABLE), "shared");
    // The kind comes before the protection, and one bad page is enough.
    shared.protect(0, 4 * PAGE, READ).expect("mprotect");
    assert_eq!(attempt(&shared), Err(NOT_EXPORTABLE), "shared, read-only");
    let around = Map::anonymous(3 * PAGE);
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: replaces the middle of a mapping of ours.
    unsafe {
        libc::mmap(
            around.at(PAGE).cast(),
            PAGE,
            READ | WRITE,
            flags,
            file.as_raw_fd(),
            0,
        );
    }
    assert_eq!(attempt(&around), Err(NOT_EXPORTABLE), "in the middle");
    let private = Map::new(
        4 * PAGE,
        READ | WRITE,
        libc::MAP_PRIVATE,
        file.as_raw_fd(),
        0,
    );
    assert_eq!(attempt(&private.expect("map")), Ok(()), "private");
    drop((shared, around));
    books.balance();
    drop(regular);
}

#[test]
fn special_mappings_are_refused() {
    // Nothing of another test is left.
    Books::open();
    let controller = raw::controller();
    let pair = Pair::new(1);
    let table = Map::shared(controller.as_raw_fd(), PAGE, READ).expect("status table");
    let vdso = fs::read_to_string("/proc/self/maps")
        .expect("maps")
        .lines()
        .find(|line| line.ends_with("[vvar]"))
        .and_then(|line| u64::from_str_radix(line.split('-').next()?, 16).ok())
        .expect("a [vvar] mapping");
    let books = Books::amid();
    for (what, addr, expected) in [
        ("an import's mapping", pair.window.addr(), NOT_EXPORTABLE),
        ("the kernel's time page", vdso, NOT_EXPORTABLE),
    ] {
        let seen = raw::create(&controller, addr, PAGE as u64).map(drop);
        assert_eq!(seen, Err(expected), "{what}");
    }
    let seen = raw::create(&controller, table.addr(), PAGE as u64).map(drop);
    assert!(seen.is_err(), "the status table: {seen:?}");
    books.balance();
}
