// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel does to windows: move, split, protect, unmap.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::pair::{Pair, OLD};
use crate::common::raw::PAGE;
use crate::sweep::Sweep;
use crate::{check, skipped, window_apart, APART};

/// Moves all of a window to another place, where its page tables have to be made, too.
fn move_away(window: &Map) -> Result<Map, Errno> {
    let (from, len) = (window.at(0).cast(), window.len);
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
    // SAFETY: our own mapping, to where nothing is.
    let to = unsafe { libc::mremap(from, len, len, flags, APART[1] as *mut libc::c_void) };
    match to {
        libc::MAP_FAILED => Err(Errno::last()),
        // SAFETY: just made.
        to => Ok(unsafe { Map::adopt(to.cast(), len) }),
    }
}

#[test]
fn mremap() {
    if skipped() {
        return;
    }
    for memory in [|| Map::anonymous(3 * PAGE), || huge_memory(HUGE)] {
        let pair = Pair::of(memory());
        // With faults that last the kernel cannot undo what it has begun, and leaves both places.
        let tally = Sweep::of("mremap").single().run(
            || {
                let window = window_apart(&pair.import);
                window.assert_marked(OLD, 0);
                window
            },
            |window| {
                window.touch(0);
                move_away(window)
            },
            |_, moved| moved.assert_marked(OLD, 0),
        );
        tally.assert_failed(3, 0);
        // The new place after the memory has been taken back.
        let window = window_apart(&pair.import);
        let moved = move_away(&window).expect("mremap");
        moved.touch(0);
        pair.destroy();
        moved.assert_zero();
        std::mem::forget(window);
    }
}

/// A window of three pages.
fn prepared(pair: &Pair) -> Map {
    let window = Map::shared(pair.import.as_raw_fd(), 3 * PAGE, READ | WRITE).expect("map");
    window.assert_marked(OLD, 0);
    window
}

#[test]
fn mprotect_of_a_part() {
    if skipped() {
        return;
    }
    let pair = Pair::new(3);
    let tally = Sweep::of("mprotect").inexact().run(
        || prepared(&pair),
        |window| window.protect(PAGE, PAGE, READ),
        |window, ()| window.assert_marked(OLD, 0),
    );
    tally.assert_failed(2, 0);
}

#[test]
fn munmap_of_a_part() {
    if skipped() {
        return;
    }
    let pair = Pair::new(3);
    let tally = Sweep::of("munmap of a part").inexact().run(
        || prepared(&pair),
        // SAFETY: a part of our own mapping.
        |window| check(unsafe { libc::munmap(window.at(PAGE).cast(), PAGE) }),
        |window, ()| {
            assert_eq!(window.load(0), OLD);
            assert_eq!(window.load(2 * PAGE), OLD | 2);
        },
    );
    tally.assert_failed(2, 0);
}

/// The kernel's own part of it can fail, and then the window is as before; the module's cannot.
#[test]
fn munmap() {
    if skipped() {
        return;
    }
    let pair = Pair::new(3);
    let prepare = || prepared(&pair).leak();
    let unmap = |&window: &*mut u8| {
        // SAFETY: our own mapping.
        check(unsafe { libc::munmap(window.cast(), 3 * PAGE) })
    };
    let gone = |&window: &*mut u8, ()| {
        // SAFETY: looks at where a mapping was.
        let result = unsafe { libc::msync(window.cast(), PAGE, libc::MS_ASYNC) };
        assert_eq!(check(result), Err(Errno::ENOMEM), "still mapped");
    };
    Sweep::of("munmap").run(prepare, unmap, gone);
    let tally = Sweep::of("munmap, the module's part")
        .of_module()
        .run(prepare, unmap, gone);
    tally.assert_never_failed();
    // With nothing but the mapping left of the import.
    let tally = Sweep::of("munmap of the last window").of_module().run(
        || {
            let import = pair.connect();
            let window = Map::shared(import.as_raw_fd(), 3 * PAGE, READ).expect("map");
            window.touch(0);
            window.leak()
        },
        unmap,
        gone,
    );
    tally.assert_never_failed();
}
