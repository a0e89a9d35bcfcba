// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many who wait, many who post, and some who are killed meanwhile: no event is lost and none
//! is had twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use nix::libc;
use nix::sys::signal::{kill, SaFlags, Signal};

use crate::common::books::Books;
use crate::common::process::{asleep_in, spawn, Shared, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::{rounds, wait_until};
use crate::events::{assert_takes, await_sleep, handle, PATIENCE_MS};
use crate::readiness::{poll, EVERYTHING};
use crate::{Pair, Remote, TIMEOUT};

/// Numbers that processes count together.
struct Counts {
    done: AtomicUsize,
    interrupted: AtomicUsize,
    go: AtomicUsize,
    stop: AtomicUsize,
}

impl Counts {
    fn new() -> Shared<Self> {
        // SAFETY: atomics may be zero.
        unsafe { Shared::zeroed() }
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

fn add(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn a_post_wakes_one_of_two() {
    let books = Books::open();
    for _ in 0..rounds(20) {
        let pair = Pair::new(1);
        let counts = Counts::new();
        let waiters = [0, 1].map(|_| {
            spawn(|| {
                raw::wait(&pair.export, -1).expect("wait");
                add(&counts.done);
            })
        });
        waiters.iter().for_each(await_sleep);
        raw::post(&pair.import, 0).expect("post");
        wait_until("one has it", 150, || counts.done() == 1);
        assert_eq!(raw::wait(&pair.export, 0), Err(TIMEOUT), "taken");
        // The other sleeps, or goes back to sleep.
        let asleep = || {
            let calls = waiters
                .iter()
                .map(|waiter| asleep_in(waiter.pid, libc::SYS_ioctl));
            calls.filter(|&asleep| asleep).count()
        };
        wait_until("the other sleeps", 150, || asleep() == 1);
        assert_eq!(counts.done(), 1);
        raw::post(&pair.import, 0).expect("post");
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_takes("two posts, two takers", 0, &pair.export);
    }
    books.balance();
}

#[test]
fn as_many_posts_as_waiters() {
    const WAITERS: usize = 6;
    let books = Books::open();
    for round in 0..rounds(20) {
        let pair = Pair::new(1);
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| spawn(|| raw::wait(&pair.export, PATIENCE_MS).expect("no event for me")))
            .collect();
        // All of them asleep, or only some.
        if round % 2 == 0 {
            waiters.iter().for_each(await_sleep);
        }
        for _ in 0..WAITERS {
            raw::post(&pair.import, 0).expect("post");
        }
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_takes("all are taken", 0, &pair.export);
    }
    books.balance();
}

/// What was stored before the post is there after the wait.
#[test]
fn to_and_fro() {
    const PAGES: usize = 4;
    let books = Books::open();
    let pair = Pair::new(PAGES);
    let steps = Steps::new();
    let turns = rounds(500) as u64;
    let importer = spawn(|| {
        let remote = Remote::of(pair.id);
        steps.reach(0);
        for turn in 1..=turns {
            raw::wait(&remote.import, PATIENCE_MS).expect("the exporter's event");
            for page in 0..PAGES {
                assert_eq!(remote.window.load(page * PAGE + 8), turn, "page {page}");
                remote.window.store(page * PAGE + 16, turn);
            }
            raw::post(&remote.import, 0).expect("post");
        }
        assert_takes("all are taken", 0, &remote.import);
    });
    importer.await_step(&steps, 0);
    for turn in 1..=turns {
        for page in 0..PAGES {
            pair.memory.store(page * PAGE + 8, turn);
        }
        raw::post(&pair.export, 0).expect("post");
        raw::wait(&pair.export, PATIENCE_MS).expect("the importer's event");
        for page in 0..PAGES {
            assert_eq!(pair.memory.load(page * PAGE + 16), turn, "page {page}");
        }
    }
    importer.join();
    assert_takes("all are taken", 0, &pair.export);
    assert_takes("another import got the same", turns as usize, &pair.import);
    drop((pair, steps));
    books.balance();
}

/// Several post and several take at once; the sum is right.
#[test]
fn a_crowd() {
    const PROCESSES: usize = 3;
    let books = Books::open();
    let pair = Pair::new(1);
    let each = rounds(500);
    let posters: Vec<_> = (0..PROCESSES)
        .map(|_| {
            spawn(|| {
                let remote = Remote::of(pair.id);
                (0..each).for_each(|_| raw::post(&remote.import, 0).expect("post"));
            })
        })
        .collect();
    let takers: Vec<_> = (0..PROCESSES)
        .map(|_| {
            spawn(|| {
                (0..each).for_each(|_| raw::wait(&pair.export, PATIENCE_MS).expect("wait"));
            })
        })
        .collect();
    for process in posters.into_iter().chain(takers) {
        process.join();
    }
    assert_takes("as many taken as posted", 0, &pair.export);
    drop(pair);
    books.balance();
}

/// A wait that is interrupted has taken nothing, one that has taken something says so, and
/// be it that the signal and the event come together.
#[test]
fn interrupted_when_the_event_comes() {
    let books = Books::open();
    let pair = Pair::new(1);
    let counts = Counts::new();
    let turns = rounds(500);
    let waiter = spawn(|| {
        handle(Signal::SIGUSR1, SaFlags::empty());
        counts.go.store(1, Ordering::SeqCst);
        while counts.stop.load(Ordering::SeqCst) == 0 {
            match raw::wait(&pair.export, -1) {
                Ok(()) => add(&counts.done),
                Err(failure) => {
                    assert_eq!(failure.errno, nix::errno::Errno::EINTR);
                    add(&counts.interrupted);
                }
            }
        }
        counts.stop.store(2, Ordering::SeqCst);
    });
    wait_until("it waits", 150, || counts.go.load(Ordering::SeqCst) == 1);
    // Later each signal may come together with an event.
    wait_until("a signal wakes it", 150, || {
        kill(waiter.pid, Signal::SIGUSR1).expect("kill");
        counts.interrupted.load(Ordering::SeqCst) > 0
    });
    let poster = spawn(|| {
        for turn in 0..turns {
            while counts.go.load(Ordering::SeqCst) < turn + 2 {
                std::thread::yield_now();
            }
            raw::post(&pair.import, 0).expect("post");
        }
    });
    for turn in 0..turns {
        if turn % 3 == 0 {
            await_sleep(&waiter);
        }
        counts.go.store(turn + 2, Ordering::SeqCst);
        (0..turn % 50 * 20).for_each(|_| std::hint::spin_loop());
        kill(waiter.pid, Signal::SIGUSR1).expect("kill");
    }
    poster.join();
    wait_until("a post wakes it", 150, || counts.done() > 0);
    counts.stop.store(1, Ordering::SeqCst);
    wait_until("it ends", 150, || {
        kill(waiter.pid, Signal::SIGUSR1).expect("kill");
        counts.stop.load(Ordering::SeqCst) == 2
    });
    waiter.join();
    let mut left = 0;
    while raw::wait(&pair.export, 0).is_ok() {
        left += 1;
    }
    assert_eq!(counts.done() + left, turns, "taken and left, of all posts");
    drop((pair, counts));
    books.balance();
}

/// A waiter is killed while an event comes. If it has not taken the event, another who waits
/// gets it: it is never pending while somebody sleeps.
#[test]
fn killed_when_the_event_comes() {
    let books = Books::open();
    let pair = Pair::new(1);
    for turn in 0..rounds(60) {
        let counts = Counts::new();
        let victim = spawn(|| {
            raw::wait(&pair.export, -1).expect("wait");
            add(&counts.interrupted);
        });
        await_sleep(&victim);
        let survivor = spawn(|| {
            raw::wait(&pair.export, PATIENCE_MS).expect("wait");
            add(&counts.done);
        });
        await_sleep(&survivor);
        if turn % 2 == 0 {
            kill(victim.pid, Signal::SIGKILL).expect("kill");
            (0..turn * 10).for_each(|_| std::hint::spin_loop());
            raw::post(&pair.import, 0).expect("post");
        } else {
            raw::post(&pair.import, 0).expect("post");
            (0..turn * 10).for_each(|_| std::hint::spin_loop());
            kill(victim.pid, Signal::SIGKILL).expect("kill");
        }
        drop(victim);
        wait_until("nothing pending while somebody sleeps", 150, || {
            counts.done() == 1 || poll(&pair.export, EVERYTHING, 0) == 0
        });
        // The victim may have taken it with it.
        let both = counts.interrupted.load(Ordering::SeqCst) + counts.done();
        assert!(both <= 1, "one event was had twice");
        raw::post(&pair.import, 0).expect("post");
        survivor.join();
        while raw::wait(&pair.export, 0).is_ok() {}
    }
    drop(pair);
    books.balance();
}

/// Those who poll do not take anything, not even somebody's wake-up.
#[test]
fn pollers_do_not_stand_in_the_way() {
    let books = Books::open();
    let pair = Pair::new(1);
    for _ in 0..rounds(20) {
        let pollers: Vec<_> = (0..2)
            .map(|_| spawn(|| assert_eq!(poll(&pair.export, EVERYTHING, -1), libc::POLLRDNORM)))
            .collect();
        wait_until("they poll", 150, || {
            pollers
                .iter()
                .all(|poller| asleep_in(poller.pid, libc::SYS_poll))
        });
        // Two of them wait, so that one post is not enough for all.
        let waiters = [0, 1].map(|_| spawn(|| raw::wait(&pair.export, PATIENCE_MS).expect("wait")));
        waiters.iter().for_each(await_sleep);
        raw::post(&pair.import, 0).expect("post");
        raw::post(&pair.import, 0).expect("post");
        waiters.into_iter().for_each(|waiter| waiter.join());
        // What they were woken for may be gone when they look.
        raw::post(&pair.import, 0).expect("post");
        pollers.into_iter().for_each(|poller| poller.join());
        assert_takes("the last", 1, &pair.export);
    }
    drop(pair);
    books.balance();
}
