// SPDX-License-Identifier: MIT OR Apache-2.0
//! One round, and where the two processes that play it meet.

use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::common::process::Shared;
use crate::common::random::Random;
use crate::common::{debug_kernel, wait_until};
use crate::op::Op;

/// What is raced, and how.
pub struct Round {
    pub ops: [Op; 2],
    /// Turns of a loop that each waits before it begins.
    pub delays: [u64; 2],
    /// Memory of huge pages?
    pub huge: bool,
    /// Does the end of the connection end waits?
    pub woken: bool,
}

/// Most rounds of a pair.
pub const MOST_ROUNDS: usize = 1_000;

/// The longest delay, in turns: all else takes longer on the debug kernel.
fn most_delay() -> usize {
    if debug_kernel() {
        300_000
    } else {
        100_000
    }
}

impl Round {
    pub fn new(ops: [Op; 2], number: u64, random: &mut Random) -> Self {
        let mut delays = [0; 2];
        // One of them begins at once.
        delays[(number % 2) as usize] = random.below(most_delay()) as u64;
        Self {
            ops,
            delays,
            huge: number % 4 >= 2,
            woken: number % 8 >= 4,
        }
    }

    pub fn has(&self, op: Op) -> bool {
        self.ops.contains(&op)
    }

    /// Does the exporter do it? It posts where the importer waits.
    pub fn is_exporters(&self, index: usize) -> bool {
        let op = self.ops[index];
        op.is_exporters() || (op == Op::Post && self.has(Op::Wait))
    }

    /// Must the connection have ended when all is done?
    pub fn must_end(&self) -> bool {
        let may_stand_elsewhere = self.has(Op::Rebind);
        self.ops
            .iter()
            .any(|op| op.takes_back() || (op.spoils_first_memory() && !may_stand_elsewhere))
    }

    /// May the connection have ended when all is done?
    pub fn may_end(&self) -> bool {
        self.ops
            .iter()
            .any(|op| op.takes_back() || op.spoils_first_memory())
    }
}

/// Where exporter and importer meet.
#[derive(Debug)]
pub struct Stage {
    /// The segment, once it is published.
    pub id: AtomicU32,
    /// The importer is connected.
    pub ready: AtomicBool,
    /// Threads that have come. They sleep until there are two: the other may take long to
    /// come, and needs a processor for that.
    here: AtomicU32,
    /// Threads that wait to begin.
    waiting: AtomicU32,
    /// Operations that are over.
    over: AtomicU32,
    /// The exporter has written something new, or is gone.
    pub marked: AtomicBool,
    /// The importer has looked at it, or is gone.
    pub looked: AtomicBool,
}

impl Stage {
    /// One for each round of a pair.
    pub fn many() -> Shared<[Self; MOST_ROUNDS]> {
        // SAFETY: atomics may be zero.
        unsafe { Shared::zeroed() }
    }

    /// Waits for the other operation, then as long as this one is to wait, and does it.
    pub fn perform(&self, round: &Round, index: usize, operation: impl FnOnce(Op)) {
        self.here.fetch_add(1, Ordering::AcqRel);
        wait_until("both are here", 60, || {
            self.here.load(Ordering::Acquire) >= 2
        });
        self.waiting.fetch_add(1, Ordering::AcqRel);
        wait_for(|| self.waiting.load(Ordering::Acquire) >= 2);
        // No pause: an emulated processor leaves its loop for each.
        for turn in 0..round.delays[index] {
            black_box(turn);
        }
        let op = round.ops[index];
        if op.ends_its_process() {
            // It kills its process, and what that does besides: over before it has begun.
            let both = round.is_exporters(0) == round.is_exporters(1);
            self.over
                .fetch_add(if both { 2 } else { 1 }, Ordering::AcqRel);
            operation(op);
        } else {
            operation(op);
            self.over.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Waits until both operations are over.
    pub fn await_end(&self) {
        wait_until("both operations are over", 150, || {
            self.over.load(Ordering::Acquire) >= 2
        });
    }
}

/// Waits without sleeping for long: what waits is to begin at once.
fn wait_for(condition: impl Fn() -> bool) {
    for turn in 0_u64.. {
        if condition() {
            return;
        }
        if turn % 1000 == 999 {
            std::thread::yield_now();
        }
        assert!(turn < 10_000_000_000, "the other never came");
        spin_loop();
    }
}
