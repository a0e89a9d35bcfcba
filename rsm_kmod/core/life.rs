// SPDX-License-Identifier: GPL-2.0

//! The states of a segment, and what may be asked of it in each.
//!
//! ```text
//!            publish                       die
//!   Bound ────────────▶ Published ────────────────▶ Dead
//!     │ ◀──────────────     │                        ▲
//!     │      unpublish      └─ republish: stays      │
//!     └────────────────────── die ───────────────────┘
//! ```
//!
//! | asked | Bound | Published | Dead |
//! |---|---|---|---|
//! | bind, rebind | stays | stays | `BAD_SEG_HNDL` |
//! | publish | Published | `SEG_ALREADY_PUBLISHED` | `BAD_SEG_HNDL` |
//! | republish | `SEG_NOT_PUBLISHED` | stays | `BAD_SEG_HNDL` |
//! | unpublish | `SEG_NOT_PUBLISHED` | Bound | `SEG_NOT_PUBLISHED` |
//! | connect | `SEG_NOT_PUBLISHED` | stays | `SEG_NOT_PUBLISHED` |
//! | die | Dead | Dead | Dead |
//!
//! What fails changes nothing.

use super::status::Status;

/// The state of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Has memory, no id.
    #[default]
    Bound,
    /// Can be connected to.
    Published {
        /// Under which id.
        id: u32,
        /// Mode given by the access list; `None` without a list.
        acl: Option<u32>,
    },
    /// Revoked. For good.
    Dead,
}

impl State {
    /// The id of the publication, if there is one.
    pub fn id(&self) -> Option<u32> {
        match *self {
            State::Published { id, .. } => Some(id),
            State::Bound | State::Dead => None,
        }
    }

    /// The state in a word.
    pub fn word(&self) -> &'static str {
        match self {
            State::Bound => "bound",
            State::Published { .. } => "published",
            State::Dead => "dead",
        }
    }

    /// Fails if memory cannot be put behind the segment any more.
    pub fn check_alive(&self) -> Result<(), Status> {
        match self {
            State::Bound | State::Published { .. } => Ok(()),
            State::Dead => Err(Status::BadSegHndl),
        }
    }

    /// Fails if there is a publication.
    pub fn check_not_published(&self) -> Result<(), Status> {
        match self {
            State::Published { .. } => Err(Status::SegAlreadyPublished),
            State::Bound | State::Dead => Ok(()),
        }
    }

    /// Fails unless there is a publication.
    pub fn check_published(&self) -> Result<(), Status> {
        match self {
            State::Published { .. } => Ok(()),
            State::Bound | State::Dead => Err(Status::SegNotPublished),
        }
    }

    /// Fails unless the segment can be published.
    pub fn check_publishable(&self) -> Result<(), Status> {
        self.check_not_published()?;
        self.check_alive()
    }

    /// Fails unless there is a publication whose access list can be replaced.
    pub fn check_republishable(&self) -> Result<(), Status> {
        self.check_alive()?;
        self.check_published()
    }

    /// Begins a publication.
    pub fn publish(&mut self, id: u32, acl: Option<u32>) -> Result<(), Status> {
        self.check_publishable()?;
        *self = State::Published { id, acl };
        Ok(())
    }

    /// Replaces the access list.
    pub fn republish(&mut self, new: Option<u32>) -> Result<(), Status> {
        self.check_alive()?;
        match self {
            State::Published { acl, .. } => {
                *acl = new;
                Ok(())
            }
            State::Bound | State::Dead => Err(Status::SegNotPublished),
        }
    }

    /// Ends the publication, or only that under the id `only`, and returns its id.
    pub fn unpublish(&mut self, only: Option<u32>) -> Result<u32, Status> {
        match *self {
            State::Published { id, .. } if only.is_none_or(|only| only == id) => {
                *self = State::Bound;
                Ok(id)
            }
            _ => Err(Status::SegNotPublished),
        }
    }

    /// Ends everything. Returns the id of the publication that there was.
    pub fn die(&mut self) -> Option<u32> {
        let id = self.id();
        *self = State::Dead;
        id
    }

    /// The mode by which connections to the publication under `id` are judged, where `default` is
    /// that without an access list.
    pub fn mode(&self, id: u32, default: u32) -> Result<u32, Status> {
        match *self {
            State::Published { id: current, acl } if current == id => Ok(acl.unwrap_or(default)),
            _ => Err(Status::SegNotPublished),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Step {
        Publish(u32, Option<u32>),
        Republish(Option<u32>),
        Unpublish(Option<u32>),
        Die,
    }

    /// Few ids and modes, so that they meet.
    fn step() -> impl Strategy<Value = Step> {
        let mode = || proptest::option::of(prop_oneof![Just(0o600), Just(0o666)]);
        prop_oneof![
            4 => (1u32..4, mode()).prop_map(|(id, acl)| Step::Publish(id, acl)),
            3 => mode().prop_map(Step::Republish),
            3 => proptest::option::of(1u32..4).prop_map(Step::Unpublish),
            1 => Just(Step::Die),
        ]
    }

    /// The model remembers what has succeeded, and has no states: a segment is dead if it has ever
    /// died, and published if more publications have begun than ended.
    struct History(Vec<Step>);

    impl History {
        fn dead(&self) -> bool {
            self.0.contains(&Step::Die)
        }

        fn published(&self) -> bool {
            let count = |which: fn(&Step) -> bool| self.0.iter().filter(|step| which(step)).count();
            let begun = count(|step| matches!(step, Step::Publish(..)));
            let ended = count(|step| matches!(step, Step::Unpublish(_)));
            !self.dead() && begun > ended
        }

        fn id(&self) -> Option<u32> {
            let mut begun = self.0.iter().rev().filter_map(|step| match step {
                Step::Publish(id, _) => Some(*id),
                _ => None,
            });
            begun.next().filter(|_| self.published())
        }

        fn acl(&self) -> Option<u32> {
            let mut given = self.0.iter().rev().filter_map(|step| match step {
                Step::Publish(_, acl) | Step::Republish(acl) => Some(*acl),
                _ => None,
            });
            given.next().flatten()
        }

        /// The table above.
        fn answer(&self, step: Step) -> Result<(), Status> {
            let (dead, published) = (self.dead(), self.published());
            match step {
                Step::Publish(..) if published => Err(Status::SegAlreadyPublished),
                Step::Publish(..) | Step::Republish(_) if dead => Err(Status::BadSegHndl),
                Step::Republish(_) | Step::Unpublish(_) if !published => {
                    Err(Status::SegNotPublished)
                }
                Step::Unpublish(Some(only)) if self.id() != Some(only) => {
                    Err(Status::SegNotPublished)
                }
                _ => Ok(()),
            }
        }
    }

    proptest! {
        #[test]
        fn as_the_history_says(steps in proptest::collection::vec(step(), 0..24)) {
            let mut state = State::default();
            let mut history = History(Vec::new());
            for step in steps {
                let expected = history.answer(step);
                let before = state;
                let id = history.id();
                let answer = match step {
                    Step::Publish(id, acl) => {
                        prop_assert_eq!(state.check_publishable(), expected);
                        state.publish(id, acl)
                    }
                    Step::Republish(acl) => {
                        prop_assert_eq!(state.check_republishable(), expected);
                        state.republish(acl)
                    }
                    Step::Unpublish(only) => state.unpublish(only).map(|ended| {
                        assert_eq!(Some(ended), id);
                    }),
                    Step::Die => {
                        prop_assert_eq!(state.die(), id);
                        Ok(())
                    }
                };
                prop_assert_eq!(answer, expected);
                match expected {
                    Ok(()) => history.0.push(step),
                    Err(_) => prop_assert_eq!(state, before),
                }
                prop_assert_eq!(state.id(), history.id());
                prop_assert_eq!(state.check_alive().is_err(), history.dead());
                prop_assert_eq!(state.check_published().is_ok(), history.published());
                prop_assert_eq!(state.check_not_published().is_err(), history.published());
                let word = match (history.dead(), history.published()) {
                    (true, _) => "dead",
                    (_, true) => "published",
                    _ => "bound",
                };
                prop_assert_eq!(state.word(), word);
                for id in 1..4 {
                    let mode = match history.id() == Some(id) {
                        true => Ok(history.acl().unwrap_or(0o644)),
                        false => Err(Status::SegNotPublished),
                    };
                    prop_assert_eq!(state.mode(id, 0o644), mode);
                }
            }
        }
    }
}
