// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that can be seen of the module's state, to compare it with what it was.

use std::fs;

use nix::unistd::Uid;

use crate::common::books::Books;
use crate::common::holds_within;

/// The state at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Pinned and locked KiB and descriptors of this process.
    private: (u64, u64, usize),
    /// What only root can see.
    public: Option<Public>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Public {
    books: Books,
    /// Open files of the module.
    users: String,
    /// All segments and imports, with their mappings and events.
    segments: String,
}

impl State {
    pub fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        Self {
            private: Books::private_now(),
            public: Uid::effective().is_root().then(|| Public {
                books: Books::amid(),
                users: read("/sys/module/rsm/refcnt"),
                segments: read("/sys/kernel/debug/rsm/segments"),
            }),
        }
    }

    /// Fails unless the state is, or a moment later will be, the same.
    #[track_caller]
    pub fn assert_unchanged(&self, what: &str, when: &str) {
        let mut now = None;
        holds_within(150, || now.insert(Self::now()) == self);
        let now = now.expect("seen at least once");
        assert_eq!(now, *self, "{what}: {when}; left: now, right: before");
    }
}
