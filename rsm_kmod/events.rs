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
    pending: u32,
    /// The connection has ended: nothing is added any more.
    ended: bool,
    /// And that ends waits.
    hung_up: bool,
    /// Threads that wait, and those that have been woken and do not know yet.
    waiting: u32,
}

impl State {
    fn new() -> Self {
        Self {
            pending: 0,
            ended: false,
            hung_up: false,
            waiting: 0,
        }
    }

    /// What a waiter gets now; `None` if it has to go on waiting.
    fn take(&mut self) -> Option<Result<(), Status>> {
        if self.pending > 0 {
            self.pending = self.pending.wrapping_sub(1);
            Some(Ok(()))
        } else {
            self.hung_up.then_some(Err(Status::ConnAborted))
        }
    }
}

impl Events {
    /// None pending.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State::new(), "rsm_events"),
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
            if state.ended || !stands() {
                return false;
            }
            if accumulate || state.pending == 0 {
                state.pending = state.pending.saturating_add(1);
            }
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
        let mut state = self.state.lock();
        state.ended = true;
        state.hung_up = hang_up;
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
            if let Some(result) = state.take() {
                return result;
            }
            let Some(left) = timeout.left() else {
                return Err(Status::Timeout);
            };
            state.waiting = state.waiting.saturating_add(1);
            let woken = self.waiters.wait_interruptible_timeout(&mut state, left);
            state.waiting = state.waiting.saturating_sub(1);
            if let CondVarTimeoutResult::Signal { .. } = woken {
                return state.take().unwrap_or(Err(Status::Interrupted));
            }
        }
    }

    /// What a poller can see now, who is told of changes.
    pub(crate) fn poll(&self, poll: Poll) -> u32 {
        self.pollers.add(poll);
        let state = self.state.lock();
        let ready = if state.pending > 0 { READY } else { 0 };
        ready | if state.hung_up { HANGUP } else { 0 }
    }

    /// Events pending.
    pub(crate) fn pending(&self) -> u32 {
        self.state.lock().pending
    }
}
