// SPDX-License-Identifier: GPL-2.0

//! Counters of pending events, and those who wait for them.
//!
//! Each export and each import has one. Two queues: of threads that wait in the kernel, of which a
//! post wakes one, and of pollers. One queue would let a poller that wants to be woken alone
//! (`EPOLLEXCLUSIVE`) take the wake-up of a thread that waits.
//!
//! No wake-up is lost: a thread that gives up (signal, end of time) looks at the counter once more
//! with the lock held, so that a post that chose it is not wasted.
//!
//! A post looks whether there is anybody to wake. Threads that wait are counted with `state` held. A
//! poller is in its queue before it looks at the counter, with `state` held: so if it has missed a
//! post, that post, which looks at the queue afterwards, finds it there.
//!
//! Time is up when the clock says so, see [`Timeout`]: no wait ends early.
//!
//! Locks: `state` is a leaf, but for the queues' own. What was stored before a post is visible after
//! the wait that takes its event, since both hold `state`.

use crate::kapi::time::Timeout;
use crate::kapi::waitqueue::{Poll, Pollers, HANGUP, READY};
use crate::logic::counter::Counter;
use crate::logic::status::Status;
use kernel::prelude::*;
use kernel::sync::{CondVar, CondVarTimeoutResult, SpinLock};
use kernel::{new_condvar, new_spinlock, static_lock_class};

/// A counter of events.
#[pin_data]
pub(crate) struct Events {
    #[pin]
    state: SpinLock<State>,
    #[pin]
    waiters: CondVar,
    #[pin]
    pollers: Pollers,
}

struct State {
    counter: Counter,
    /// Threads that wait, and those that have been woken and do not know yet.
    waiting: u32,
}

impl Events {
    /// None pending.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State { counter: Counter::new(), waiting: 0 }, "rsm_events"),
            waiters <- new_condvar!("rsm_event_waiters"),
            pollers <- Pollers::new(c"rsm_event_pollers", static_lock_class!()),
        })
    }

    /// Adds an event, unless the connection has ended; or one is pending already, if `accumulate` is
    /// false. Returns whether the connection stands.
    ///
    /// Who posts may have found the connection before it ended. So whether it has is seen with the
    /// lock held: from [`end`](Self::end), or by `stands`, see [`settle`](Self::settle).
    pub(crate) fn post(&self, accumulate: bool, stands: impl FnOnce() -> bool) -> bool {
        let waiting = {
            let mut state = self.state.lock();
            if state.counter.ended() || !stands() {
                return false;
            }
            state.counter.post(accumulate);
            state.waiting
        };
        if waiting > 0 {
            self.waiters.notify_one();
        }
        if !self.pollers.is_empty() {
            self.pollers.wake(READY);
        }
        true
    }

    /// Waits for posts that have begun. Called when connections have ended: no event of theirs comes
    /// after it.
    pub(crate) fn settle(&self) {
        drop(self.state.lock());
    }

    /// Lets no more events come. If `hang_up`, ends waits that find none, too: those that begin after
    /// this, and those that have begun once [`wake_all`](Self::wake_all) has been called as well.
    pub(crate) fn end(&self, hang_up: bool) {
        self.state.lock().counter.end(hang_up);
    }

    /// Has all who wait look again.
    pub(crate) fn wake_all(&self) {
        self.waiters.notify_all();
        self.pollers.wake_all(HANGUP);
    }

    /// Takes one event, and waits for it at most `timeout_ms` milliseconds, or for as long as it
    /// takes if that is negative.
    pub(crate) fn wait(&self, timeout_ms: i32) -> Result<(), Status> {
        let mut timeout = Timeout::of_ms(timeout_ms);
        let mut state = self.state.lock();
        loop {
            if let Some(result) = state.counter.take() {
                return result;
            }
            let Some(left) = timeout.left() else {
                return Err(Status::Timeout);
            };
            state.waiting = state.waiting.saturating_add(1);
            let woken = self.waiters.wait_interruptible_timeout(&mut state, left);
            state.waiting = state.waiting.saturating_sub(1);
            if let CondVarTimeoutResult::Signal { .. } = woken {
                return state.counter.take().unwrap_or(Err(Status::Interrupted));
            }
        }
    }

    /// What a poller can see now, who is told of changes.
    pub(crate) fn poll(&self, poll: Poll) -> u32 {
        self.pollers.add(poll);
        let counter = self.state.lock().counter;
        let ready = if counter.pending() > 0 { READY } else { 0 };
        ready | if counter.hung_up() { HANGUP } else { 0 }
    }

    /// Events pending.
    pub(crate) fn pending(&self) -> u32 {
        self.state.lock().counter.pending()
    }
}
