// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rebind that fails: with which error, in which order, and that nothing has changed then.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::backing::{memfd, RegularFile};
use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::in_child;
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::rebind::{become_limited, pair, small, unmap};
use crate::{DEAD, DENIED, NEW, NOT_CREATOR, NO_MEMORY, OLD};

const NOT_ALLOWED: Failure = failure(Errno::EOPNOTSUPP, RSM_STATUS_REBIND_NOT_ALLOWED);
const BAD_LENGTH: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_LENGTH);
pub const BAD_ADDR: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);

const LEN: u64 = 2 * PAGE as u64;

/// Lengths that are not [`LEN`].
const LENGTHS: [u64; 7] = [0, 1, PAGE as u64, LEN - 1, LEN + 1, 2 * LEN, u64::MAX];

#[test]
fn what_is_asked_comes_before_the_memory() {
    // Nothing of another test is left.
    Books::open();
    let pair = pair(small(2, OLD));
    let create = |flags| {
        let addr = pair.memory.addr();
        raw::create_with(&pair.controller, addr, LEN, flags).expect("create")
    };
    let (fixed, fixed_dead) = (create(0), create(0));
    let dead = create(RSM_EXPORT_ALLOW_REBIND);
    raw::destroy(&dead).expect("destroy");
    raw::destroy(&fixed_dead).expect("destroy");
    let new = small(3, NEW);
    unmap(&new, 2, 1);
    let top = u64::MAX - 4095;
    let (good, hole) = (new.addr(), new.addr() + LEN);
    let addresses = [good, good + 1, hole, 0, top, pair.memory.addr()];
    let books = Books::amid();
    for len in LENGTHS.into_iter().chain([LEN]) {
        for addr in addresses {
            for segment in [&fixed, &fixed_dead] {
                let seen = raw::rebind(segment, addr, len);
                assert_eq!(seen, Err(NOT_ALLOWED), "{len} bytes at {addr:#x}");
            }
        }
    }
    in_child(|| {
        for len in LENGTHS.into_iter().chain([LEN]) {
            for addr in addresses {
                let seen = raw::rebind(&fixed, addr, len);
                assert_eq!(seen, Err(NOT_ALLOWED), "{len} bytes at {addr:#x}");
                for segment in [&pair.export, &dead] {
                    let seen = raw::rebind(segment, addr, len);
                    assert_eq!(seen, Err(NOT_CREATOR), "{len} bytes at {addr:#x}");
                }
            }
        }
    });
    for addr in addresses {
        for len in LENGTHS {
            for segment in [&pair.export, &dead] {
                let seen = raw::rebind(segment, addr, len);
                assert_eq!(seen, Err(BAD_LENGTH), "{len} bytes at {addr:#x}");
            }
        }
        assert_eq!(raw::rebind(&dead, addr, LEN), Err(DEAD), "{addr:#x}");
    }
    for addr in [good + 1, good + 2048, hole + 8, top, top - 8] {
        let seen = raw::rebind(&pair.export, addr, LEN);
        assert_eq!(seen, Err(BAD_ADDR), "at {addr:#x}");
    }
    books.balance();
    pair.window.assert_marked(OLD, 0);
    assert_eq!(raw::rebind(&pair.export, good, LEN), Ok(()));
    pair.window.assert_marked(NEW, 0);
}

/// Maps a page of a file over one of an area.
fn map_over(area: &Map, page: usize, file: &File) {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let place = area.at(page * PAGE).cast();
    // SAFETY: over memory of ours.
    let base = unsafe { libc::mmap(place, PAGE, READ | WRITE, flags, file.as_raw_fd(), 0) };
    assert_eq!(base, place, "mmap: {}", Errno::last());
}

#[test]
fn memory_that_cannot_be_exported() {
    let books = Books::open();
    let pair = pair(small(2, OLD));
    let (regular, file) = (RegularFile::new(PAGE), memfd(PAGE));
    // Good, good, read-only, read-only, a hole, good, of a regular file, of a file in memory,
    // good.
    let area = small(9, NEW);
    area.protect(2 * PAGE, 2 * PAGE, READ).expect("mprotect");
    unmap(&area, 4, 1);
    map_over(&area, 6, &regular.file);
    map_over(&area, 7, &file);
    let table = Map::shared(pair.controller.as_raw_fd(), 2 * PAGE, READ).expect("status table");
    let page = |n: usize| area.addr() + (n * PAGE) as u64;
    for (what, addr, expected) in [
        ("good, then read-only", page(1), DENIED),
        ("read-only", page(2), DENIED),
        ("read-only, then a hole", page(3), BAD_ADDR),
        ("a hole, then good", page(4), BAD_ADDR),
        ("good, then a regular file", page(5), BAD_ADDR),
        ("a regular file", page(6), BAD_ADDR),
        ("nothing", 0, BAD_ADDR),
        ("the end of user space", 0x7fff_ffff_e000, BAD_ADDR),
        ("the kernel's half", 0xffff_8000_0000_0000, BAD_ADDR),
        ("an import's window", pair.window.addr(), BAD_ADDR),
    ] {
        assert_eq!(
            raw::rebind(&pair.export, addr, LEN),
            Err(expected),
            "{what}"
        );
        assert_eq!(
            Books::private_now().0,
            books.private().0 + 8,
            "VmPin: {what}"
        );
    }
    let refused = raw::rebind(&pair.export, table.addr(), LEN);
    assert!(refused.is_err(), "the status table");
    pair.window.assert_marked(OLD, 0);
    pair.memory.store(8, 5);
    assert_eq!(pair.window.load(8), 5, "the old memory, still");
    assert_eq!(raw::rebind(&pair.export, page(7), LEN), Ok(()), "two kinds");
    assert_eq!(pair.window.load(0), 0, "the file's");
    assert_eq!(pair.window.load(PAGE), NEW | 8);
    assert_eq!(raw::rebind(&pair.export, page(0), LEN), Ok(()));
    pair.window.assert_marked(NEW, 0);
    drop((pair, area, table, file, regular));
    books.balance();
}

/// The limit on locked memory comes before what the memory is like.
#[test]
fn the_limit_comes_before_the_memory() {
    let books = Books::open();
    in_child(|| {
        become_limited(4112, 3);
        let (pair, area) = (pair(small(2, OLD)), small(4, NEW));
        area.protect(0, PAGE, READ).expect("mprotect");
        unmap(&area, 3, 1);
        let attempt = |addr| raw::rebind(&pair.export, addr, 2 * PAGE as u64);
        for page in 0..3 {
            let addr = area.addr() + page * PAGE as u64;
            assert_eq!(attempt(addr), Err(NO_MEMORY), "page {page}");
            assert_eq!(attempt(addr + 8), Err(BAD_ADDR), "page {page}");
        }
        pair.window.assert_marked(OLD, 0);
    });
    books.balance();
}
