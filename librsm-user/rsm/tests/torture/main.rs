// SPDX-License-Identifier: MIT OR Apache-2.0
//! Revocation under load. Two processes with two threads each read, write, fork, move and
//! unmap a segment of 16 MiB in a loop while its exporter destroys and makes it again. What
//! the exporter takes back it fills with another pattern at once: no importer and no forked
//! child may ever see that, nor, once destroy has returned, what was there before; no write
//! of theirs may reach it; and no write that they were told has arrived may be missing.

#[path = "../common/mod.rs"]
mod common;

mod arena;
mod importer;

use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use arena::{ack_page, new, old, Arena, ACK, BUSY, PAGES, QUIET, THREADS};
use common::books::Books;
use common::memory::Map;
use common::process::{spawn, Process, Shared};
use common::random::{seed, Random};
use common::raw::{self, PAGE};
use common::watchdog::Watchdog;
use common::{debug_kernel, soak, wait_until};
use nix::libc;
use rsm::ExportBuffer;

const PROCESSES: usize = 2;

fn rounds() -> u64 {
    if let Ok(rounds) = std::env::var("RSM_ROUNDS") {
        return rounds.parse().expect("RSM_ROUNDS is a number");
    }
    match (debug_kernel(), soak()) {
        (false, false) => 500,
        (true, false) => 50,
        (false, true) => 20_000,
        (true, true) => 2_000,
    }
}

#[test]
fn small_pages() {
    torture(|| Map::anonymous(PAGES * PAGE));
}

#[test]
fn huge_pages() {
    torture(|| {
        let mut buffer = ExportBuffer::huge(PAGES * PAGE).expect("buffer");
        let base = buffer.as_mut_slice().as_mut_ptr();
        std::mem::forget(buffer);
        // SAFETY: the buffer is forgotten.
        unsafe { Map::adopt(base, PAGES * PAGE) }
    });
}

fn torture(memory: impl FnOnce() -> Map) {
    let books = Books::open();
    let seed = seed();
    let rounds = rounds();
    let arena = Arc::new(Arena::new());
    let watchdog = {
        let arena = Arc::clone(&arena);
        let limit = Duration::from_secs(400);
        Watchdog::start(limit, move || format!("{:?}", **arena))
    };
    // Before the exporter has any memory: what a child inherits would be copied.
    let importers: Vec<Process> = (0..PROCESSES)
        .map(|n| start_importer(&arena, seed, n))
        .collect();
    prefer_this_thread();
    let mut exporter = Exporter {
        arena: &arena,
        controller: raw::controller(),
        memory: memory(),
        random: Random::new(seed, 99),
    };
    // A few rounds may happen to be too few for some of what importers do.
    let most = rounds + (19 * rounds).min(1_000);
    let mut round = 0;
    while round < rounds || (round < most && !enough(&arena, rounds)) {
        round += 1;
        exporter.round(round);
        watchdog.feed();
    }
    arena.stop.store(true, Ordering::SeqCst);
    for importer in importers {
        importer.join();
    }
    arena.assert_clean();
    exporter.assert_own(round);
    drop(exporter);
    assert_something_was_done(&arena, rounds);
    drop(watchdog);
    drop(arena);
    books.balance();
}

/// The exporter is to be held up by what importers do in the kernel, not by how many they
/// are.
fn prefer_this_thread() {
    // SAFETY: a number of this thread.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -15) };
    assert_eq!(result, 0, "setpriority: {}", nix::errno::Errno::last());
}

fn start_importer(arena: &Shared<Arena>, seed: u64, process: usize) -> Process {
    spawn(|| {
        const EACH: usize = THREADS / PROCESSES;
        std::thread::scope(|scope| {
            for thread in process * EACH..(process + 1) * EACH {
                let random = Random::new(seed, thread as u64);
                scope.spawn(move || importer::run(arena, thread, random));
            }
        });
    })
}

/// The owner of the memory.
struct Exporter<'a> {
    arena: &'a Arena,
    controller: File,
    memory: Map,
    random: Random,
}

impl Exporter<'_> {
    /// Shares the memory, lets the importers at it, and takes it back.
    fn round(&mut self, round: u64) {
        self.prepare(round);
        let len = self.memory.len as u64;
        let segment = raw::create(&self.controller, self.memory.addr(), len).expect("create");
        let id = raw::publish_mode(&self.controller, &segment, 0o666).expect("publish");
        self.arena.publish(round, id);

        // Both processes are at it; then at any moment.
        wait_until("importers read the segment", 150, || {
            self.arena.assert_clean();
            let touched = |threads: &[_]| {
                threads
                    .iter()
                    .any(|t: &std::sync::atomic::AtomicU64| t.load(Ordering::Relaxed) >= round)
            };
            self.arena.touched.chunks(THREADS / PROCESSES).all(touched)
        });
        std::thread::sleep(Duration::from_micros(self.random.below(3000) as u64));

        if self.random.below(4) > 0 {
            raw::destroy(&segment).expect("destroy");
        }
        // Otherwise this is what ends it.
        drop(segment);
        self.arena.destroyed(round);
        self.assert_acknowledged(round);
        self.overwrite(round);
        self.arena.assert_clean();

        // Importers are still about, with what was theirs.
        std::thread::sleep(Duration::from_micros(self.random.below(1000) as u64));
        if round % 8 == 0 {
            self.assert_own(round);
        }
    }

    fn words() -> impl Iterator<Item = usize> {
        let acks = (0..THREADS).map(|thread| ACK + 8 * thread);
        QUIET.into_iter().chain(BUSY).chain(acks)
    }

    /// Gives the words that importers look at the content to share. Until now they have
    /// had what they got when the memory was taken back.
    #[track_caller]
    fn prepare(&self, round: u64) {
        for page in 0..PAGES {
            let expected = if round == 1 { 0 } else { new(round - 1, page) };
            for offset in Self::words() {
                let word = self.memory.word(page * PAGE + offset);
                let seen = word.swap(old(round, page), Ordering::Relaxed);
                assert_eq!(
                    seen, expected,
                    "before round {round}: page {page} has {seen:#x} at {offset}, not {expected:#x}"
                );
            }
        }
    }

    /// First the words that importers look at, as quickly as can be, then all the rest.
    fn overwrite(&mut self, round: u64) {
        for page in 0..PAGES {
            for offset in Self::words() {
                self.memory.store(page * PAGE + offset, new(round, page));
            }
        }
        for (page, words) in self.contents().chunks_exact_mut(PAGE / 8).enumerate() {
            words.fill(new(round, page));
        }
    }

    /// The memory, between take-back and the next round.
    fn contents(&mut self) -> &mut [u64] {
        // SAFETY: destroy has returned, so nobody else can reach it; that this is true is
        // what the test is about.
        unsafe { std::slice::from_raw_parts_mut(self.memory.at(0).cast(), PAGES * PAGE / 8) }
    }

    /// All of the memory is as the exporter left it when it took it back.
    #[track_caller]
    fn assert_own(&mut self, round: u64) {
        for (page, words) in self.contents().chunks_exact(PAGE / 8).enumerate() {
            let expected = new(round, page);
            if let Some(word) = words.iter().position(|&word| word != expected) {
                panic!(
                    "round {round}: page {page} has {:#x} at {}, not {expected:#x}, after it \
                     was taken back",
                    words[word],
                    word * 8
                );
            }
        }
    }

    /// What importers were told has arrived is there.
    #[track_caller]
    fn assert_acknowledged(&self, round: u64) {
        for thread in 0..THREADS {
            let told = self.arena.acknowledged[thread].load(Ordering::SeqCst);
            let word = ack_page(thread) * PAGE + ACK + 8 * thread;
            let there = self.memory.load(word);
            if told >> 32 == round {
                assert!(
                    there >> 32 == round && there >= told,
                    "round {round}: thread {thread} was told that {told:#x} has arrived, \
                     the segment had {there:#x}"
                );
            }
        }
    }
}

/// What importers have done: how often, and how often at least for it to mean anything.
fn tally(arena: &Arena, rounds: u64) -> [(&'static str, u64, u64); 9] {
    let done = &arena.done;
    [
        ("reads", &done.reads, 100 * rounds),
        ("zeroes seen", &done.zeroes, rounds),
        ("writes", &done.writes, 50 * rounds),
        ("forks", &done.forks, rounds / 10),
        ("moves", &done.moves, rounds / 10),
        ("unmaps", &done.unmaps, rounds / 10),
        ("changes of protection", &done.protects, rounds / 10),
        ("acknowledgements", &done.acknowledgements, rounds),
        ("operations cut off", &done.aborted_operations, rounds / 2),
    ]
    .map(|(what, count, least)| (what, count.load(Ordering::Relaxed), least))
}

fn enough(arena: &Arena, rounds: u64) -> bool {
    let tally = tally(arena, rounds);
    tally.iter().all(|&(_, count, least)| count >= least)
}

#[track_caller]
fn assert_something_was_done(arena: &Arena, rounds: u64) {
    for (what, count, least) in tally(arena, rounds) {
        println!("{what}: {count}");
        assert!(
            count >= least,
            "{what}: {count} in {rounds} rounds, too few to mean anything"
        );
    }
}
