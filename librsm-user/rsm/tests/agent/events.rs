// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events: who gets them, how they are counted, how long they are waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{asleep_in, become_user, in_child, spawn, stay_on, Process, Steps};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::common::{rounds, wait_until};
use crate::{Pair, Remote, NEW, TIMEOUT};

const INTERRUPTED: Failure = failure(Errno::EINTR, RSM_STATUS_INTERRUPTED);

/// Longest wait for an event that comes for sure.
pub const PATIENCE_MS: i32 = 150_000;

/// Fails unless just this many events are pending; takes them.
#[track_caller]
pub fn assert_takes(what: &str, number: usize, segment: &impl std::os::fd::AsRawFd) {
    for n in 0..number {
        assert_eq!(raw::wait(segment, 0), Ok(()), "{what}: {n} of {number}");
    }
    assert_eq!(
        raw::wait(segment, 0),
        Err(TIMEOUT),
        "{what}: after {number}"
    );
}

/// Waits until a process is asleep in a command.
#[track_caller]
pub fn await_sleep(process: &Process) {
    wait_until("the process is asleep", 150, || {
        asleep_in(process.pid, libc::SYS_ioctl)
    });
}

#[test]
fn nothing_is_pending_at_first() {
    let pair = Pair::new(1);
    assert_takes("export", 0, &pair.export);
    assert_takes("import", 0, &pair.import);
    let later = pair.connect();
    assert_takes("a later import", 0, &later);
}

#[test]
fn from_imports_to_the_export() {
    let books = Books::open();
    let pair = Pair::new(1);
    let other = pair.connect();
    for (posts, expected) in [(1, 1), (3, 3), (0, 0), (100, 100)] {
        for n in 0..posts {
            let import = if n % 2 == 0 { &pair.import } else { &other };
            raw::post(import, 0).expect("post");
        }
        assert_takes("export", expected, &pair.export);
    }
    assert_takes("import", 0, &pair.import);
    assert_takes("the other import", 0, &other);
    // Rights do not matter, nor do mappings.
    let mute = raw::connect(&pair.controller, pair.id, 0).expect("connect");
    raw::post(&mute, 0).expect("post");
    assert_takes("export", 1, &pair.export);
    drop((mute, other, pair));
    books.balance();
}

#[test]
fn from_the_export_to_all_imports() {
    let books = Books::open();
    let pair = Pair::new(1);
    assert_eq!(raw::post(&pair.export, 0), Ok(()));
    let steps = Steps::new();
    let importers: Vec<_> = (0..4)
        .map(|n| {
            spawn(|| {
                let remote = Remote::of(pair.id);
                steps.reach(n);
                steps.await_step(10);
                assert_takes("connected before the posts", 2, &remote.import);
            })
        })
        .collect();
    (0..4).for_each(|step| steps.await_step(step));
    let mute = raw::connect(&pair.controller, pair.id, 0).expect("connect");
    for _ in 0..2 {
        raw::post(&pair.export, 0).expect("post");
    }
    let late = pair.connect();
    steps.reach(10);
    importers.into_iter().for_each(|importer| importer.join());
    assert_takes("before all posts", 3, &pair.import);
    assert_takes("without rights", 2, &mute);
    assert_takes("connected after the posts", 0, &late);
    assert_takes("export", 0, &pair.export);
    // With nobody left it still succeeds.
    let alone = raw::create(&pair.controller, pair.memory.addr(), PAGE as u64).expect("create");
    assert_eq!(raw::post(&alone, 0), Ok(()), "not published");
    raw::publish(&alone, 0, &[]).expect("publish");
    assert_eq!(raw::post(&alone, 0), Ok(()), "not connected to");
    assert_takes("itself", 0, &alone);
    drop((late, mute, alone, pair, steps));
    books.balance();
}

#[test]
fn segments_do_not_get_each_others_events() {
    let (one, other) = (Pair::new(1), Pair::new(1));
    raw::post(&one.import, 0).expect("post");
    raw::post(&one.export, 0).expect("post");
    assert_takes("export", 0, &other.export);
    assert_takes("import", 0, &other.import);
    assert_takes("export", 1, &one.export);
    assert_takes("import", 1, &one.import);
}

#[test]
fn no_accumulate() {
    let pair = Pair::new(1);
    let once = |segment: &_| raw::post(segment, RSM_EVENT_NO_ACCUMULATE).expect("post");
    (0..3).for_each(|_| once(&pair.import.fd));
    assert_takes("three that do not add up", 1, &pair.export);
    raw::post(&pair.import, 0).expect("post");
    once(&pair.import.fd);
    assert_takes("one, and one that does not add", 1, &pair.export);
    once(&pair.import.fd);
    raw::post(&pair.import, 0).expect("post");
    assert_takes("one that does not add, and one", 2, &pair.export);
    // Each counter by itself.
    let other = pair.connect();
    raw::post(&pair.export, 0).expect("post");
    raw::post(&pair.export, 0).expect("post");
    assert_takes("the other", 2, &other);
    once(&pair.export);
    assert_takes("one with events pending", 2, &pair.import);
    assert_takes("one without", 1, &other);
}

#[test]
fn timeouts() {
    let pair = Pair::new(1);
    for (segment, what) in [(&pair.export, "export"), (&pair.import.fd, "import")] {
        for ms in [0, 1, 200] {
            let start = Instant::now();
            assert_eq!(raw::wait(segment, ms), Err(TIMEOUT), "{what}: {ms} ms");
            let taken = start.elapsed();
            // The longest, were they taken for seconds, would take longer than that.
            let expected = Duration::from_millis(ms as u64)..Duration::from_secs(150);
            assert!(expected.contains(&taken), "{what}: {ms} ms took {taken:?}");
        }
    }
    // What is pending is taken whatever the timeout.
    for ms in [0, 1, 50, i32::MAX, -1, i32::MIN] {
        raw::post(&pair.import, 0).expect("post");
        assert_eq!(raw::wait(&pair.export, ms), Ok(()), "{ms} ms");
    }
    assert_takes("export", 0, &pair.export);
}

/// Sleeps until somebody posts, whatever the timeout.
/// Jiffies may stand behind the clock when a wait begins, where processors are not always let run.
#[test]
fn no_timeout_is_early() {
    let pair = Pair::new(1);
    let wait = |turn: i32| {
        // Whole jiffies, mostly: with others there is more to spare.
        let ms = 4 * (1 + turn % 5);
        // One of them keeps the jiffies.
        stay_on(turn as usize % 2);
        let start = Instant::now();
        let result = raw::wait(&pair.export, ms);
        let taken = start.elapsed();
        let good = result == Err(TIMEOUT) && taken >= Duration::from_millis(ms as u64);
        (!good).then_some((ms, result, taken))
    };
    let done = AtomicBool::new(false);
    let wrong = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| (0..rounds(150) as i32).find_map(wait));
        // As many as there are processors.
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let wrong = waiter.join();
        done.store(true, Ordering::Relaxed);
        wrong.expect("no panic")
    });
    assert_eq!(
        wrong, None,
        "milliseconds, what came of it, and after how long"
    );
}

#[test]
fn waiting_for_as_long_as_it_takes() {
    let books = Books::open();
    for ms in [-1, i32::MIN, PATIENCE_MS, i32::MAX] {
        let pair = Pair::new(1);
        let exporter = spawn(|| assert_eq!(raw::wait(&pair.export, ms), Ok(()), "{ms} ms"));
        let importer = spawn(|| assert_eq!(raw::wait(&pair.import, ms), Ok(()), "{ms} ms"));
        await_sleep(&exporter);
        await_sleep(&importer);
        raw::post(&pair.import, 0).expect("post");
        exporter.join();
        await_sleep(&importer);
        raw::post(&pair.export, 0).expect("post");
        importer.join();
        assert_takes("export", 0, &pair.export);
        assert_takes("import", 0, &pair.import);
    }
    books.balance();
}

extern "C" fn ignore(_: i32) {}

/// Handles a signal by doing nothing, with these flags.
pub fn handle(signal: Signal, flags: SaFlags) {
    let action = SigAction::new(SigHandler::Handler(ignore), flags, SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(signal, &action) }.expect("sigaction");
}

#[test]
fn signals_interrupt_and_do_not_restart() {
    let books = Books::open();
    let pair = Pair::new(1);
    for flags in [SaFlags::empty(), SaFlags::SA_RESTART] {
        for ms in [-1, PATIENCE_MS] {
            let waiter = spawn(|| {
                handle(Signal::SIGUSR1, flags);
                assert_eq!(raw::wait(&pair.export, ms), Err(INTERRUPTED));
            });
            await_sleep(&waiter);
            kill(waiter.pid, Signal::SIGUSR1).expect("kill");
            waiter.join();
        }
    }
    // Nothing has been taken.
    raw::post(&pair.import, 0).expect("post");
    assert_takes("export", 1, &pair.export);
    drop(pair);
    books.balance();
}

/// Nobody handles that.
#[test]
fn a_stop_ends_no_wait_without_end() {
    let books = Books::open();
    let pair = Pair::new(1);
    let waiter = spawn(|| assert_eq!(raw::wait(&pair.export, -1), Ok(())));
    for _ in 0..3 {
        await_sleep(&waiter);
        kill(waiter.pid, Signal::SIGSTOP).expect("kill");
        let stopped = waitpid(waiter.pid, Some(WaitPidFlag::WUNTRACED)).expect("waitpid");
        assert_eq!(stopped, WaitStatus::Stopped(waiter.pid, Signal::SIGSTOP));
        kill(waiter.pid, Signal::SIGCONT).expect("kill");
    }
    raw::post(&pair.import, 0).expect("post");
    waiter.join();
    assert_takes("export", 0, &pair.export);
    drop(pair);
    books.balance();
}

#[test]
fn copies_of_a_descriptor_share_the_counter() {
    let books = Books::open();
    let pair = Pair::new(1);
    let export = pair.export.try_clone().expect("dup");
    let import = pair.import.fd.try_clone().expect("dup");
    for _ in 0..3 {
        raw::post(&import, 0).expect("post by a copy");
        raw::post(&export, 0).expect("post by a copy");
    }
    assert_eq!(raw::wait(&export, 0), Ok(()));
    assert_eq!(raw::wait(&import, 0), Ok(()));
    in_child(|| {
        assert_eq!(raw::wait(&export, 0), Ok(()));
        assert_eq!(raw::wait(&import, 0), Ok(()));
    });
    assert_takes("the original", 1, &pair.export);
    assert_takes("the original", 1, &pair.import);
    drop(import);
    raw::post(&pair.export, 0).expect("post");
    assert_takes("after a copy is closed", 1, &pair.import);
    drop((export, pair));
    books.balance();
}

/// Who has the descriptor may signal and wait, whoever made it.
#[test]
fn children_and_other_users() {
    let pair = Pair::new(1);
    in_child(|| {
        become_user(1001, 2001, &[]);
        raw::post(&pair.export, 0).expect("post");
        raw::post(&pair.import, 0).expect("post");
        assert_takes("import", 1, &pair.import);
        raw::post(&pair.export, 0).expect("post");
    });
    assert_takes("import", 1, &pair.import);
    assert_takes("export", 1, &pair.export);
}

#[test]
fn counters_survive_what_becomes_of_the_segment() {
    let books = Books::open();
    let pair = Pair::with(Map::anonymous(2 * PAGE), RSM_EXPORT_ALLOW_REBIND, 0);
    let new = Map::anonymous(2 * PAGE);
    new.mark(NEW);
    let post = |times| {
        for _ in 0..times {
            raw::post(&pair.import, 0).expect("post");
            raw::post(&pair.export, 0).expect("post");
        }
    };
    post(5);
    raw::rebind(&pair.export, new.addr(), new.len as u64).expect("rebind");
    assert_eq!(raw::wait(&pair.export, 0), Ok(()));
    assert_eq!(raw::wait(&pair.import, 0), Ok(()));
    post(2);
    raw::republish(&pair.export, &[]).expect("republish");
    assert_eq!(raw::wait(&pair.export, 0), Ok(()));
    assert_eq!(raw::wait(&pair.import, 0), Ok(()));
    raw::unpublish(&pair.export).expect("unpublish");
    assert_eq!(raw::wait(&pair.export, 0), Ok(()));
    assert_eq!(raw::wait(&pair.import, 0), Ok(()));
    raw::publish_mode(&pair.controller, &pair.export, 0o666).expect("publish");
    assert_eq!(raw::wait(&pair.export, 0), Ok(()));
    raw::destroy(&pair.export).expect("destroy");
    assert_takes("export: 7, less 4", 3, &pair.export);
    assert_takes("import: 7, less 3", 4, &pair.import);
    drop((pair, new));
    books.balance();
}
