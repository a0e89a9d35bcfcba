// SPDX-License-Identifier: MIT OR Apache-2.0
//! An exporter that is in the middle of a change of its mappings, and never gets to its end: a process
//! with many threads can have some in one at every moment. What the module has to do about its segments
//! then does not end; nobody else waits for that.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{setrlimit, Resource};
use nix::unistd::Pid;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::Map;
use crate::common::process::{become_user, spawn, stay_on, take_precedence, Process, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::{debug_kernel, wait_until};
use crate::{Pair, Slot};

/// More than a queue runs works at a time.
const SEGMENTS: usize = 1_200;

/// Enough that a thread is almost always in the middle of a change of it.
const LENGTH: usize = 16 << 20;

/// On this processor nobody runs but who takes precedence.
const TAKEN: usize = 1;

/// Exports the first pages of its memory, a segment each. Once step 1 is reached, drops the descriptor
/// of the first, and changes its mappings without end.
fn restless(steps: &Steps) -> Process {
    spawn(|| {
        let descriptors = SEGMENTS as u64 + 100;
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).expect("setrlimit");
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
        stay_on(TAKEN);
        loop {
            memory.advise(libc::MADV_FREE);
            steps.reach(2);
        }
    })
}

/// Has the exporter stand where it is, from step 3 to step 4.
fn take_its_processor(steps: &Steps) -> Process {
    spawn(|| {
        stay_on(TAKEN);
        take_precedence();
        steps.await_step(2);
        steps.reach(3);
        steps.spin_for_step(4);
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

/// Not on the debug kernel, which takes a processor on which nobody else runs for locked up.
#[test]
fn holds_up_nobody_else() {
    // Else the kernel gives some time to whoever has been without for long.
    let server = format!("/sys/kernel/debug/sched/fair_server/cpu{TAKEN}/runtime");
    if debug_kernel() || !Path::new(&server).exists() {
        return;
    }
    let books = Books::open();
    let steps = Steps::new();
    let exporter = restless(&steps);
    exporter.await_step(&steps, 0);
    let segment = share_descriptor(exporter.pid, steps.passed() as RawFd);
    let closer = spawn(|| {
        stay_on(1 - TAKEN);
        steps.await_step(5);
        drop(segment);
        steps.reach(6);
    });
    let limits = [
        // Workers wait, which is what is shown here.
        Knob::set("/proc/sys/kernel/hung_task_timeout_secs", 0),
        Knob::set("/proc/sys/kernel/sched_rt_runtime_us", -1),
        Knob::set(server, 0),
    ];
    let thief = take_its_processor(&steps);
    steps.reach(1);
    thief.await_step(&steps, 3);
    println!("whoever closes its segment last");
    steps.reach(5);
    closer.await_step(&steps, 6);
    closer.join();
    println!("another exporter, whose pages are gone");
    let pair = Pair::new(1);
    let slot = Slot::of(&pair.controller, &pair.import);
    pair.memory.advise(libc::MADV_DONTNEED);
    wait_until("its segment ends", 150, || !slot.live());
    drop((slot, pair));
    assert!(!exporter.has_ended());
    steps.reach(4);
    thief.join();
    drop(limits);
    exporter.kill();
    drop(steps);
    books.balance();
}
