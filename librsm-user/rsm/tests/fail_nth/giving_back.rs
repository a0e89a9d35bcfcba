// SPDX-License-Identifier: MIT OR Apache-2.0
//! What gives something back never fails for want of memory.

use std::fs::File;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::memory::{Map, READ};
use crate::common::pair::{Pair, OLD};
use crate::common::raw::{self, Connection, Failure, PAGE};
use crate::sweep::{Sweep, Tallies};
use crate::{check, skipped};

/// Takes a segment back in one way or the other.
fn take_back(what: &str, call: fn(&OwnedFd) -> Result<(), Failure>) {
    for memory in [|| Map::anonymous(3 * PAGE), || huge_memory(HUGE)] {
        let tally = Sweep::of(what).run(
            || {
                let pair = Pair::of(memory());
                pair.window.assert_marked(OLD, 0);
                pair
            },
            |pair| call(&pair.export),
            |pair, ()| {
                pair.window.assert_zero();
                pair.memory.assert_marked(OLD, 0);
            },
        );
        // Copied in and out before anything is done, and not afterwards.
        tally.assert_failed_for_copies(2);
    }
}

#[test]
fn unpublish() {
    if !skipped() {
        take_back("unpublish", raw::unpublish);
    }
}

#[test]
fn destroy() {
    if !skipped() {
        take_back("destroy", raw::destroy);
    }
}

/// A pair whose descriptors are numbers.
struct Parts {
    controller: RawFd,
    export: RawFd,
    import: RawFd,
    memory: Map,
    window: Option<Map>,
}

impl Parts {
    fn new(with_window: bool) -> Self {
        let pair = Pair::new(3);
        pair.window.assert_marked(OLD, 0);
        let Pair {
            controller,
            memory,
            export,
            import: Connection { fd, .. },
            window,
            ..
        } = pair;
        Self {
            controller: File::into_raw_fd(controller),
            export: export.into_raw_fd(),
            import: fd.into_raw_fd(),
            memory,
            window: with_window.then_some(window),
        }
    }

    /// Closes the others.
    fn close(&self, others: &[RawFd]) {
        for &fd in others {
            close(fd).expect("close");
        }
        self.memory.assert_marked(OLD, 0);
    }
}

fn close(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: a descriptor that nobody else uses.
    check(unsafe { libc::close(fd) })
}

/// In no order do closes fail.
#[test]
fn close_of_each() {
    if skipped() {
        return;
    }
    for with_window in [true, false] {
        let prepare = || Parts::new(with_window);
        let export = Sweep::of("close of an export").run(
            prepare,
            |parts| close(parts.export),
            |parts, ()| {
                parts.window.iter().for_each(Map::assert_zero);
                parts.close(&[parts.import, parts.controller]);
            },
        );
        let import = Sweep::of("close of an import").run(
            prepare,
            |parts| close(parts.import),
            |parts, ()| parts.close(&[parts.export, parts.controller]),
        );
        let controller = Sweep::of("close of a controller").run(
            prepare,
            |parts| close(parts.controller),
            |parts, ()| parts.close(&[parts.import, parts.export]),
        );
        let last = Sweep::of("close of the last").run(
            || {
                let parts = prepare();
                parts.close(&[parts.export, parts.controller]);
                parts
            },
            |parts| close(parts.import),
            |_, ()| (),
        );
        for tally in [export, import, controller, last] {
            tally.assert_never_failed();
        }
    }
}

/// What an exporter does to its memory fails, if at all, before the segment is told.
fn lose(what: &str, call: fn(&Map) -> Result<(), Errno>) -> Tallies {
    let lost = |what: Sweep| {
        what.run(
            || Pair::new(3),
            |pair| call(&pair.memory),
            |pair, ()| {
                pair.window.assert_zero();
                assert!(raw::publish(&pair.export, 0, &[]).is_err(), "dead");
                let mapped = Map::shared(pair.import.as_raw_fd(), PAGE, READ);
                assert_eq!(mapped.map(drop), Err(Errno::ECONNABORTED));
            },
        )
    };
    lost(Sweep::of(what).of_module()).assert_never_failed();
    lost(Sweep::of(what))
}

#[test]
fn loss_of_the_memory() {
    if skipped() {
        return;
    }
    lose("munmap by the exporter", |memory| {
        // SAFETY: our own mapping, whose handle unmaps what is not there then.
        check(unsafe { libc::munmap(memory.at(0).cast(), memory.len) })
    });
    lose("mprotect by the exporter", |memory| {
        memory.protect(0, memory.len, READ)
    });
}
