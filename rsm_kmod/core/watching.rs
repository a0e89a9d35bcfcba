// SPDX-License-Identifier: GPL-2.0

//! The states of a watch on memory that stands behind a segment, or is about to.
//!
//! ```text
//!   Forming ──arm()──▶ Armed ──off()──▶ Off
//! ```
//!
//! | told | Forming | Armed | Off |
//! |---|---|---|---|
//! | lost | noted: cannot be armed any more | the segment has to end | nothing |
//! | cleared | noted: to be looked at as a whole once armed | to be looked at | nothing |

use super::span::Span;

/// The state of a watch. `S` is the segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State<S> {
    /// The memory is being pinned.
    Forming {
        /// Some of it is not what was pinned any more.
        lost: bool,
        /// Some of it may not be.
        cleared: bool,
    },
    /// A segment stands on it.
    Armed {
        /// Which.
        segment: S,
        /// Pages to look at.
        cleared: Option<Span>,
    },
    /// No segment stands on it any more.
    Off,
}

impl<S> Default for State<S> {
    /// Of a watch that forms.
    fn default() -> Self {
        State::Forming {
            lost: false,
            cleared: false,
        }
    }
}

impl<S: Clone> State<S> {
    /// The memory, `pages` pages, stands behind `segment`. Returns whether there is anything to look
    /// at; `None`, with nothing changed, if the memory is not what was pinned any more.
    pub fn arm(&mut self, segment: &S, pages: u64) -> Option<bool> {
        match *self {
            State::Forming {
                lost: false,
                cleared,
            } => {
                *self = State::Armed {
                    segment: segment.clone(),
                    cleared: cleared.then_some(Span::new(0, pages)),
                };
                Some(cleared)
            }
            _ => None,
        }
    }

    /// No segment stands on the memory any more. Returns the state there was, which has the segment.
    #[must_use]
    pub fn off(&mut self) -> Self {
        core::mem::replace(self, State::Off)
    }

    /// The segment that stands on the memory.
    pub fn segment(&self) -> Option<S> {
        match self {
            State::Armed { segment, .. } => Some(segment.clone()),
            State::Forming { .. } | State::Off => None,
        }
    }

    /// Memory is lost. Returns whether there is a segment that has to end.
    pub fn lose(&mut self) -> bool {
        match self {
            State::Forming { lost, .. } => {
                *lost = true;
                false
            }
            State::Armed { .. } => true,
            State::Off => false,
        }
    }

    /// Entries of these pages are cleared. Returns whether they are to be looked at.
    pub fn clear(&mut self, pages: Span) -> bool {
        match self {
            State::Forming { cleared, .. } => {
                *cleared = true;
                false
            }
            State::Armed { cleared, .. } => {
                *cleared = Some(match *cleared {
                    Some(others) => others.join(pages),
                    None => pages,
                });
                true
            }
            State::Off => false,
        }
    }

    /// What there is to look at, for whom: it is not there any more then.
    pub fn take_cleared(&mut self) -> Option<(S, Span)> {
        match self {
            State::Armed { segment, cleared } => cleared.take().map(|span| (segment.clone(), span)),
            State::Forming { .. } | State::Off => None,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Arm,
        Off,
        Lose,
        Clear(u64, u64),
        Take,
    }

    const PAGES: u64 = 12;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::Arm),
            1 => Just(Step::Off),
            1 => Just(Step::Lose),
            4 => (0..PAGES, 1..=PAGES).prop_map(|(a, b)| Step::Clear(a.min(b - 1), b)),
            3 => Just(Step::Take),
        ]
    }

    proptest! {
        /// Nothing that is told is forgotten: a page that was cleared is looked at, unless the
        /// segment is gone; memory that was lost before the watch was armed never gets a segment.
        #[test]
        fn nothing_is_forgotten(steps in proptest::collection::vec(step(), 0..40)) {
            let mut state = State::<char>::default();
            let (mut armed, mut off, mut lost) = (false, false, false);
            let mut pages = BTreeSet::new();
            for step in steps {
                let stands = armed && !off;
                match step {
                    Step::Arm => {
                        let before = state.clone();
                        let expected = (!armed && !off && !lost).then_some(!pages.is_empty());
                        prop_assert_eq!(state.arm(&'s', PAGES), expected);
                        match expected {
                            Some(_) => armed = true,
                            None => prop_assert_eq!(state.clone(), before),
                        }
                    }
                    Step::Off => {
                        let old = state.off();
                        prop_assert_eq!(old.segment().is_some(), stands);
                        off = true;
                    }
                    Step::Lose => {
                        prop_assert_eq!(state.lose(), stands);
                        lost |= !armed;
                    }
                    Step::Clear(first, end) => {
                        prop_assert_eq!(state.clear(Span::new(first, end)), stands);
                        if !off {
                            pages.extend(first..end);
                        }
                    }
                    Step::Take => match state.take_cleared() {
                        Some((segment, span)) => {
                            prop_assert!(stands && segment == 's' && !pages.is_empty());
                            prop_assert!(span.end() <= PAGES);
                            pages.retain(|page| !(span.first()..span.end()).contains(page));
                            prop_assert!(pages.is_empty());
                        }
                        None => prop_assert!(!stands || pages.is_empty()),
                    },
                }
                prop_assert_eq!(state.segment(), (armed && !off).then_some('s'));
            }
        }
    }
}
