// SPDX-License-Identifier: MIT OR Apache-2.0
//! mremap against revocation. The kernel moves a 2 MiB entry by clearing it in the old place
//! and setting it in the new one; a revocation that looks at both places in between finds
//! neither, and the entry stays. The module must see to it that there is nothing to move.
//!
//! One process moves a mapping of one such entry to and fro as fast as it can, while the
//! exporter, on the other processor, takes the memory back at a random moment.
//!
//! With `RSM_MODULE_VARIANT=no-move-hook`, which is a module without the remedy, the test
//! must find mappings that still see the memory: then it would find them with the remedy
//! too, were there any.

#[path = "common/mod.rs"]
mod common;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use rsm::ExportBuffer;

use common::books::Books;
use common::memory::{Map, READ, WRITE};
use common::process::{spawn, stay_on, Shared};
use common::random::{seed, Random};
use common::raw::{self, PAGE};
use common::watchdog::Watchdog;
use common::{debug_kernel, hole_expected, soak, wait_until};

const HUGE: usize = 2 << 20;

/// Rounds after which a hole that is there counts as not found.
const MOST_ROUNDS: u64 = 100_000;

fn rounds() -> u64 {
    match (debug_kernel(), soak()) {
        (false, false) => 1_500,
        (true, false) => 400,
        (false, true) => 100_000,
        (true, true) => 10_000,
    }
}

/// What both processes share. Rounds are counted from 1.
#[derive(Debug)]
struct Stage {
    /// Segment to connect to in the present round; [`END`] ends the test.
    id: AtomicU32,
    /// Rounds in which the mapping is there and has been read.
    mapped: AtomicU64,
    /// Rounds in which destroy has returned and the memory has other content.
    destroyed: AtomicU64,
    finished: AtomicU64,
    moves: AtomicU64,
    /// Rounds in which the mapping still saw the memory, and the last word it saw.
    stale: AtomicU64,
    stale_word: AtomicU64,
}

const END: u32 = u32::MAX;

const OLD: u64 = 0x01d << 32;
const NEW: u64 = 0x2e3 << 32;

#[test]
fn no_moved_mapping_sees_memory_that_was_taken_back() {
    let books = Books::open();
    let expected = hole_expected("no-move-hook");
    // SAFETY: atomics may be zero.
    let stage: Arc<Shared<Stage>> = Arc::new(unsafe { Shared::zeroed() });
    let watchdog = {
        let stage = Arc::clone(&stage);
        Watchdog::start(Duration::from_secs(400), move || format!("{:?}", **stage))
    };
    let mover = spawn(|| {
        stay_on(1);
        let controller = raw::controller();
        // Two places to move between, with nothing else around.
        let places = [huge_place(), huge_place()];
        for round in 1.. {
            match next_id(&stage, round) {
                END => return,
                id => move_about(&stage, &controller, &places, round, id),
            }
        }
    });
    stay_on(0);
    let most = if expected { MOST_ROUNDS } else { rounds() };
    let mut exporter = Exporter::new(&stage);
    let mut done = 0;
    while done < most && stage.stale.load(Ordering::SeqCst) == 0 {
        done += 1;
        exporter.round(done);
        watchdog.feed();
    }
    drop(exporter);
    stage.id.store(END, Ordering::SeqCst);
    mover.join();
    drop(watchdog);

    let [stale, moves, word] =
        [&stage.stale, &stage.moves, &stage.stale_word].map(|n| n.load(Ordering::SeqCst));
    println!("{done} rounds, {moves} moves, {stale} stale");
    if expected {
        assert!(
            stale > 0,
            "the hole was not found in {done} rounds with {moves} moves"
        );
    } else {
        assert_eq!(
            stale, 0,
            "after {done} rounds a mapping saw {word:#x} in memory taken back"
        );
        assert!(moves >= done, "only {moves} moves in {done} rounds");
    }
    drop(stage);
    books.balance();
}

/// The segment of this round, once it is there.
fn next_id(stage: &Stage, round: u64) -> u32 {
    loop {
        match stage.id.load(Ordering::SeqCst) {
            END => return END,
            id if id != 0 && stage.destroyed.load(Ordering::SeqCst) < round => return id,
            // SAFETY: only gives the processor away.
            _ => unsafe { libc::sched_yield() },
        };
    }
}

/// A reserved range of addresses where a 2 MiB entry fits.
fn huge_place() -> *mut u8 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let range = Map::new(2 * HUGE, libc::PROT_NONE, flags, -1, 0).expect("addresses");
    let skew = range.addr().next_multiple_of(HUGE as u64) - range.addr();
    range.leak().wrapping_add(skew as usize)
}

/// Moves a mapping of the segment to and fro until it is gone, then looks at it.
fn move_about(stage: &Stage, controller: &File, places: &[*mut u8; 2], round: u64, id: u32) {
    let import = raw::connect(controller, id, 0o600).expect("connect");
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    let mut at = places[0].cast();
    // SAFETY: in a range that is reserved for it.
    let got = unsafe { libc::mmap(at, HUGE, READ | WRITE, flags, import.fd.as_raw_fd(), 0) };
    assert_eq!(got, at, "mmap: {}", nix::errno::Errno::last());
    let load = |at: *mut libc::c_void| {
        // SAFETY: mapped, aligned, accessed atomically.
        unsafe { AtomicU64::from_ptr(at.cast()) }.load(Ordering::SeqCst)
    };
    assert_eq!(load(at), OLD | round, "content shared");
    stage.mapped.store(round, Ordering::SeqCst);
    let mut moves = 0;
    while stage.destroyed.load(Ordering::SeqCst) < round {
        let to = if at == places[0].cast() {
            places[1]
        } else {
            places[0]
        }
        .cast();
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: as above; nobody else uses the mapping.
        let got = unsafe { libc::mremap(at, HUGE, HUGE, flags, to) };
        assert_eq!(got, to, "mremap: {}", nix::errno::Errno::last());
        at = to;
        moves += 1;
    }
    let word = load(at);
    if word != 0 {
        stage.stale_word.store(word, Ordering::SeqCst);
        stage.stale.fetch_add(1, Ordering::SeqCst);
    }
    stage.moves.fetch_add(moves, Ordering::SeqCst);
    // SAFETY: unmaps what was mapped above.
    assert_eq!(unsafe { libc::munmap(at, HUGE) }, 0);
    drop(import);
    stage.finished.store(round, Ordering::SeqCst);
}

struct Exporter<'a> {
    stage: &'a Stage,
    controller: File,
    memory: Map,
    random: Random,
}

impl<'a> Exporter<'a> {
    fn new(stage: &'a Stage) -> Self {
        let mut buffer = ExportBuffer::huge(HUGE).expect("buffer");
        let base = buffer.as_mut_slice().as_mut_ptr();
        std::mem::forget(buffer);
        Self {
            stage,
            controller: raw::controller(),
            // SAFETY: the buffer is forgotten.
            memory: unsafe { Map::adopt(base, HUGE) },
            random: Random::new(seed(), 0),
        }
    }

    fn round(&mut self, round: u64) {
        self.memory.store(0, OLD | round);
        let segment =
            raw::create(&self.controller, self.memory.addr(), HUGE as u64).expect("create");
        let id = raw::publish_mode(&self.controller, &segment, 0o666).expect("publish");
        self.stage.id.store(id, Ordering::SeqCst);
        wait_until("the mapping", 150, || {
            self.stage.mapped.load(Ordering::SeqCst) == round
        });
        for _ in 0..self.random.below(20_000) {
            std::hint::black_box(self.stage.moves.load(Ordering::SeqCst));
        }
        raw::destroy(&segment).expect("destroy");
        self.memory.store(0, NEW | round);
        self.stage.id.store(0, Ordering::SeqCst);
        self.stage.destroyed.store(round, Ordering::SeqCst);
        wait_until("the end of a round", 150, || {
            self.stage.finished.load(Ordering::SeqCst) == round
        });
        for page in (PAGE..HUGE).step_by(PAGE) {
            assert_eq!(
                self.memory.load(page),
                0,
                "page {} was written to",
                page / PAGE
            );
        }
    }
}
