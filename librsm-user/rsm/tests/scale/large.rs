// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long segments: kernel memory grows with their extents and with nothing else.

use std::fs;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::resource::{setrlimit, Resource};

use crate::common::backing::{collapse, huge_memory, memfd, HUGE};
use crate::common::books::Books;
use crate::common::debug_kernel;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, PAGE};
use crate::memory_of::assert_memory;

const GIB: usize = 1 << 30;

/// Fewer where everything takes longer.
fn copies(number: usize) -> usize {
    if debug_kernel() {
        number / 2
    } else {
        number
    }
}

/// Has files in memory consist of huge pages, until it is dropped.
struct HugeFiles {
    before: String,
}

const SHMEM_ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

impl HugeFiles {
    fn new() -> Self {
        let modes = fs::read_to_string(SHMEM_ENABLED).expect("shmem_enabled");
        let chosen = modes.split(['[', ']']).nth(1);
        let before = chosen.expect("a mode is chosen").to_owned();
        fs::write(SHMEM_ENABLED, "always").expect("shmem_enabled");
        Self { before }
    }
}

impl Drop for HugeFiles {
    fn drop(&mut self) {
        fs::write(SHMEM_ENABLED, &self.before).expect("shmem_enabled");
    }
}

/// KiB of huge pages in files in memory, in the whole system.
fn huge_files_kib() -> u64 {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("meminfo");
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("ShmemHugePages:"));
    let kib = line.expect("ShmemHugePages").trim_end_matches("kB").trim();
    kib.parse().expect("a number")
}

/// Memory of `pieces` huge pages of which none follows the one before it in physical memory: as
/// many extents as huge pages can be. There are few behind it, which come again and again.
fn scattered_huge_memory(pieces: usize) -> Map {
    const FILE: usize = 16;
    let before = huge_files_kib();
    let file = memfd(FILE * HUGE);
    let all = Map::shared(file.as_raw_fd(), FILE * HUGE, READ | WRITE).expect("map");
    all.mark(1);
    let kib = || huge_files_kib() - before;
    let wanted = (FILE * HUGE) as u64 >> 10;
    collapse(&all, || kib() == wanted);
    assert_eq!(kib(), wanted, "KiB of huge pages");
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let reserved = Map::new((pieces + 1) * HUGE, READ | WRITE, flags, -1, 0).expect("addresses");
    let skip = reserved.addr().next_multiple_of(HUGE as u64) - reserved.addr();
    for piece in 0..pieces {
        // From the last to the first.
        let offset = (FILE - 1 - piece % FILE) * HUGE;
        let at = reserved.at(skip as usize + piece * HUGE);
        // SAFETY: replaces a part of a mapping of ours.
        let mapped = unsafe {
            libc::mmap(
                at.cast(),
                HUGE,
                READ | WRITE,
                libc::MAP_SHARED | libc::MAP_FIXED,
                file.as_raw_fd(),
                offset as i64,
            )
        };
        assert_eq!(mapped, at.cast(), "piece {piece}");
    }
    reserved
}

/// The worst that huge pages can be: no two of them adjacent, and the segment not aligned.
#[test]
fn four_gibibytes_of_huge_pages() {
    let books = Books::open();
    let huge = HugeFiles::new();
    assert_memory(
        copies(64),
        || {
            let memory = scattered_huge_memory(4 * GIB / HUGE + 1);
            (raw::controller(), memory)
        },
        |(controller, memory)| {
            let first = memory.addr().next_multiple_of(HUGE as u64) + PAGE as u64;
            raw::create(controller, first, 4 * GIB as u64).expect("create")
        },
        |bytes| {
            let extents = 16 * (4 * GIB / HUGE) as u64;
            println!("4 GiB in 2 MiB pieces: {bytes} bytes");
            assert!(bytes > extents / 2, "{bytes}: less than the extents take");
            assert!(bytes < 64 << 10, "{bytes} bytes");
        },
    );
    drop(huge);
    books.balance();
}

fn allow_descriptors(number: u64) {
    setrlimit(Resource::RLIMIT_NOFILE, number, number).expect("setrlimit");
}

/// Ordinary huge pages, as many as there is room for, against a single page.
#[test]
fn kernel_memory_does_not_grow_with_length() {
    let len = 64 * HUGE;
    let assert_cost = |len: usize, most: u64| {
        assert_memory(
            copies(1000),
            || {
                allow_descriptors(1100);
                let memory = match len {
                    PAGE => Map::anonymous(PAGE),
                    _ => huge_memory(len),
                };
                (raw::controller(), memory)
            },
            |(controller, memory)| {
                raw::create(controller, memory.addr(), len as u64).expect("create")
            },
            |bytes| {
                println!("{len} bytes: {bytes} bytes");
                assert!(bytes > 1000, "{len} bytes: only {bytes} bytes");
                assert!(bytes < most, "{len} bytes: {bytes} bytes, not {most}");
            },
        );
    };
    // Objects with their inode and file; the debug kernel makes each of them larger.
    let objects = if debug_kernel() { 24 << 10 } else { 12 << 10 };
    let books = Books::open();
    assert_cost(PAGE, objects);
    assert_cost(len, objects + 16 * (len / HUGE) as u64);
    books.balance();
}
