// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long memory with little behind it: the same huge pages again and again.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use nix::libc;

use crate::common::backing::{collapse, memfd, HUGE};
use crate::common::memory::{Map, READ, WRITE};

pub const GIB: usize = 1 << 30;

/// Has files in memory consist of huge pages, until it is dropped.
pub struct HugeFiles {
    before: String,
}

const SHMEM_ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

impl HugeFiles {
    pub fn new() -> Self {
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

/// Bytes of the file behind long memory.
const FILE: usize = 16 * HUGE;

/// A file in memory that the kernel has really made of huge pages.
fn huge_file() -> File {
    let before = huge_files_kib();
    let file = memfd(FILE);
    let all = Map::shared(file.as_raw_fd(), FILE, READ | WRITE).expect("map");
    all.mark(1);
    let kib = || huge_files_kib() - before;
    let wanted = FILE as u64 >> 10;
    collapse(&all, || kib() == wanted);
    assert_eq!(kib(), wanted, "KiB of huge pages");
    file
}

/// So many bytes of addresses, from a huge page's on.
fn addresses(len: usize) -> Map {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    Map::new(len + HUGE, READ | WRITE, flags, -1, 0).expect("addresses")
}

/// The offset of the first huge page's place in a mapping.
pub fn first_huge(map: &Map) -> usize {
    (map.addr().next_multiple_of(HUGE as u64) - map.addr()) as usize
}

/// Maps a part of a file in place of what `map` has at `at`.
pub fn replace(map: &Map, at: usize, file: &File, offset: usize, len: usize) {
    assert!(at + len <= map.len, "{at:#x}: beyond the mapping");
    let place = map.at(at).cast();
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: replaces a part of a mapping of ours.
    let mapped = unsafe {
        let file = file.as_raw_fd();
        libc::mmap(place, len, READ | WRITE, flags, file, offset as i64)
    };
    assert_eq!(mapped, place, "at {at:#x}");
}

/// Memory of `pieces` huge pages of which none follows the one before it in physical memory: as
/// many extents as huge pages can be. There are few behind it, which come again and again.
pub fn scattered_huge_memory(pieces: usize) -> Map {
    let file = huge_file();
    let map = addresses(pieces * HUGE);
    for piece in 0..pieces {
        // From the last to the first.
        let offset = FILE - HUGE - piece * HUGE % FILE;
        replace(&map, first_huge(&map) + piece * HUGE, &file, offset, HUGE);
    }
    map
}

/// Memory of `len` bytes, at least: the same huge pages again and again, in fewer mappings.
pub fn repeated_huge_memory(len: usize) -> Map {
    let file = huge_file();
    let map = addresses(len.next_multiple_of(FILE));
    for at in (0..len).step_by(FILE) {
        replace(&map, first_huge(&map) + at, &file, 0, FILE);
    }
    map
}
