// SPDX-License-Identifier: MIT OR Apache-2.0
//! What exporter, importers and their children share besides the segment: which round it
//! is, how far the exporter has got with it, and what was seen that must not be.
//!
//! Words of a page say whose they are:
//!
//! - the first and the last, [`QUIET`]: nobody but the exporter writes to them;
//! - [`BUSY`]: importers and children write to them;
//! - [`ACK`]: one for each importer thread, which counts what it has written and was told
//!   has arrived.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::common::process::Shared;
use crate::common::raw::PAGE;

pub const PAGES: usize = (16 << 20) / PAGE;
pub const THREADS: usize = 4;

/// Offsets of words in a page.
pub const QUIET: [usize; 2] = [0, PAGE - 8];
pub const BUSY: [usize; 4] = [8, 16, 1024, 2048];
pub const ACK: usize = 512;

const KIND: u64 = 0xf << 60;
const ROUND: u64 = 0xffff_ffff << 28;
const REST: u64 = (1 << 28) - 1;

fn word(kind: u64, round: u64, rest: u64) -> u64 {
    (kind << 60) | ((round << 28) & ROUND) | (rest & REST)
}

/// What the exporter shares in a round.
pub fn old(round: u64, page: usize) -> u64 {
    word(1, round, page as u64)
}

/// What the exporter fills its memory with once it has taken it back.
pub fn new(round: u64, page: usize) -> u64 {
    word(2, round, page as u64)
}

/// What an importer or a child writes.
pub fn own(round: u64, writer: u32) -> u64 {
    word(3, round, u64::from(writer))
}

fn is_somebodys_own(round: u64, value: u64) -> bool {
    value & !REST == own(round, 0)
}

/// The page that holds the acknowledgement word of a thread.
pub fn ack_page(thread: usize) -> usize {
    (thread * 1031 + 7) % PAGES
}

/// Shared by all processes of the test.
#[derive(Debug)]
pub struct Arena {
    /// `round << 32 | segment id` of the segment that is there to connect to.
    published: AtomicU64,
    /// Destroy has returned for this round and all before.
    destroyed: AtomicU64,
    pub stop: AtomicBool,
    /// Last round in which a thread has read something good.
    pub touched: [AtomicU64; THREADS],
    /// `round << 32 | number` of the last write that a thread knows to have arrived.
    pub acknowledged: [AtomicU64; THREADS],
    pub done: Tally,
    violated: AtomicU32,
    violation: [AtomicU64; 6],
}

/// What has been done, to show that the test tests something.
#[derive(Debug, Default)]
pub struct Tally {
    pub reads: AtomicU64,
    pub zeroes: AtomicU64,
    pub writes: AtomicU64,
    pub forks: AtomicU64,
    pub moves: AtomicU64,
    pub unmaps: AtomicU64,
    pub protects: AtomicU64,
    pub acknowledgements: AtomicU64,
    pub aborted_operations: AtomicU64,
}

/// What must not be.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Wrong {
    /// A word that must not be visible.
    Word = 1,
    /// A word that missed the segment, although the connection was said to be live.
    LostButGood = 2,
}

impl Arena {
    pub fn new() -> Shared<Self> {
        // SAFETY: atomics may be zero.
        unsafe { Shared::zeroed() }
    }

    pub fn publish(&self, round: u64, id: u32) {
        self.published
            .store((round << 32) | u64::from(id), Ordering::SeqCst);
    }

    /// The round and the id to connect to.
    pub fn published(&self) -> (u64, u32) {
        let both = self.published.load(Ordering::SeqCst);
        (both >> 32, both as u32)
    }

    /// To be called between destroy and the first write to the memory.
    pub fn destroyed(&self, round: u64) {
        self.destroyed.store(round, Ordering::SeqCst);
    }

    /// Has destroy returned for `round`? To be asked before the load that is judged by it.
    pub fn is_destroyed(&self, round: u64) -> bool {
        self.destroyed.load(Ordering::SeqCst) >= round
    }

    /// Judges a word that was loaded from a mapping made in `round`: what may it be?
    /// `after` is what [`is_destroyed`](Self::is_destroyed) said before the load.
    pub fn judge(
        &self,
        after: bool,
        round: u64,
        page: usize,
        offset: usize,
        mine: u64,
        value: u64,
    ) {
        let good = match value {
            0 => true,
            value if value == mine => !QUIET.contains(&offset),
            value if after => {
                // Nothing but zero and what this process has written is left.
                let _ = value;
                false
            }
            value if value == old(round, page) => true,
            value => !QUIET.contains(&offset) && is_somebodys_own(round, value),
        };
        if !good {
            self.report(Wrong::Word, round, page, offset, value, after);
        }
        let count = if value == 0 {
            &self.done.zeroes
        } else {
            &self.done.reads
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn report(
        &self,
        what: Wrong,
        round: u64,
        page: usize,
        offset: usize,
        value: u64,
        after: bool,
    ) {
        // The first report is kept.
        let first = self
            .violated
            .compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst);
        if first.is_ok() {
            let facts = [
                what as u64,
                round,
                page as u64,
                offset as u64,
                value,
                u64::from(after),
            ];
            for (place, fact) in self.violation.iter().zip(facts) {
                place.store(fact, Ordering::SeqCst);
            }
            self.violated.store(2, Ordering::SeqCst);
        }
    }

    /// Fails if somebody has reported something.
    #[track_caller]
    pub fn assert_clean(&self) {
        if self.violated.load(Ordering::SeqCst) == 0 {
            return;
        }
        crate::common::wait_until("the report", 150, || {
            self.violated.load(Ordering::SeqCst) == 2
        });
        let [what, round, page, offset, value, after] =
            [0, 1, 2, 3, 4, 5].map(|n| self.violation[n].load(Ordering::SeqCst));
        let whose = match value & KIND {
            0 => "zero".into(),
            kind => {
                let who = match kind >> 60 {
                    1 => "the content shared",
                    2 => "the content after take-back",
                    3 => "an importer's word",
                    _ => "a word of nobody",
                };
                format!(
                    "{who} of round {}, {:#x}",
                    (value & ROUND) >> 28,
                    value & REST
                )
            }
        };
        let what = match what {
            1 => "seen",
            _ => "lost, but called good",
        };
        panic!(
            "{what}: {value:#018x} ({whose}) in page {page} at {offset} of a mapping of round \
             {round}, destroy had returned: {}",
            after == 1
        );
    }
}
