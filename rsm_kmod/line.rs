// SPDX-License-Identifier: GPL-2.0

//! Lines in which the works of one user wait, so that works that take long hold up nobody else's.
//!
//! What a work of ours waits for may be in the hands of the process whose memory it is about, which
//! can keep it waiting for as long as it likes; and a queue runs only so many works at a time. So each
//! user has [`MOST`] works in a queue at most, and the others wait here.
//!
//! ```text
//!   join() ──▶ in line, if MOST have been started ──▶ started ──▶ begun() ──▶ leave()
//!     ▲                                                            │
//!     └──────────────── may join again from here on ───────────────┘
//! ```
//!
//! Locks: `Line::state`, and under it `Place::next`; leaves, also taken in notifier callbacks.

use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full};
use kernel::sync::{Arc, SpinLock};

/// How many works of a user run at a time.
const MOST: u32 = 16;

/// What can be in the line `ID` of its user.
pub(crate) trait InLine<const ID: u64>: Sized {
    /// Its place.
    fn place(&self) -> &Place<Self>;

    /// Gives it to the queue that runs it.
    fn start(this: Arc<Self>);
}

/// A place in a line.
#[pin_data]
pub(crate) struct Place<T> {
    /// In line, or started and not begun yet.
    taken: Atomic<bool>,
    /// Who comes next.
    #[pin]
    next: SpinLock<Option<Arc<T>>>,
}

impl<T> Place<T> {
    /// In no line.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            taken: Atomic::new(false),
            next <- new_spinlock!(None, "rsm_line_next"),
        })
    }

    /// The work begins: whatever is asked for from now on takes another.
    pub(crate) fn begun(&self) {
        let _ = self.taken.xchg(false, Full);
    }
}

struct State<T> {
    started: u32,
    first: Option<Arc<T>>,
    last: Option<Arc<T>>,
}

/// A line.
#[pin_data]
pub(crate) struct Line<T: InLine<ID>, const ID: u64> {
    #[pin]
    state: SpinLock<State<T>>,
}

impl<T: InLine<ID>, const ID: u64> Line<T, ID> {
    /// Nobody there.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State { started: 0, first: None, last: None }, "rsm_line"),
        })
    }

    /// Has a work run once its turn has come, unless it waits for that already.
    pub(crate) fn join(&self, item: Arc<T>) {
        if item.place().taken.xchg(true, Full) {
            return;
        }
        {
            let mut state = self.state.lock();
            if state.started >= MOST {
                // Neither is dropped here: who stands before has the last.
                match state.last.replace(item.clone()) {
                    Some(last) => *last.place().next.lock() = Some(item),
                    None => state.first = Some(item),
                }
                return;
            }
            state.started = state.started.saturating_add(1);
        }
        T::start(item);
    }

    /// A work is over: it is another's turn.
    pub(crate) fn leave(&self) {
        let first = {
            let mut state = self.state.lock();
            let Some(first) = state.first.take() else {
                state.started = state.started.saturating_sub(1);
                return;
            };
            state.first = first.place().next.lock().take();
            if state.first.is_none() {
                state.last = None;
            }
            first
        };
        T::start(first);
    }
}
