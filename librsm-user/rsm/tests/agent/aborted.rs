// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events of a connection that has ended: what is pending stays, nothing comes any more, and
//! who asked for it is told.

use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{kill, SaFlags, Signal};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{asleep_in, spawn, Shared, Steps};
use crate::common::raw::{self, failure, PAGE};
use crate::common::{rounds, wait_until};
use crate::events::{assert_takes, await_sleep, handle, PATIENCE_MS};
use crate::readiness::{poll, EVERYTHING};
use crate::{Pair, ABORTED, TIMEOUT};

/// A segment whose import is told of the end.
fn told() -> Pair {
    Pair::with(Map::anonymous(2 * PAGE), 0, RSM_IMPORT_WAKE_ON_ABORT)
}

type End = (&'static str, fn(&Pair));

/// The ways in which an exporter ends a connection.
const ENDS: &[End] = &[
    ("unpublish", |pair| {
        raw::unpublish(&pair.export).expect("unpublish")
    }),
    ("destroy", |pair| {
        raw::destroy(&pair.export).expect("destroy")
    }),
    ("munmap", |pair| {
        // SAFETY: a part of our own mapping.
        let result = unsafe { libc::munmap(pair.memory.at(0).cast(), PAGE) };
        assert_eq!(result, 0, "munmap");
    }),
];

#[test]
fn what_is_pending_stays_and_nothing_comes() {
    const ID: u32 = 0x60_5000;
    let books = Books::open();
    let pair = Pair::new(2);
    raw::unpublish(&pair.export).expect("unpublish");
    let node = raw::local_node(&pair.controller);
    let list = [rsm_access_entry { node, perm: 0o666 }];
    raw::publish(&pair.export, ID, &list).expect("publish");
    let first = raw::connect(&pair.controller, ID, 0o600).expect("connect");
    for _ in 0..3 {
        raw::post(&pair.export, 0).expect("post");
        raw::post(&first, 0).expect("post");
    }
    raw::unpublish(&pair.export).expect("unpublish");
    raw::post(&pair.export, 0).expect("to nobody");
    raw::publish(&pair.export, ID, &list).expect("publish under the same id");
    let second = raw::connect(&pair.controller, ID, 0o600).expect("connect");
    raw::post(&pair.export, 0).expect("post");
    assert_eq!(raw::post(&first, 0), Err(ABORTED), "its segment is gone");
    assert_eq!(raw::post(&second, 0), Ok(()));
    assert_takes("aborted before the posts", 0, &pair.import);
    assert_takes("aborted with events pending", 3, &first);
    assert_takes("connected anew", 1, &second);
    assert_takes("export", 4, &pair.export);
    drop((first, second, pair));
    books.balance();
}

#[test]
fn posting_fails() {
    for (what, end) in ENDS {
        for flags in [0, RSM_IMPORT_WAKE_ON_ABORT, RSM_IMPORT_SIGBUS] {
            let pair = Pair::with(Map::anonymous(2 * PAGE), 0, flags);
            raw::post(&pair.import, 0).expect("post");
            end(&pair);
            for flags in [0, RSM_EVENT_NO_ACCUMULATE] {
                assert_eq!(raw::post(&pair.import, flags), Err(ABORTED), "{what}");
            }
            assert_takes(what, 1, &pair.export);
        }
    }
}

#[test]
fn waiting_goes_on_for_those_who_did_not_ask() {
    let books = Books::open();
    let interrupted = failure(Errno::EINTR, RSM_STATUS_INTERRUPTED);
    for (what, end) in ENDS {
        let pair = Pair::new(2);
        let waiters = [&pair.import.fd, &pair.export].map(|segment| {
            spawn(move || {
                handle(Signal::SIGUSR1, SaFlags::empty());
                assert_eq!(raw::wait(segment, -1), Err(interrupted));
            })
        });
        let poller = spawn(|| {
            handle(Signal::SIGUSR1, SaFlags::empty());
            assert_eq!(poll(&pair.import, EVERYTHING, -1), 0, "interrupted");
            assert_eq!(Errno::last(), Errno::EINTR);
        });
        waiters.iter().for_each(await_sleep);
        wait_until("it polls", 150, || asleep_in(poller.pid, libc::SYS_poll));
        end(&pair);
        for segment in [&pair.import.fd, &pair.export] {
            assert_eq!(raw::wait(segment, 0), Err(TIMEOUT), "{what}");
            assert_eq!(raw::wait(segment, 50), Err(TIMEOUT), "{what}");
            assert_eq!(poll(segment, EVERYTHING, 0), 0, "{what}");
        }
        // They have slept through it; only the signal wakes them.
        waiters.iter().for_each(await_sleep);
        for process in waiters.into_iter().chain([poller]) {
            kill(process.pid, Signal::SIGUSR1).expect("kill");
            process.join();
        }
    }
    books.balance();
}

#[test]
fn those_who_asked_are_woken() {
    let books = Books::open();
    for (what, end) in ENDS {
        let pair = told();
        // All of them, not one.
        let waiters = [-1, PATIENCE_MS, -1].map(|ms| {
            let import = &pair.import;
            spawn(move || assert_eq!(raw::wait(import, ms), Err(ABORTED)))
        });
        let pollers = [libc::POLLRDNORM, 0].map(|events| {
            let import = &pair.import;
            spawn(move || assert_eq!(poll(import, events, -1), libc::POLLHUP))
        });
        waiters.iter().for_each(await_sleep);
        wait_until("they poll", 150, || {
            pollers
                .iter()
                .all(|poller| asleep_in(poller.pid, libc::SYS_poll))
        });
        assert_eq!(raw::wait(&pair.import, 0), Err(TIMEOUT), "{what}: before");
        assert_eq!(poll(&pair.import, EVERYTHING, 0), 0, "{what}: before");
        end(&pair);
        for process in waiters.into_iter().chain(pollers) {
            process.join();
        }
        for ms in [0, 50, -1] {
            assert_eq!(raw::wait(&pair.import, ms), Err(ABORTED), "{what}: after");
        }
        assert_eq!(poll(&pair.import, EVERYTHING, -1), libc::POLLHUP, "{what}");
    }
    books.balance();
}

#[test]
fn they_get_what_is_pending_first() {
    for (what, end) in ENDS {
        let pair = told();
        for _ in 0..3 {
            raw::post(&pair.export, 0).expect("post");
        }
        assert_eq!(poll(&pair.import, EVERYTHING, 0), libc::POLLRDNORM);
        assert_eq!(raw::wait(&pair.import, -1), Ok(()), "{what}: while live");
        end(&pair);
        for ms in [0, -1] {
            let seen = poll(&pair.import, EVERYTHING, 0);
            assert_eq!(seen, libc::POLLRDNORM | libc::POLLHUP, "{what}");
            assert_eq!(raw::wait(&pair.import, ms), Ok(()), "{what}: pending");
        }
        assert_eq!(raw::wait(&pair.import, -1), Err(ABORTED), "{what}");
        assert_eq!(poll(&pair.import, EVERYTHING, 0), libc::POLLHUP, "{what}");
    }
}

/// The option changes nothing else: windows become zero memory, and events come as always.
#[test]
fn the_rest_is_as_without() {
    let books = Books::open();
    let pair = told();
    let plain = pair.connect();
    raw::post(&pair.export, 0).expect("post");
    raw::post(&pair.import, 0).expect("post");
    assert_takes("import", 1, &pair.import);
    assert_takes("plain import", 1, &plain);
    assert_takes("export", 1, &pair.export);
    pair.window.assert_marked(crate::OLD, 0);
    pair.destroy();
    pair.window.assert_zero();
    assert_eq!(raw::wait(&pair.import, 0), Err(ABORTED));
    assert_eq!(raw::wait(&plain, 0), Err(TIMEOUT), "each as it asked");
    drop((plain, pair));
    books.balance();
}

#[test]
fn the_exporters_death_wakes_too() {
    let books = Books::open();
    let steps = Steps::new();
    let exporter = spawn(|| {
        let pair = Pair::new(1);
        steps.pass(pair.id);
        steps.reach(0);
        steps.await_step(1);
    });
    exporter.await_step(&steps, 0);
    let controller = raw::controller();
    let flags = RSM_IMPORT_WAKE_ON_ABORT;
    let import = raw::connect_with(&controller, steps.passed(), 0o600, flags).expect("connect");
    let waiter = spawn(|| assert_eq!(raw::wait(&import, -1), Err(ABORTED)));
    await_sleep(&waiter);
    exporter.kill();
    waiter.join();
    drop((import, controller, steps));
    books.balance();
}

/// Going to sleep and being told at the same time.
#[test]
fn no_wake_up_is_lost() {
    let books = Books::open();
    // SAFETY: atomics may be zero.
    let shared: Shared<(AtomicU32, AtomicU32)> = unsafe { Shared::zeroed() };
    let (published, waiting) = (&shared.0, &shared.1);
    let turns = rounds(500) as u32;
    let pair = Pair::new(1);
    raw::unpublish(&pair.export).expect("unpublish");
    let spin_until = |condition: &dyn Fn() -> bool| {
        while !condition() {
            std::thread::yield_now();
        }
    };
    let importer = spawn(|| {
        let controller = raw::controller();
        for turn in 1..=turns {
            spin_until(&|| published.load(Ordering::SeqCst) == turn);
            let flags = RSM_IMPORT_WAKE_ON_ABORT;
            let id = 0x60_5001;
            let import = raw::connect_with(&controller, id, 0, flags).expect("connect");
            waiting.store(turn, Ordering::SeqCst);
            match turn % 2 {
                0 => assert_eq!(raw::wait(&import, PATIENCE_MS), Err(ABORTED), "turn {turn}"),
                _ => assert_eq!(poll(&import, EVERYTHING, PATIENCE_MS), libc::POLLHUP),
            }
        }
    });
    for turn in 1..=turns {
        raw::publish(&pair.export, 0x60_5001, &[]).expect("publish");
        published.store(turn, Ordering::SeqCst);
        spin_until(&|| {
            assert!(!importer.has_ended(), "the importer is gone");
            waiting.load(Ordering::SeqCst) == turn
        });
        (0..turn % 100 * 20).for_each(|_| std::hint::spin_loop());
        raw::unpublish(&pair.export).expect("unpublish");
    }
    importer.join();
    drop((pair, shared));
    books.balance();
}
