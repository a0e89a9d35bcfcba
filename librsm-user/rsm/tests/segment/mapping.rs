// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a segment may be mapped, and how not.

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::spawn;
use crate::common::raw::{self, PAGE};
use crate::{map, Pair, OLD};

const NONE: i32 = libc::PROT_NONE;
const EXEC: i32 = libc::PROT_EXEC;
const SHARED: i32 = libc::MAP_SHARED;

fn attempt(fd: RawFd, len: usize, protection: i32, flags: i32, offset: usize) -> Result<(), Errno> {
    Map::new(len, protection, flags, fd, offset).map(drop)
}

#[test]
fn private_and_executable_mappings_are_refused() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(4);
    let books = Books::amid();
    let fd = pair.import.fd.as_raw_fd();
    for protection in [NONE, READ, WRITE, READ | WRITE] {
        let private = attempt(fd, PAGE, protection, libc::MAP_PRIVATE, 0);
        assert_eq!(
            private,
            Err(Errno::EINVAL),
            "private, protection {protection}"
        );
        let exec = attempt(fd, PAGE, protection | EXEC, SHARED, 0);
        assert_eq!(
            exec,
            Err(Errno::EPERM),
            "shared, protection {protection} and exec"
        );
        let valid = attempt(fd, PAGE, protection, libc::MAP_SHARED_VALIDATE, 0);
        assert_eq!(valid, Ok(()), "shared, protection {protection}");
    }
    books.balance();
}

#[test]
fn windows_must_lie_in_the_segment() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(4);
    let books = Books::amid();
    let fd = pair.import.fd.as_raw_fd();
    for (offset, pages, expected) in [
        (0, 4, Ok(())),
        (3, 1, Ok(())),
        (1, 3, Ok(())),
        (0, 5, Err(Errno::EINVAL)),
        (1, 4, Err(Errno::EINVAL)),
        (4, 1, Err(Errno::EINVAL)),
        (5, 1, Err(Errno::EINVAL)),
        (1 << 40, 1, Err(Errno::EINVAL)),
        (0, 1 << 20, Err(Errno::EINVAL)),
    ] {
        let seen = attempt(fd, pages * PAGE, READ, SHARED, offset * PAGE);
        assert_eq!(seen, expected, "{pages} pages from page {offset}");
    }
    // At the end of what offsets can say.
    let last = attempt(fd, PAGE, READ, SHARED, i64::MAX as usize - PAGE + 1);
    assert!(last.is_err(), "the last page of all");
    books.balance();
}

#[test]
fn every_window_shows_its_part() {
    let pair = Pair::new(6);
    let fd = pair.import.fd.as_raw_fd();
    for first in 0..6 {
        for pages in 1..=6 - first {
            let window = Map::new(pages * PAGE, READ, SHARED, fd, first * PAGE).expect("map");
            window.assert_marked(OLD, first);
        }
    }
}

#[test]
fn rights_of_the_connection_bound_the_mapping() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(2);
    let books = Books::amid();
    for (perm, protection, expected) in [
        (0o400, READ, Ok(())),
        (0o400, NONE, Ok(())),
        (0o400, WRITE, Err(Errno::EACCES)),
        (0o400, READ | WRITE, Err(Errno::EACCES)),
        (0o200, WRITE, Ok(())),
        (0o200, NONE, Ok(())),
        (0o200, READ, Err(Errno::EACCES)),
        (0o200, READ | WRITE, Err(Errno::EACCES)),
        (0o600, READ, Ok(())),
        (0o600, WRITE, Ok(())),
        (0o600, READ | WRITE, Ok(())),
        (0, NONE, Err(Errno::EACCES)),
        (0, READ, Err(Errno::EACCES)),
        (0, WRITE, Err(Errno::EACCES)),
    ] {
        let import = raw::connect(&pair.controller, pair.id, perm).expect("connect");
        let seen = attempt(import.fd.as_raw_fd(), PAGE, protection, SHARED, 0);
        assert_eq!(
            seen, expected,
            "connected for {perm:#o}, protection {protection}"
        );
    }
    books.balance();
}

#[test]
fn mprotect_cannot_add_rights() {
    let pair = Pair::new(2);
    for (perm, refused, granted) in [
        (
            0o400,
            &[WRITE, READ | WRITE, EXEC, READ | EXEC][..],
            &[NONE, READ][..],
        ),
        (
            0o200,
            &[READ, READ | WRITE, EXEC, WRITE | EXEC],
            &[NONE, WRITE],
        ),
        (
            0o600,
            &[EXEC, READ | WRITE | EXEC],
            &[NONE, READ, WRITE, READ | WRITE],
        ),
    ] {
        let import = raw::connect(&pair.controller, pair.id, perm).expect("connect");
        let window = map(&import, NONE);
        for dead in [false, true] {
            if dead && perm == 0o600 {
                pair.destroy();
            }
            for &protection in granted {
                let seen = window.protect(0, PAGE, protection);
                assert_eq!(seen, Ok(()), "{perm:#o} to {protection}, dead {dead}");
            }
            for &protection in refused {
                let seen = window.protect(0, PAGE, protection);
                assert_eq!(
                    seen,
                    Err(Errno::EACCES),
                    "{perm:#o} to {protection}, dead {dead}"
                );
            }
        }
    }
}

#[test]
fn protection_is_enforced() {
    let pair = Pair::new(2);
    let read_only = raw::connect(&pair.controller, pair.id, 0o400).expect("connect");
    let window = map(&read_only, READ);
    assert_eq!(window.load(0), OLD);
    spawn(|| window.store(0, 1)).join_killed(Signal::SIGSEGV);
    pair.window.protect(0, PAGE, NONE).expect("mprotect");
    spawn(|| pair.window.touch(0)).join_killed(Signal::SIGSEGV);
    pair.window.protect(0, PAGE, READ).expect("mprotect");
    assert_eq!(pair.window.load(0), OLD);
    spawn(|| pair.window.store(0, 1)).join_killed(Signal::SIGSEGV);
    pair.window
        .protect(0, PAGE, READ | WRITE)
        .expect("mprotect");
    pair.window.store(8, 3);
    assert_eq!((pair.memory.load(0), pair.memory.load(8)), (OLD, 3));
}

#[test]
fn export_descriptors_have_nothing_to_map() {
    let pair = Pair::new(1);
    let seen = attempt(pair.export.as_raw_fd(), PAGE, READ, SHARED, 0);
    assert_eq!(seen, Err(Errno::ENODEV));
}

#[test]
fn a_revoked_import_cannot_be_mapped() {
    let pair = Pair::new(2);
    pair.destroy();
    let fd = pair.import.fd.as_raw_fd();
    for protection in [NONE, READ, READ | WRITE] {
        let seen = attempt(fd, PAGE, protection, SHARED, 0);
        assert_eq!(seen, Err(Errno::ECONNABORTED), "protection {protection}");
    }
}

/// `mremap` of a part of `window` to a place of `to`'s, which it replaces.
fn remap(
    window: &Map,
    offset: usize,
    len: usize,
    to: *mut u8,
    new_len: usize,
) -> Result<(), Errno> {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: moves a part of our own mapping over memory of ours.
    let moved = unsafe { libc::mremap(window.at(offset).cast(), len, new_len, flags, to) };
    match moved {
        libc::MAP_FAILED => Err(Errno::last()),
        _ => Ok(()),
    }
}

#[test]
fn mremap_moves_and_shrinks_but_does_not_grow() {
    let books = Books::open();
    let pair = Pair::new(8);
    pair.window.assert_marked(OLD, 0);
    let place = Map::anonymous(16 * PAGE);
    assert_eq!(
        remap(&pair.window, 0, 8 * PAGE, place.at(0), 9 * PAGE),
        Err(Errno::EFAULT)
    );
    pair.window.assert_marked(OLD, 0);
    // Pages 2 and 3 to another place, out of the middle.
    remap(
        &pair.window,
        2 * PAGE,
        2 * PAGE,
        place.at(4 * PAGE),
        2 * PAGE,
    )
    .expect("move");
    assert_eq!(place.load(4 * PAGE), OLD | 2);
    assert_eq!(place.load(5 * PAGE), OLD | 3);
    place.store(5 * PAGE + 8, 11);
    assert_eq!(pair.memory.load(3 * PAGE + 8), 11);
    // Pages 4 to 7, of which only the first two are kept.
    remap(&pair.window, 4 * PAGE, 4 * PAGE, place.at(0), 2 * PAGE).expect("shrink");
    assert_eq!((place.load(0), place.load(PAGE)), (OLD | 4, OLD | 5));
    pair.destroy();
    for (page, what) in [(0, "moved"), (1, "moved"), (4, "moved"), (5, "moved")] {
        assert_eq!(place.load(page * PAGE), 0, "{what} page {page}");
    }
    assert_eq!((pair.window.load(0), pair.window.load(PAGE)), (0, 0));
    drop((pair, place));
    books.balance();
}

#[test]
fn partial_unmap_leaves_the_rest() {
    let books = Books::open();
    let pair = Pair::new(8);
    pair.window.assert_marked(OLD, 0);
    // SAFETY: a part of our own mapping.
    unsafe { assert_eq!(libc::munmap(pair.window.at(3 * PAGE).cast(), 2 * PAGE), 0) };
    assert_eq!(pair.window.load(2 * PAGE), OLD | 2);
    assert_eq!(pair.window.load(5 * PAGE), OLD | 5);
    spawn(|| pair.window.touch(3 * PAGE)).join_killed(Signal::SIGSEGV);
    pair.destroy();
    assert_eq!(pair.window.load(2 * PAGE), 0);
    assert_eq!(pair.window.load(5 * PAGE), 0);
    drop(pair);
    books.balance();
}

#[test]
fn fixed_addresses_and_many_windows() {
    let books = Books::open();
    let pair = Pair::new(8);
    let place = Map::anonymous(64 * PAGE);
    let fd = pair.import.fd.as_raw_fd();
    for (n, page) in [7, 0, 3, 3, 1].into_iter().enumerate() {
        let flags = SHARED | libc::MAP_FIXED;
        let at = place.at(n * 3 * PAGE).cast();
        // SAFETY: replaces a part of a mapping of ours.
        let got = unsafe { libc::mmap(at, PAGE, READ | WRITE, flags, fd, (page * PAGE) as i64) };
        assert_eq!(got, at, "{}", Errno::last());
        assert_eq!(place.load(n * 3 * PAGE), OLD | page as u64);
    }
    place.store(2 * 3 * PAGE + 8, 5);
    assert_eq!(place.load(3 * 3 * PAGE + 8), 5, "two windows on one page");
    pair.destroy();
    for n in 0..5 {
        assert_eq!(place.load(n * 3 * PAGE), 0);
    }
    drop((pair, place));
    books.balance();
}

#[test]
fn advice_does_no_harm() {
    let pair = Pair::new(8);
    pair.window.assert_marked(OLD, 0);
    for advice in [
        libc::MADV_DONTNEED,
        libc::MADV_FREE,
        libc::MADV_REMOVE,
        libc::MADV_PAGEOUT,
        libc::MADV_COLD,
        libc::MADV_MERGEABLE,
        libc::MADV_HUGEPAGE,
        libc::MADV_DONTFORK,
        libc::MADV_DOFORK,
        libc::MADV_WIPEONFORK,
        libc::MADV_KEEPONFORK,
        libc::MADV_DODUMP,
        libc::MADV_POPULATE_READ,
        libc::MADV_POPULATE_WRITE,
    ] {
        // SAFETY: advice on our own mapping. Whether it is taken does not matter.
        unsafe { libc::madvise(pair.window.at(0).cast(), pair.window.len, advice) };
        pair.window.assert_marked(OLD, 0);
        pair.memory.assert_marked(OLD, 0);
    }
    // SAFETY: as above.
    unsafe {
        libc::mlock(pair.window.at(0).cast(), pair.window.len);
        libc::msync(pair.window.at(0).cast(), pair.window.len, libc::MS_SYNC);
        libc::remap_file_pages(pair.window.at(0).cast(), PAGE, 0, 1, 0);
    }
    pair.destroy();
    pair.window.assert_zero();
    pair.memory.assert_marked(crate::NEW, 0);
}
