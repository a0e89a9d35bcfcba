// SPDX-License-Identifier: GPL-2.0

//! Counts of live objects, in `/sys/kernel/debug/rsm/`. Each is 0 when nobody uses the module, so a
//! leak of ours shows as a number.

use kernel::debugfs::{Dir, File};
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};

/// A count of live objects.
#[repr(transparent)]
pub(crate) struct Count(Atomic<i64>);

static SEGMENTS: Count = Count(Atomic::new(0));
static PINNED_PAGES: Count = Count(Atomic::new(0));
static IMPORTS: Count = Count(Atomic::new(0));
static CONTROLLERS: Count = Count(Atomic::new(0));
static VIEWS: Count = Count(Atomic::new(0));
static TRASH_PAGES: Count = Count(Atomic::new(0));

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum What {
    Segment,
    PinnedPage,
    Import,
    Controller,
    View,
    TrashPage,
}

impl What {
    /// How many there are.
    pub(crate) fn live(self) -> u64 {
        u64::try_from(self.count().load(Relaxed)).unwrap_or(0)
    }

    fn count(self) -> &'static Atomic<i64> {
        match self {
            What::Segment => &SEGMENTS.0,
            What::PinnedPage => &PINNED_PAGES.0,
            What::Import => &IMPORTS.0,
            What::Controller => &CONTROLLERS.0,
            What::View => &VIEWS.0,
            What::TrashPage => &TRASH_PAGES.0,
        }
    }
}

/// Counts something for as long as it lives.
pub(crate) struct Live {
    what: What,
    amount: i64,
}

impl Live {
    /// Counts one.
    pub(crate) fn one(what: What) -> Self {
        Self::many(what, 1)
    }

    /// Counts `amount`.
    pub(crate) fn many(what: What, amount: u64) -> Self {
        // Amounts are page counts, far below 2^63.
        let amount = amount as i64;
        what.count().add(amount, Relaxed);
        Self { what, amount }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.what.count().add(self.amount.wrapping_neg(), Relaxed);
    }
}

/// The debugfs directory; removed when dropped.
#[pin_data]
pub(crate) struct Stats {
    #[pin]
    segments: File<&'static Atomic<i64>>,
    #[pin]
    pinned_pages: File<&'static Atomic<i64>>,
    #[pin]
    imports: File<&'static Atomic<i64>>,
    #[pin]
    controllers: File<&'static Atomic<i64>>,
    #[pin]
    views: File<&'static Atomic<i64>>,
    #[pin]
    trash_pages: File<&'static Atomic<i64>>,
    dir: Dir,
}

impl Stats {
    /// Creates the directory. debugfs being absent is no failure.
    pub(crate) fn new() -> impl PinInit<Self> {
        let dir = Dir::new(c"rsm");
        pin_init!(Self {
            segments <- dir.read_only_file(c"live_segments", What::Segment.count()),
            pinned_pages <- dir.read_only_file(c"live_pinned_pages", What::PinnedPage.count()),
            imports <- dir.read_only_file(c"live_imports", What::Import.count()),
            controllers <- dir.read_only_file(c"live_controllers", What::Controller.count()),
            views <- dir.read_only_file(c"live_views", What::View.count()),
            trash_pages <- dir.read_only_file(c"live_trash_pages", What::TrashPage.count()),
            dir: dir.clone(),
        })
    }
}
