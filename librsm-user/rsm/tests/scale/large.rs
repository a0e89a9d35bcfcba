// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long segments: kernel memory grows with their extents and with nothing else.

use nix::sys::resource::{setrlimit, Resource};

use crate::common::backing::{huge_memory, HUGE};
use crate::common::books::Books;
use crate::common::debug_kernel;
use crate::common::memory::Map;
use crate::common::raw::{self, PAGE};
use crate::memory_of::assert_memory;
use crate::scattered::{scattered_huge_memory, HugeFiles, GIB};

/// Fewer where everything takes longer.
fn copies(number: usize) -> usize {
    if debug_kernel() {
        number / 2
    } else {
        number
    }
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
