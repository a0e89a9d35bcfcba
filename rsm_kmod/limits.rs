// SPDX-License-Identifier: GPL-2.0

//! What the administrator allows: module parameters, and the counts that are held against them.
//!
//! The parameters can be changed at any time, and are read when something is asked for; what exists
//! stays. 0 is no limit. Limits per user count by the real user id of the process that opened the
//! controller descriptor, whatever the user namespace, and do not bind processes with
//! `CAP_SYS_RESOURCE`.
//!
//! All counts are atomic; no locks but those of the lines.

use crate::kapi::{caller, page, params};
use crate::line::Line;
use crate::logic::limit;
use crate::logic::status::Status;
use crate::table::{Handle, Lasting};
use crate::watch::Watch;
use kernel::bindings;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::Arc;

/// A count and the limit for it.
#[derive(Clone, Copy)]
pub(crate) enum Counted {
    /// Export segments.
    Segments,
    /// Pinned pages.
    Pages,
    /// Imports.
    Imports,
}

static SEGMENTS: Atomic<u64> = Atomic::new(0);
static PAGES: Atomic<u64> = Atomic::new(0);
static IMPORTS: Atomic<u64> = Atomic::new(0);

impl Counted {
    fn count(self) -> &'static Atomic<u64> {
        match self {
            Counted::Segments => &SEGMENTS,
            Counted::Pages => &PAGES,
            Counted::Imports => &IMPORTS,
        }
    }

    /// The most there may be; 0 for no limit.
    pub(crate) fn most(self) -> u64 {
        match self {
            Counted::Segments => params::max_segments(),
            Counted::Pages => limit::stricter(
                limit::pages_of(params::max_exported_mem(), PAGE_SIZE as u64),
                limit::percent_of(params::max_exported_percent(), page::total()),
            ),
            Counted::Imports => params::max_imports(),
        }
    }

    fn failure(self) -> Status {
        match self {
            Counted::Pages => Status::InsufficientMem,
            Counted::Segments | Counted::Imports => Status::InsufficientResources,
        }
    }
}

/// Whether a segment that has `now` live imports may have another.
pub(crate) fn allows_import(now: u64) -> bool {
    limit::raised(now, 1, params::max_segment_imports()).is_some()
}

/// Adds to a count unless that would exceed `most`.
fn raise(count: &Atomic<u64>, add: u64, most: u64) -> bool {
    let mut now = count.load(Relaxed);
    loop {
        let Some(new) = limit::raised(now, add, most) else {
            return false;
        };
        match count.cmpxchg(now, new, Relaxed) {
            Ok(_) => return true,
            Err(seen) => now = seen,
        }
    }
}

/// Takes from a count what has been added.
fn lower(count: &Atomic<u64>, amount: u64) {
    let _ = count.fetch_sub(amount, Relaxed);
}

/// Something that counts, until it is dropped.
pub(crate) struct Ticket {
    counted: Counted,
    amount: u64,
}

impl Ticket {
    /// Counts `amount` of something, if the machine's limit allows.
    pub(crate) fn new(counted: Counted, amount: u64) -> Result<Self, Status> {
        if raise(counted.count(), amount, counted.most()) {
            Ok(Self { counted, amount })
        } else {
            Err(counted.failure())
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lower(self.counted.count(), self.amount);
    }
}

/// What one user has.
#[pin_data]
pub(crate) struct Account {
    segments: Atomic<u64>,
    imports: Atomic<u64>,
    mappings: Atomic<u64>,
    zero_pages: Atomic<u64>,
    ids: Atomic<u64>,
    /// Looks at memory that the user exports.
    #[pin]
    looks: Line<Watch, 1>,
    /// Watches that are no longer needed.
    #[pin]
    removals: Line<Watch, 2>,
}

/// What is counted per user.
#[derive(Clone, Copy)]
pub(crate) enum Owned {
    /// Export segments.
    Segment,
    /// Imports.
    Import,
    /// Mappings of imports.
    Mapping,
    /// Pages behind the mappings of revoked imports.
    ZeroPage,
    /// Assigned ids that are used up: these never come back.
    Id,
}

/// A user, for as long as it has anything of ours; or longer, once it has used up an id.
pub(crate) type User = Handle<Account>;

impl Account {
    /// Of a user who has nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            segments: Atomic::new(0),
            imports: Atomic::new(0),
            mappings: Atomic::new(0),
            zero_pages: Atomic::new(0),
            ids: Atomic::new(0),
            looks <- Line::new(),
            removals <- Line::new(),
        })
    }

    /// The line of looks at memory.
    pub(crate) fn looks(&self) -> &Line<Watch, 1> {
        &self.looks
    }

    /// The line of watches that are to be removed.
    pub(crate) fn removals(&self) -> &Line<Watch, 2> {
        &self.removals
    }

    fn count(&self, owned: Owned) -> &Atomic<u64> {
        match owned {
            Owned::Segment => &self.segments,
            Owned::Import => &self.imports,
            Owned::Mapping => &self.mappings,
            Owned::ZeroPage => &self.zero_pages,
            Owned::Id => &self.ids,
        }
    }

    /// Counts one, if the user's limit allows or the caller is exempt.
    pub(crate) fn take(&self, owned: Owned) -> Result<(), Status> {
        let most = match owned {
            Owned::Segment => params::max_user_segments(),
            Owned::Import => params::max_user_imports(),
            Owned::Mapping => params::max_user_mappings(),
            Owned::ZeroPage => 0,
            Owned::Id => params::max_user_ids(),
        };
        if raise(self.count(owned), 1, most) {
            return Ok(());
        }
        if caller::capable(bindings::CAP_SYS_RESOURCE) {
            self.add(owned);
            return Ok(());
        }
        Err(Status::InsufficientResources)
    }

    /// How many there are.
    pub(crate) fn number(&self, owned: Owned) -> u64 {
        self.count(owned).load(Relaxed)
    }

    /// Counts one, whatever the limit.
    pub(crate) fn add(&self, owned: Owned) {
        self.count(owned).add(1, Relaxed);
    }

    /// Discounts one.
    pub(crate) fn give_back(&self, owned: Owned) {
        lower(self.count(owned), 1);
    }
}

impl Lasting for Account {
    /// Who has used up ids has done so for good.
    fn lasts(&self) -> bool {
        self.number(Owned::Id) > 0
    }
}

/// One thing of a user's, until it is dropped.
pub(crate) struct Share {
    user: Arc<User>,
    owned: Owned,
}

impl Share {
    /// Counts one for a user.
    pub(crate) fn new(user: &Arc<User>, owned: Owned) -> Result<Self, Status> {
        user.take(owned)?;
        Ok(Self {
            user: user.clone(),
            owned,
        })
    }

    /// Counts one for a user, whatever the limit.
    pub(crate) fn unlimited(user: &Arc<User>, owned: Owned) -> Self {
        user.add(owned);
        Self {
            user: user.clone(),
            owned,
        }
    }

    /// Whose it is.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.user.give_back(self.owned);
    }
}
