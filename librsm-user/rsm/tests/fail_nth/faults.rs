// SPDX-License-Identifier: MIT OR Apache-2.0
//! Page faults: user space never sees that memory is short, since the kernel tries again.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{pipe, write};

use crate::common::backing::{huge_memory, HUGE};
use crate::common::memory::Map;
use crate::common::pair::{Pair, OLD};
use crate::common::process::{in_child, Steps};
use crate::common::raw::PAGE;
use crate::injection::{Injection, Scope, Spell};
use crate::sweep::Sweep;
use crate::{skipped, window_apart};

#[test]
fn first_touch() {
    if skipped() {
        return;
    }
    for memory in [|| Map::anonymous(3 * PAGE), || huge_memory(HUGE)] {
        let pair = Pair::of(memory());
        let read = Sweep::of("read").single().run(
            || window_apart(&pair.import),
            |window| {
                window.touch(0);
                Ok::<_, Errno>(())
            },
            |window, ()| window.assert_marked(OLD, 0),
        );
        read.assert_all_absorbed();
        let write = Sweep::of("write").single().run(
            || window_apart(&pair.import),
            |window| {
                window.store(PAGE + 8, 7);
                Ok::<_, Errno>(())
            },
            |_, ()| {
                assert_eq!(pair.memory.load(PAGE + 8), 7);
                pair.memory.store(PAGE + 8, 0);
            },
        );
        write.assert_all_absorbed();
    }
}

/// A system call that stores to a window takes the fault in the kernel, which does not try again:
/// it fails as with any other memory, and can be repeated.
#[test]
fn store_by_the_kernel() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let (reader, writer) = pipe().expect("pipe");
    let tally = Sweep::of("read from a pipe").single().run(
        || {
            assert_eq!(write(&writer, &7_u64.to_ne_bytes()), Ok(8));
            window_apart(&pair.import)
        },
        |window| {
            // SAFETY: into a mapping of ours that is only used atomically.
            let read = unsafe { libc::read(reader.as_raw_fd(), window.at(8).cast(), 8) };
            Errno::result(read)
        },
        |window, read| {
            assert_eq!(read, 8);
            assert_eq!(window.load(8), 7);
            pair.memory.store(8, 0);
        },
    );
    tally.assert_failed(0, 3);
}

/// A window on a segment that is gone, in which nothing has been touched since.
fn revoked() -> (Pair, Map) {
    let pair = Pair::new(2);
    let window = window_apart(&pair.import);
    pair.destroy();
    (pair, window)
}

#[test]
fn touch_after_revocation() {
    if skipped() {
        return;
    }
    let sweeps = [
        Sweep::of("touch of a revoked window").single(),
        Sweep::of("the same, in the module").of_module().single(),
    ];
    for sweep in sweeps {
        let tally = sweep.run(
            revoked,
            |(_, window)| {
                window.store(8, 5);
                Ok::<_, Errno>(())
            },
            |(pair, window), ()| {
                assert_eq!(window.load(8), 5);
                assert_eq!(pair.window.load(8), 5, "another window of the process");
                assert_eq!(window.load(0), 0);
                pair.window.store(8, 0);
                window.assert_zero();
            },
        );
        tally.assert_all_absorbed();
    }
}

/// The mapping of a forked child still counts under its parent's view.
#[test]
fn first_touch_of_a_child_after_revocation() {
    if skipped() {
        return;
    }
    let injection = Injection::new(Scope::Module);
    let (pair, window) = revoked();
    window.store(8, 5);
    let mut nth = 1;
    loop {
        let struck = Steps::new();
        in_child(|| {
            let injection = injection.of_child();
            let ((), yes) = injection.strike(nth, Spell::Once, || window.store(16, 6));
            struck.pass(yes.into());
            assert_eq!(window.load(16), 6);
            window.store(16, 0);
            window.assert_zero();
        });
        if struck.passed() == 0 {
            break;
        }
        nth += 1;
    }
    assert!(nth > 3, "a view, a page and its node: {nth}");
    assert_eq!(window.load(8), 5, "the parent's own");
    assert_eq!(window.load(16), 0, "the child's own");
    drop((pair, window));
}
