// SPDX-License-Identifier: GPL-2.0

//! What can be read in `/sys/kernel/debug/rsm/`: `live_*`, counts of live objects, each 0 when
//! nobody uses the module, so that a leak of ours shows as a number; `counters` and `revoke_times`,
//! what has happened since the module was loaded; `segments`, what there is.

use crate::logic::histogram;
use crate::roll::{Listing, Roll};
use core::fmt;
use kernel::debugfs::{Dir, File, Writer};
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::Arc;

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

/// Things that have happened since the module was loaded.
#[derive(Clone, Copy)]
pub(crate) enum Happened {
    /// A segment was made.
    Create,
    /// A segment was published.
    Publish,
    /// An import was connected.
    Connect,
    /// A segment got other memory.
    Rebind,
    /// A segment was unpublished.
    Unpublish,
    /// A segment was destroyed by its exporter.
    Destroy,
    /// A segment died with its exporter's memory.
    Lose,
}

/// How often each of them has.
pub(crate) struct Tally([Atomic<u64>; 7]);

static TALLY: Tally = Tally([const { Atomic::new(0) }; 7]);

impl Happened {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Create, "create"),
        (Self::Publish, "publish"),
        (Self::Connect, "connect"),
        (Self::Rebind, "rebind"),
        (Self::Unpublish, "unpublish"),
        (Self::Destroy, "destroy"),
        (Self::Lose, "lose"),
    ];

    /// Counts it.
    pub(crate) fn count(self) {
        if let Some(count) = TALLY.0.get(self as usize) {
            count.add(1, Relaxed);
        }
    }
}

impl Writer for &'static Tally {
    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (happened, name) in Happened::ALL {
            let count = self
                .0
                .get(happened as usize)
                .map_or(0, |count| count.load(Relaxed));
            writeln!(out, "{name} {count}")?;
        }
        Ok(())
    }
}

/// How long importers took to be cut off.
pub(crate) struct Histogram([Atomic<u64>; histogram::BUCKETS]);

static REVOKE_TIMES: Histogram = Histogram([const { Atomic::new(0) }; histogram::BUCKETS]);

/// Notes how long it took to cut off the importers of a segment.
pub(crate) fn note_revoke(nanoseconds: u64) {
    if let Some(count) = REVOKE_TIMES.0.get(histogram::bucket(nanoseconds)) {
        count.add(1, Relaxed);
    }
}

impl Writer for &'static Histogram {
    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bucket, count) in self.0.iter().enumerate() {
            match histogram::below(bucket) {
                Some(limit) => write!(out, "<{limit}us")?,
                None => write!(out, "more")?,
            }
            writeln!(out, " {}", count.load(Relaxed))?;
        }
        Ok(())
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
    #[pin]
    tally: File<&'static Tally>,
    #[pin]
    revoke_times: File<&'static Histogram>,
    #[pin]
    roll: File<Listing>,
    dir: Dir,
}

impl Stats {
    /// Creates the directory. debugfs being absent is no failure.
    pub(crate) fn new(roll: Arc<Roll>) -> impl PinInit<Self> {
        let dir = Dir::new(c"rsm");
        pin_init!(Self {
            segments <- dir.read_only_file(c"live_segments", What::Segment.count()),
            pinned_pages <- dir.read_only_file(c"live_pinned_pages", What::PinnedPage.count()),
            imports <- dir.read_only_file(c"live_imports", What::Import.count()),
            controllers <- dir.read_only_file(c"live_controllers", What::Controller.count()),
            views <- dir.read_only_file(c"live_views", What::View.count()),
            trash_pages <- dir.read_only_file(c"live_trash_pages", What::TrashPage.count()),
            tally <- dir.read_only_file(c"counters", &TALLY),
            revoke_times <- dir.read_only_file(c"revoke_times", &REVOKE_TIMES),
            roll <- dir.read_only_file(c"segments", Listing(roll)),
            dir: dir.clone(),
        })
    }
}
