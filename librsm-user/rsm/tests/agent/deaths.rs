// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exporters that go away: however they do it, and whoever else has their descriptors.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{execvp, pipe};

use crate::common::backing::HUGE;
use crate::common::books::Books;
use crate::common::memory::{READ, WRITE};
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::rounds;
use crate::exporter::{exit, huge, leave_heir, run_exporter, small, Exporter};
use crate::{Remote, ABORTED, NOT_PUBLISHED};

const EXEC: i32 = libc::PROT_EXEC;

#[track_caller]
fn assert_gone(remote: &Remote) {
    remote.assert_taken_back();
    let again = raw::connect(&remote.controller, remote.id, 0o400).map(drop);
    assert_eq!(again, Err(NOT_PUBLISHED));
    assert_eq!(raw::post(&remote.import, 0), Err(ABORTED));
}

#[test]
fn exit_with_and_without_heirs() {
    for heirs in [0, 1, 3] {
        for area in [small, huge] {
            let books = Books::open();
            let steps = Steps::new();
            let (process, remote) = run_exporter(&steps, area, |_| {
                (0..heirs).for_each(|_| leave_heir(&steps));
                steps.await_step(1);
                exit()
            });
            steps.reach(1);
            process.join();
            assert_gone(&remote);
            steps.reach(15);
            drop((remote, steps));
            books.balance();
        }
    }
}

/// A huge page's entry that is split is looked at, which must not keep the address space in use when
/// the exporter exits meanwhile.
#[test]
fn exit_while_it_is_looked_at() {
    for _ in 0..rounds(20) {
        let books = Books::open();
        let steps = Steps::new();
        let (process, remote) = run_exporter(&steps, huge, |exporter| {
            leave_heir(&steps);
            exporter.protect(7, 1, READ | WRITE | EXEC);
            exporter.protect((HUGE / PAGE) as isize + 7, 1, READ | WRITE | EXEC);
            exit()
        });
        process.join();
        assert_gone(&remote);
        steps.reach(15);
        drop((remote, steps));
        books.balance();
    }
}

#[test]
fn sigkill_with_and_without_an_heir() {
    for heirs in [0, 1] {
        let books = Books::open();
        let steps = Steps::new();
        let (process, remote) = run_exporter(&steps, small, |_| {
            (0..heirs).for_each(|_| leave_heir(&steps));
            steps.reach(1);
            loop {
                std::thread::park();
            }
        });
        process.await_step(&steps, 1);
        process.kill();
        assert_gone(&remote);
        steps.reach(15);
        drop((remote, steps));
        books.balance();
    }
}

#[test]
fn a_crash() {
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, small, |_| {
        leave_heir(&steps);
        steps.await_step(1);
        // SAFETY: ends the process.
        unsafe { std::ptr::null_mut::<u8>().wrapping_add(8).write_volatile(1) }
    });
    steps.reach(1);
    process.join_killed(Signal::SIGSEGV);
    assert_gone(&remote);
    steps.reach(15);
    drop((remote, steps));
    books.balance();
}

/// What the heir can do with the segment of a parent that is gone.
#[test]
fn the_heir_has_a_dead_segment() {
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, small, |exporter: &Exporter| {
        let heir = spawn(|| {
            set_pdeathsig(None::<Signal>).expect("prctl");
            let export = &exporter.export;
            steps.reach(1);
            steps.await_step(2);
            assert_eq!(raw::post(export, 0), Ok(()), "to nobody");
            assert_eq!(raw::wait(export, 0), Ok(()), "posted before the end");
            assert_eq!(raw::wait(export, 0), Err(crate::TIMEOUT));
            assert_eq!(raw::publish(export, 0, &[]), Err(crate::NOT_CREATOR));
            assert_eq!(raw::unpublish(export), Err(NOT_PUBLISHED));
            assert_eq!(raw::destroy(export), Err(crate::NOT_CREATOR));
            steps.reach(3);
        });
        std::mem::forget(heir);
        steps.await_step(4);
        exit()
    });
    process.await_step(&steps, 1);
    raw::post(&remote.import, 0).expect("post");
    steps.reach(4);
    process.join();
    assert_gone(&remote);
    steps.reach(2);
    steps.await_step(3);
    drop((remote, steps));
    books.balance();
}

/// Replaces the process by one that says so.
fn exec_echo(output: &OwnedFd) {
    // SAFETY: standard output of this process.
    assert_eq!(unsafe { libc::dup2(output.as_raw_fd(), 1) }, 1);
    let words = ["echo", "done"].map(|word| CString::new(word).expect("no zero"));
    let error = execvp(&words[0], &words).expect_err("exec returns only if it fails");
    panic!("exec of echo: {error}");
}

/// By the time the new program runs. The export descriptor is closed by exec, or passed on
/// to it, or held by a child: it is the address space that counts.
#[test]
fn exec_ends_it() {
    for (passed_on, heirs) in [(false, 0), (true, 0), (false, 1)] {
        let books = Books::open();
        let steps = Steps::new();
        let (input, output) = pipe().expect("pipe");
        let (process, remote) = run_exporter(&steps, small, |exporter| {
            (0..heirs).for_each(|_| leave_heir(&steps));
            if passed_on {
                // SAFETY: a flag of a descriptor of ours.
                unsafe { libc::fcntl(exporter.export.as_raw_fd(), libc::F_SETFD, 0) };
            }
            steps.await_step(1);
            exec_echo(&output);
        });
        steps.reach(1);
        let mut said = [0; 5];
        File::from(input).read_exact(&mut said).expect("echo");
        assert_eq!(&said, b"done\n");
        assert_gone(&remote);
        process.join();
        steps.reach(15);
        drop((remote, steps, output));
        books.balance();
    }
}

/// exec that fails changes nothing.
#[test]
fn exec_that_fails_does_not() {
    let books = Books::open();
    let steps = Steps::new();
    let (process, remote) = run_exporter(&steps, small, |_| {
        let words = [CString::new("/no/such/program").expect("no zero")];
        assert!(execvp(&words[0], &words).is_err());
        steps.reach(1);
        steps.await_step(2);
    });
    process.await_step(&steps, 1);
    assert!(remote.live());
    remote.window.assert_marked(crate::OLD, 1);
    steps.reach(2);
    process.join();
    assert_gone(&remote);
    drop((remote, steps));
    books.balance();
}

/// Exporters that are killed at any moment: while they create, publish, rebind and destroy.
#[test]
fn killed_in_the_middle_of_it() {
    let books = Books::open();
    for turn in 0..crate::common::rounds(60) {
        let steps = Steps::new();
        let process = spawn(|| {
            let other = small();
            steps.reach(0);
            loop {
                let exporter = Exporter::of(small());
                let remote = Remote::of(exporter.id);
                let len = (exporter.pages * raw::PAGE) as u64;
                raw::rebind(&exporter.export, other.addr(), len).expect("rebind");
                remote.window.touch(0);
                raw::unpublish(&exporter.export).expect("unpublish");
                raw::destroy(&exporter.export).expect("destroy");
            }
        });
        process.await_step(&steps, 0);
        (0..turn * 1000).for_each(|_| std::hint::spin_loop());
        process.kill();
    }
    books.balance();
}
