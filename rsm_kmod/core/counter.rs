// SPDX-License-Identifier: GPL-2.0

//! Counters of pending events, and what posts, waits and the end of a connection do to them.
//!
//! | asked | connection stands | has ended | has ended, and ends waits |
//! |---|---|---|---|
//! | post | one more, or stays | refused | refused |
//! | wait, events pending | takes one | takes one | takes one |
//! | wait, none pending | waits | waits | `CONN_ABORTED` |

use super::status::Status;

/// A counter of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pending: u32,
    ended: bool,
    hung_up: bool,
}

impl Counter {
    /// No events.
    pub const fn new() -> Self {
        Self {
            pending: 0,
            ended: false,
            hung_up: false,
        }
    }

    /// Events pending.
    pub fn pending(&self) -> u32 {
        self.pending
    }

    /// Whether the connection has ended: nothing is added any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether that ends waits.
    pub fn hung_up(&self) -> bool {
        self.hung_up
    }

    /// Adds an event; or has one pending at least, if `accumulate` is false. A full counter stays as
    /// it is. Returns false, and adds nothing, if the connection has ended.
    pub fn post(&mut self, accumulate: bool) -> bool {
        if self.ended {
            return false;
        }
        if accumulate || self.pending == 0 {
            self.pending = self.pending.saturating_add(1);
        }
        true
    }

    /// Ends the connection, and waits that find no event, if `hang_up`.
    pub fn end(&mut self, hang_up: bool) {
        self.ended = true;
        self.hung_up = hang_up;
    }

    /// What a waiter gets now; `None` if it has to go on waiting.
    pub fn take(&mut self) -> Option<Result<(), Status>> {
        match self.pending.checked_sub(1) {
            Some(rest) => {
                self.pending = rest;
                Some(Ok(()))
            }
            None => self.hung_up.then_some(Err(Status::ConnAborted)),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Post(bool),
        Take,
        End(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => any::<bool>().prop_map(Step::Post),
            8 => Just(Step::Take),
            1 => any::<bool>().prop_map(Step::End),
        ]
    }

    proptest! {
        /// The model is a queue of events.
        #[test]
        fn as_a_queue(steps in proptest::collection::vec(step(), 0..64)) {
            let mut counter = Counter::new();
            let mut queue = VecDeque::new();
            let mut end = None;
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Post(accumulate) => {
                        prop_assert_eq!(counter.post(accumulate), end.is_none());
                        if end.is_none() && (accumulate || queue.is_empty()) {
                            queue.push_back(number);
                        }
                    }
                    Step::Take => {
                        let expected = match queue.pop_front() {
                            Some(_) => Some(Ok(())),
                            None if end == Some(true) => Some(Err(Status::ConnAborted)),
                            None => None,
                        };
                        prop_assert_eq!(counter.take(), expected);
                    }
                    Step::End(hang_up) => {
                        counter.end(hang_up);
                        end = Some(hang_up);
                    }
                }
                prop_assert_eq!(counter.pending() as usize, queue.len());
                prop_assert_eq!(counter.ended(), end.is_some());
                prop_assert_eq!(counter.hung_up(), end == Some(true));
            }
        }
    }

    #[test]
    fn a_full_counter_stays_full() {
        let mut counter = Counter {
            pending: u32::MAX,
            ..Counter::new()
        };
        assert!(counter.post(true));
        assert_eq!(counter.pending(), u32::MAX);
    }
}
