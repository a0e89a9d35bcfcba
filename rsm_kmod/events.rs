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
//! Locks: `state` is a leaf, but for the queues' own. What was stored before a post is visible after
//! the wait that takes its event, since both hold `state`.

use crate::kapi::waitqueue::{Poll, Pollers, HANGUP, READY};
use crate::logic::status::Status;
use kernel::prelude::*;
use kernel::sync::{CondVar, CondVarTimeoutResult, SpinLock};
use kernel::time::{msecs_to_jiffies, Jiffies};
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
}

impl State {
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
            state <- new_spinlock!(State { pending: 0, ended: false, hung_up: false }, "rsm_events"),
            waiters <- new_condvar!("rsm_event_waiters"),
            pollers <- Pollers::new(c"rsm_event_pollers", static_lock_class!()),
        })
    }

    /// Adds an event, unless the connection has ended; or one is pending already, if `accumulate` is
    /// false.
    pub(crate) fn post(&self, accumulate: bool) {
        {
            let mut state = self.state.lock();
            // Whoever posts may have found the connection before it ended.
            if state.ended {
                return;
            }
            if accumulate || state.pending == 0 {
                state.pending = state.pending.saturating_add(1);
            }
        }
        self.waiters.notify_one();
        self.pollers.wake(READY);
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
        let mut left = u32::try_from(timeout_ms).map_or(Jiffies::MAX, msecs_to_jiffies);
        let mut state = self.state.lock();
        loop {
            if let Some(result) = state.take() {
                return result;
            }
            if left == 0 {
                return Err(Status::Timeout);
            }
            match self.waiters.wait_interruptible_timeout(&mut state, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Timeout => left = 0,
                CondVarTimeoutResult::Signal { .. } => {
                    return state.take().unwrap_or(Err(Status::Interrupted));
                }
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
