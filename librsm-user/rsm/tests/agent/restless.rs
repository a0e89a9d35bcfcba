// SPDX-License-Identifier: MIT OR Apache-2.0
//! An exporter whose threads change its mappings without end, so that there is no moment at which
//! no change is under way. What the module has to do about its segments does not end then; nobody
//! else waits for that.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{become_user, spawn, Process, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::{debug_kernel, wait_until};
use crate::{Pair, Slot};

/// More than a queue runs works at a time.
const SEGMENTS: usize = 1_200;

/// Enough threads that some are always in the middle of a change, and enough memory for that.
const THREADS: usize = 6;
const LENGTH: usize = 16 << 20;

/// Exports the first pages of its memory, a segment each. Rests until step 1 is reached, then drops
/// the descriptor of the first, and never rests any more.
fn restless(steps: &Steps) -> Process {
    spawn(|| {
        become_user(4360, 4360, &[]);
        let controller = raw::controller();
        let memory = Map::anonymous(LENGTH);
        (0..LENGTH)
            .step_by(PAGE)
            .for_each(|page| memory.touch(page));
        let create = |page| {
            let addr = memory.addr() + (page * PAGE) as u64;
            raw::create(&controller, addr, PAGE as u64).expect("create")
        };
        let first = create(0);
        let _others: Vec<_> = (1..SEGMENTS).map(create).collect();
        steps.pass(first.as_raw_fd() as u32);
        steps.reach(0);
        steps.await_step(1);
        drop(first);
        let never_rests = || loop {
            // SAFETY: of our own memory, which holds nothing.
            let result = unsafe { libc::madvise(memory.at(0).cast(), LENGTH, libc::MADV_FREE) };
            assert_eq!(result, 0, "madvise: {}", Errno::last());
            steps.reach(2);
        };
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(never_rests);
            }
        });
    })
}

/// Another process's descriptor, for us to have as well.
fn share_descriptor(pid: Pid, number: RawFd) -> OwnedFd {
    let owned = |fd: libc::c_long| {
        let fd = Errno::result(fd).expect("a descriptor");
        // SAFETY: it has just been made for us.
        unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
    };
    // SAFETY: system calls on numbers.
    unsafe {
        let process = owned(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0));
        let process = process.as_raw_fd();
        owned(libc::syscall(libc::SYS_pidfd_getfd, process, number, 0))
    }
}

/// Not on the debug kernel, which takes workers that wait for some seconds for hung.
#[test]
fn holds_up_nobody_else() {
    if debug_kernel() {
        return;
    }
    let books = Books::open();
    let steps = Steps::new();
    let exporter = restless(&steps);
    exporter.await_step(&steps, 0);
    let segment = share_descriptor(exporter.pid, steps.passed() as RawFd);
    let closer = spawn(|| {
        steps.await_step(3);
        drop(segment);
        steps.reach(4);
    });
    steps.reach(1);
    exporter.await_step(&steps, 2);
    println!("whoever closes its segment last");
    steps.reach(3);
    closer.await_step(&steps, 4);
    closer.join();
    println!("another exporter, whose pages are gone");
    let pair = Pair::new(1);
    let slot = Slot::of(&pair.controller, &pair.import);
    // SAFETY: of our own memory.
    unsafe { libc::madvise(pair.memory.at(0).cast(), PAGE, libc::MADV_DONTNEED) };
    wait_until("its segment ends", 150, || !slot.live());
    drop(pair);
    assert!(!exporter.has_ended());
    exporter.kill();
    drop(steps);
    books.balance();
}
