// SPDX-License-Identifier: MIT OR Apache-2.0
//! fork against revocation. The kernel copies a 2 MiB entry of the parent's page table to
//! the child's in two steps; if the memory is taken back between them, the entry reaches
//! the child's table after the revocation has been there, and stays. The module must see to
//! it that there is nothing to copy.
//!
//! To get between the two steps, the exporter runs on the forking process's processor with
//! real-time priority, and is woken at a random moment of the fork from the other processor.
//!
//! With `RSM_MODULE_VARIANT=no-fork-hook`, which is a module without the remedy, the test
//! must find children that still see the memory: then it would find them with the remedy
//! too, were there any.

#[path = "common/mod.rs"]
mod common;

use std::hint::spin_loop;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use rsm::ExportBuffer;

use common::books::Books;
use common::memory::{Map, READ};
use common::process::{spawn, stay_on, take_precedence, Shared};
use common::random::{seed, Random};
use common::raw;
use common::watchdog::Watchdog;
use common::{debug_kernel, hole_expected, soak};

const HUGE: usize = 2 << 20;

/// 2 MiB pages in the segment.
const ENTRIES: usize = 16;

/// Mappings of the segment: the more there is to copy, the more of the fork is copying.
const WINDOWS: usize = 4;

/// Forks to measure how long one takes.
const MEASURED: u64 = 20;

/// Forks after which a hole that is there counts as not found.
const MOST_FORKS: u64 = 100_000;

fn forks() -> u64 {
    match (debug_kernel(), soak()) {
        (false, false) => 4_000,
        (true, false) => 100,
        (false, true) => 100_000,
        (true, true) => 10_000,
    }
}

/// What all processes of the test share. Numbers are those of rounds, of which each has one
/// fork; 0 is none.
#[derive(Debug)]
struct Stage {
    fork_begun: AtomicU64,
    fork_ended: AtomicU64,
    destroyed: AtomicU64,
    /// Words that children saw after destroy had returned, and the last of them.
    stale: AtomicU64,
    stale_word: AtomicU64,
}

#[test]
fn no_child_sees_memory_that_was_taken_back() {
    let books = Books::open();
    let expected = hole_expected("no-fork-hook");
    // SAFETY: atomics may be zero.
    let stage: Arc<Shared<Stage>> = Arc::new(unsafe { Shared::zeroed() });
    let watchdog = {
        let stage = Arc::clone(&stage);
        Watchdog::start(Duration::from_secs(400), move || format!("{:?}", **stage))
    };
    // Whoever waits sleeps: the processor belongs to the one whose turn it is.
    let (ours, mut theirs) = UnixStream::pair().expect("socket pair");
    let forker = spawn(|| {
        stay_on(0);
        let mut id = [0; 4];
        for round in 1.. {
            theirs.read_exact(&mut id).expect("the id of a segment");
            match u32::from_ne_bytes(id) {
                0 => return,
                id => visit(&stage, round, id),
            }
            theirs.write_all(&[1]).expect("the end of a round");
        }
    });
    drop(theirs);
    let mut revoker = Revoker::new(&stage, ours);
    let most = if expected { MOST_FORKS } else { forks() };
    let mut forks = 0;
    while forks < most && stage.stale.load(Ordering::SeqCst) == 0 {
        revoker.round();
        forks += 1;
        watchdog.feed();
    }
    let interrupted = revoker.interrupted;
    revoker.end();
    forker.join();
    drop(watchdog);

    let stale = stage.stale.load(Ordering::SeqCst);
    let word = stage.stale_word.load(Ordering::SeqCst);
    println!("{forks} forks, {interrupted} of them interrupted, {stale} stale words");
    if expected {
        assert!(
            stale > 0,
            "the hole was not found in {forks} forks ({interrupted} interrupted)"
        );
    } else {
        assert_eq!(
            stale, 0,
            "after {forks} forks a child saw {word:#x} in memory taken back"
        );
        assert!(
            interrupted >= forks / 10,
            "only {interrupted} of {forks} forks were interrupted"
        );
    }
    drop(stage);
    books.balance();
}

/// Owns the memory and takes it back in the midst of forks.
struct Revoker<'a> {
    stage: &'a Stage,
    controller: std::fs::File,
    memory: Map,
    round: u64,
    interrupted: u64,
    trigger: Trigger,
    forker: UnixStream,
}

impl<'a> Revoker<'a> {
    fn new(stage: &'a Arc<Shared<Stage>>, forker: UnixStream) -> Self {
        let mut buffer = ExportBuffer::huge(ENTRIES * HUGE).expect("buffer");
        let base = buffer.as_mut_slice().as_mut_ptr();
        std::mem::forget(buffer);
        let trigger = Trigger::start(stage);
        stay_on(0);
        take_precedence();
        Self {
            stage,
            controller: raw::controller(),
            // SAFETY: the buffer is forgotten.
            memory: unsafe { Map::adopt(base, ENTRIES * HUGE) },
            round: 0,
            interrupted: 0,
            trigger,
            forker,
        }
    }

    fn fill(&self, kind: u64) {
        for entry in 0..ENTRIES {
            self.memory.store(entry * HUGE, (kind << 32) | self.round);
        }
    }

    fn round(&mut self) {
        self.round += 1;
        self.fill(0x01d);
        let len = self.memory.len as u64;
        let segment = raw::create(&self.controller, self.memory.addr(), len).expect("create");
        let id = raw::publish_mode(&self.controller, &segment, 0o666).expect("publish");

        // Meanwhile the other process gets ready and forks on this processor.
        self.trigger.arm();
        self.forker
            .write_all(&id.to_ne_bytes())
            .expect("the id of a segment");
        self.trigger.wait(self.round);
        let ended = self.stage.fork_ended.load(Ordering::SeqCst) == self.round;
        self.interrupted += u64::from(!ended);
        raw::destroy(&segment).expect("destroy");
        self.stage.destroyed.store(self.round, Ordering::SeqCst);
        self.fill(0x2e3);

        self.forker
            .read_exact(&mut [0])
            .expect("the end of a round");
    }

    fn end(mut self) {
        self.forker.write_all(&[0; 4]).expect("the end");
        self.trigger.end();
    }
}

/// A thread on the other processor that watches the forks and wakes the revoker.
struct Trigger {
    rounds: Sender<()>,
    thread: std::thread::JoinHandle<()>,
    /// The round in which the revoker may go on.
    go: Arc<AtomicU64>,
}

impl Trigger {
    /// To be started by the thread that it will wake.
    fn start(stage: &Arc<Shared<Stage>>) -> Self {
        let stage = Arc::clone(stage);
        let (rounds, armed) = channel();
        let go = Arc::new(AtomicU64::new(0));
        let revoker = std::thread::current();
        let mut random = Random::new(seed(), 0);
        let signal = Arc::clone(&go);
        let thread = std::thread::spawn(move || {
            stay_on(1);
            let mut length = 0;
            for (round, ()) in (1..).zip(armed) {
                turns_until(&stage.fork_begun, round);
                if round <= MEASURED {
                    let turns = turns_until(&stage.fork_ended, round);
                    length = if round == 1 { turns } else { turns.min(length) };
                } else {
                    // Now and then too late, so as not to miss the end.
                    let turns = random.below(length as usize * 9 / 8 + 1) as u64;
                    (0..turns).for_each(|_| look(&stage.fork_ended));
                }
                signal.store(round, Ordering::SeqCst);
                revoker.unpark();
            }
        });
        Self { rounds, thread, go }
    }

    /// There will be a fork.
    fn arm(&self) {
        self.rounds.send(()).expect("trigger");
    }

    fn wait(&self, round: u64) {
        while self.go.load(Ordering::SeqCst) < round {
            std::thread::park();
        }
    }

    fn end(self) {
        drop(self.rounds);
        self.thread.join().expect("trigger");
    }
}

/// A turn of the loop that measures time.
fn look(number: &AtomicU64) {
    std::hint::black_box(number.load(Ordering::SeqCst));
    spin_loop();
}

/// Spins until `number` is `round`, and counts the turns.
fn turns_until(number: &AtomicU64, round: u64) -> u64 {
    let mut turns = 0;
    while number.load(Ordering::SeqCst) < round {
        turns += 1;
        look(number);
    }
    turns
}

/// One round of the forking process: maps the segment many times, touches all of it, forks.
fn visit(stage: &Stage, round: u64, id: u32) {
    let controller = raw::controller();
    let import = raw::connect(&controller, id, 0o400).expect("connect");
    let windows: Vec<Map> = (0..WINDOWS)
        .map(|_| Map::shared(import.fd.as_raw_fd(), ENTRIES * HUGE, READ).expect("map"))
        .collect();
    for window in &windows {
        for entry in 0..ENTRIES {
            assert_eq!(
                window.load(entry * HUGE),
                (0x01d << 32) | round,
                "content shared"
            );
        }
    }
    stage.fork_begun.store(round, Ordering::SeqCst);
    // SAFETY: the child touches nothing but mappings and the stage.
    match unsafe { libc::fork() } {
        0 => live_as_child(stage, round, &windows),
        -1 => panic!("fork: {}", nix::errno::Errno::last()),
        child => {
            stage.fork_ended.store(round, Ordering::SeqCst);
            let mut status = 0;
            // SAFETY: our own child.
            let got = unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!((got, status), (child, 0), "end of the forked child");
        }
    }
}

/// Looks at all that was inherited once destroy has returned.
fn live_as_child(stage: &Stage, round: u64, windows: &[Map]) -> ! {
    while stage.destroyed.load(Ordering::SeqCst) < round {
        // SAFETY: only gives the processor away.
        unsafe { libc::sched_yield() };
    }
    for window in windows {
        for entry in 0..ENTRIES {
            let word = window.load(entry * HUGE);
            if word != 0 {
                stage.stale_word.store(word, Ordering::SeqCst);
                stage.stale.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    // SAFETY: ends the process without running what belongs to the parent.
    unsafe { libc::_exit(0) }
}
