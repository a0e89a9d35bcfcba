// SPDX-License-Identifier: MIT OR Apache-2.0

//! Event counters: posting, waiting, interruption and abort (`include/uapi/linux/rsm.h`, Events).
//!
//! # Invariant
//!
//! Each post is taken by exactly one wait, or is left in the counter; nobody sleeps while the
//! counter is not 0. What was stored before a post is visible after the wait that takes it. A
//! counter does not grow once abort has returned. Where abort wakes, nobody sleeps after it.
//!
//! # Steps
//!
//! ```text
//! wait          lock the counter; again:
//!               not 0? take one, done; aborted and to be woken? done
//!               interrupted before? give up
//!               waiting + 1; enter the queue; unlock; sleep; leave the queue; lock; waiting - 1
//! post          lock; aborted? then nothing; counter + 1; waiting? unlock; if so, wake the first in
//!               the queue; pollers there? wake them
//! poll          enter the pollers' queue; lock; not 0? done; unlock; sleep; look again
//! abort         lock; aborted; unlock; at some time wake all in the queue, if so asked for
//! end           of a connection to an exporter's counter: aborted; lock; unlock
//! wake          take the waiter out of the queue; make it run
//! signal        mark the waiter; make it run
//! ```
//!
//! Sleep returns at once if the task was made to run since it entered the queue. A waiter that is
//! interrupted looks at the counter once more before it gives up: it may be the one that the post
//! has woken, and then nobody else has been.
//!
//! # Left out
//!
//! A timeout is a signal. The pollers' queue has a lock of its own: whether it is empty is asked
//! without that, of a location that nothing else orders. The counter's end at 2^32 - 1.

use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::collections::VecDeque;
use std::sync::Arc;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None.
    Nothing,
    /// A waiter that was interrupted looks once more.
    LastLook,
    /// A waiter enters the queue before it unlocks the counter.
    QueueBeforeUnlock,
    /// The counter grows before the wake.
    CountBeforeWake,
    /// A wake takes the waiter out of the queue.
    LeaveOnWake,
    /// A waiter that was interrupted leaves the queue.
    LeaveOnSignal,
    /// A waiter that was woken looks at the counter again.
    LookAgain,
    /// Post asks under the lock whether the connection was aborted.
    AskUnderLock,
    /// Abort takes the lock.
    AbortLock,
    /// Abort wakes all.
    WakeAll,
    /// A waiter counts itself before it unlocks the counter.
    CountedBeforeUnlock,
    /// A poller enters its queue before it looks at the counter.
    QueueBeforeLook,
    /// Post looks for pollers after it has counted.
    PollersAfterCount,
    /// A connection's end takes the lock once it has ended.
    EndBeforeLock,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Taken,
    Interrupted,
    Aborted,
}

/// A task, as the scheduler sees it.
struct Task {
    /// Made to run; and a signal is pending.
    run: Mutex<(bool, bool)>,
    runs: Condvar,
}

impl Task {
    fn new() -> Self {
        Self {
            run: Mutex::new((false, false)),
            runs: Condvar::new(),
        }
    }

    fn wake(&self) {
        self.run.lock().unwrap().0 = true;
        self.runs.notify_one();
    }

    fn signal(&self) {
        self.run.lock().unwrap().1 = true;
        self.runs.notify_one();
    }

    /// Returns whether a signal is pending.
    fn sleep(&self) -> bool {
        let mut run = self.run.lock().unwrap();
        while !run.0 && !run.1 {
            run = self.runs.wait(run).unwrap();
        }
        run.0 = false;
        run.1
    }
}

/// The counter of an import with WAKE_ON_ABORT, and two tasks that may wait.
struct World {
    without: Without,
    counter: Mutex<usize>,
    /// Written under the counter's lock.
    aborted: AtomicUsize,
    queue: Mutex<VecDeque<usize>>,
    /// Waiters. Written and read under the counter's lock.
    waiting: AtomicUsize,
    /// Whether there is a poller, the first task: read without a lock.
    polled: AtomicUsize,
    tasks: [Task; 2],
    /// Stored before the post.
    data: AtomicUsize,
}

impl World {
    fn new(without: Without) -> Arc<Self> {
        Arc::new(Self {
            without,
            counter: Mutex::new(0),
            aborted: AtomicUsize::new(0),
            queue: Mutex::new(VecDeque::new()),
            waiting: AtomicUsize::new(0),
            polled: AtomicUsize::new(0),
            tasks: [Task::new(), Task::new()],
            data: AtomicUsize::new(0),
        })
    }

    fn has(&self, step: Without) -> bool {
        self.without != step
    }

    fn enter(&self, me: usize) {
        self.queue.lock().unwrap().push_back(me);
    }

    fn leave(&self, me: usize) {
        self.queue.lock().unwrap().retain(|&other| other != me);
    }

    fn wait(&self, me: usize) -> End {
        let mut counter = self.counter.lock().unwrap();
        let mut interrupted = false;
        let mut woken = false;
        loop {
            let look = !interrupted || self.has(Without::LastLook);
            if look && (*counter > 0 || (woken && !self.has(Without::LookAgain))) {
                *counter = counter.checked_sub(1).expect("event taken twice");
                assert_eq!(self.data.load(Relaxed), 1, "event without its data");
                return End::Taken;
            }
            if self.aborted.load(Relaxed) != 0 {
                return End::Aborted;
            }
            if interrupted {
                return End::Interrupted;
            }
            if self.has(Without::CountedBeforeUnlock) {
                self.count_waiter(1);
            }
            if self.has(Without::QueueBeforeUnlock) {
                self.enter(me);
                drop(counter);
            } else {
                drop(counter);
                self.enter(me);
            }
            if !self.has(Without::CountedBeforeUnlock) {
                self.count_waiter(1);
            }
            interrupted = self.tasks[me].sleep();
            if !interrupted || self.has(Without::LeaveOnSignal) {
                self.leave(me);
            }
            woken = !interrupted;
            counter = self.counter.lock().unwrap();
            self.count_waiter(usize::MAX);
        }
    }

    fn count_waiter(&self, add: usize) {
        let waiting = self.waiting.load(Relaxed);
        self.waiting.store(waiting.wrapping_add(add), Relaxed);
    }

    /// Whether an event can be seen.
    fn look(&self) -> bool {
        *self.counter.lock().unwrap() > 0
    }

    /// Returns once an event can be seen.
    fn poll(&self) {
        if self.has(Without::QueueBeforeLook) {
            self.polled.store(1, Relaxed);
        }
        let mut seen = self.look();
        if !self.has(Without::QueueBeforeLook) {
            self.polled.store(1, Relaxed);
        }
        while !seen {
            self.tasks[0].sleep();
            seen = self.look();
        }
    }

    fn wake(&self, all: bool) {
        let mut queue = self.queue.lock().unwrap();
        let count = if all { queue.len() } else { 1 };
        if self.has(Without::LeaveOnWake) {
            let end = count.min(queue.len());
            for task in queue.drain(..end) {
                self.tasks[task].wake();
            }
        } else {
            for &task in queue.iter().take(count) {
                self.tasks[task].wake();
            }
        }
    }

    fn post(&self) {
        self.data.store(1, Relaxed);
        let early = !self.has(Without::AskUnderLock) && self.aborted.load(Relaxed) != 0;
        let mut polled = 0;
        if !self.has(Without::PollersAfterCount) {
            polled = self.polled.load(Relaxed);
        }
        if !self.has(Without::CountBeforeWake) {
            self.wake(false);
        }
        let mut counter = self.counter.lock().unwrap();
        if early || (self.has(Without::AskUnderLock) && self.aborted.load(Relaxed) != 0) {
            return;
        }
        *counter += 1;
        let waiting = self.waiting.load(Relaxed);
        drop(counter);
        if self.has(Without::CountBeforeWake) && waiting > 0 {
            self.wake(false);
        }
        if self.has(Without::PollersAfterCount) {
            polled = self.polled.load(Relaxed);
        }
        if polled != 0 {
            self.tasks[0].wake();
        }
    }

    /// Returns the counter as it stays unless somebody waits. It is seen under the same lock: another
    /// would do abort's work for it.
    fn abort(&self) -> usize {
        let held = self
            .has(Without::AbortLock)
            .then(|| self.counter.lock().unwrap());
        self.aborted.store(1, Relaxed);
        let left = held.as_ref().map_or(0, |counter| **counter);
        drop(held);
        self.wake(self.has(Without::WakeAll));
        left
    }

    /// Returns the counter as it stays. It is seen under the same lock, as in abort.
    fn end(&self) -> usize {
        if self.has(Without::EndBeforeLock) {
            self.aborted.store(1, Relaxed);
        }
        let left = *self.counter.lock().unwrap();
        if !self.has(Without::EndBeforeLock) {
            self.aborted.store(1, Relaxed);
        }
        left
    }
}

fn waiter(world: &Arc<World>, me: usize) -> thread::JoinHandle<End> {
    let world = world.clone();
    thread::spawn(move || world.wait(me))
}

/// A post and two waiters, of which the first is interrupted. The second must get the event if the
/// first does not.
pub fn interrupted(without: Without) {
    let world = World::new(without);
    let first = waiter(&world, 0);
    let second = waiter(&world, 1);
    let signal = {
        let world = world.clone();
        thread::spawn(move || world.tasks[0].signal())
    };
    world.post();
    signal.join().unwrap();
    if first.join().unwrap() == End::Taken {
        world.post();
    }
    assert_eq!(second.join().unwrap(), End::Taken);
    assert_eq!(*world.counter.lock().unwrap(), 0, "event left");
}

/// Two posts, by two tasks, and two waiters.
pub fn two_posts(without: Without) {
    let world = World::new(without);
    let waiters = [waiter(&world, 0), waiter(&world, 1)];
    let other = {
        let world = world.clone();
        thread::spawn(move || world.post())
    };
    world.post();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), End::Taken);
    }
    other.join().unwrap();
    assert_eq!(*world.counter.lock().unwrap(), 0, "event left");
}

/// A post and a waiter that has come for it, and another that takes it without having slept.
pub fn barging(without: Without) {
    let world = World::new(without);
    let first = waiter(&world, 0);
    let second = waiter(&world, 1);
    world.post();
    world.post();
    assert_eq!(first.join().unwrap(), End::Taken);
    assert_eq!(second.join().unwrap(), End::Taken);
}

/// An abort and two waiters.
pub fn abort_wakes(without: Without) {
    let world = World::new(without);
    let waiters = [waiter(&world, 0), waiter(&world, 1)];
    world.abort();
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), End::Aborted);
    }
}

/// An abort and a post.
pub fn abort_ends(without: Without) {
    let world = World::new(without);
    let poster = {
        let world = world.clone();
        thread::spawn(move || world.post())
    };
    let left = world.abort();
    poster.join().unwrap();
    assert_eq!(*world.counter.lock().unwrap(), left, "event after abort");
}

/// An abort, a post and a waiter, who gets the event or the news.
pub fn abort_and_post(without: Without) {
    let world = World::new(without);
    let waiter = waiter(&world, 0);
    let poster = {
        let world = world.clone();
        thread::spawn(move || world.post())
    };
    world.abort();
    poster.join().unwrap();
    let taken = usize::from(waiter.join().unwrap() == End::Taken);
    assert!(taken + *world.counter.lock().unwrap() <= 1, "event doubled");
}

/// A post and a poller.
pub fn polled(without: Without) {
    let world = World::new(without);
    let poller = {
        let world = world.clone();
        thread::spawn(move || world.poll())
    };
    world.post();
    poller.join().unwrap();
}

/// The end of a connection and a post by its importer.
pub fn connection_ends(without: Without) {
    let world = World::new(without);
    let poster = {
        let world = world.clone();
        thread::spawn(move || world.post())
    };
    let left = world.end();
    poster.join().unwrap();
    assert_eq!(*world.counter.lock().unwrap(), left, "event after the end");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{must_fail, must_hold, must_hold_within};
    use Without::*;

    fn all_fail(name: &str, model: fn(Without), mutants: &[(Without, &str)]) {
        for &(without, expected) in mutants {
            must_fail(&format!("{name}, {without:?}"), expected, move || {
                model(without)
            });
        }
    }

    /// Bounded, as the next: with four threads the whole space takes more than a minute.
    #[test]
    fn interrupted_holds() {
        must_hold_within("post, signal", 3, || interrupted(Nothing));
    }

    #[test]
    fn interrupted_mutants_fail() {
        all_fail(
            "post, signal",
            interrupted,
            &[
                (LastLook, "deadlock"),
                (QueueBeforeUnlock, "deadlock"),
                (CountBeforeWake, "deadlock"),
                (LeaveOnSignal, "deadlock"),
            ],
        );
    }

    #[test]
    fn two_posts_hold() {
        must_hold_within("two posts", 3, || two_posts(Nothing));
    }

    #[test]
    fn barging_holds() {
        must_hold("barging", || barging(Nothing));
    }

    #[test]
    fn barging_mutants_fail() {
        all_fail(
            "barging",
            barging,
            &[
                (LeaveOnWake, "deadlock"),
                (LookAgain, "event taken twice"),
                (CountedBeforeUnlock, "deadlock"),
            ],
        );
    }

    #[test]
    fn polled_holds() {
        must_hold("post, poller", || polled(Nothing));
    }

    #[test]
    fn polled_mutants_fail() {
        all_fail(
            "post, poller",
            polled,
            &[
                (QueueBeforeLook, "deadlock"),
                (PollersAfterCount, "deadlock"),
            ],
        );
    }

    #[test]
    fn end_holds() {
        must_hold("end, post", || connection_ends(Nothing));
    }

    #[test]
    fn end_mutants_fail() {
        all_fail(
            "end, post",
            connection_ends,
            &[
                (EndBeforeLock, "event after the end"),
                (AskUnderLock, "event after the end"),
            ],
        );
    }

    #[test]
    fn abort_holds() {
        must_hold("abort, two waiters", || abort_wakes(Nothing));
        must_hold("abort, post", || abort_ends(Nothing));
        must_hold("abort, post, waiter", || abort_and_post(Nothing));
    }

    #[test]
    fn abort_mutants_fail() {
        all_fail(
            "abort, two waiters",
            abort_wakes,
            &[(AbortLock, "deadlock"), (WakeAll, "deadlock")],
        );
        all_fail(
            "abort, post",
            abort_ends,
            &[(AskUnderLock, "event after abort")],
        );
    }
}
