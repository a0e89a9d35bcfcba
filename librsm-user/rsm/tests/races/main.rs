// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every two things that can be done to a segment, done at the same moment: by two threads
//! of the exporter, by two of an importer, or by one of each. Afterwards the exporter writes
//! something new to the memory; whoever is still connected must see it, and nobody else.

#[path = "../common/mod.rs"]
mod common;

mod exporter;
mod importer;
mod op;
mod stage;

use common::books::Books;
use common::process::{spawn, Process};
use common::random::{seed, Random};
use common::watchdog::Watchdog;
use common::{debug_kernel, soak};
use exporter::Store;
use nix::sys::signal::Signal;
use op::{Op, ALL};
use stage::{Round, Stage};
use std::slice;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn rounds() -> u64 {
    match (debug_kernel(), soak()) {
        (false, false) => 50,
        (true, false) => 10,
        (false, true) => 1_000,
        (true, true) => 100,
    }
}

/// Races `first` against itself and everything that comes after it in the list.
fn against_the_rest(first: Op) {
    let books = Books::open();
    // For all rounds of a pair.
    let limit = Duration::from_secs(if soak() { 4_000 } else { 400 });
    let watchdog = Watchdog::start(limit, move || format!("races of {first:?}"));
    let mut random = Random::new(seed(), first as u64);
    for second in ALL.into_iter().skip_while(|&op| op != first) {
        let rounds = (0..rounds()).map(|number| Round::new([first, second], number, &mut random));
        race(&rounds.collect::<Vec<_>>());
        watchdog.feed();
    }
    drop(watchdog);
    books.balance();
}

/// Plays the rounds of a pair with one exporter and one importer, or one of them for each round if
/// it does not survive that.
fn race(rounds: &[Round]) {
    let stages = Stage::many();
    let has = |op| rounds.iter().any(|round| round.has(op));
    let (exits, killed) = (has(Op::Exit), has(Op::Kill));
    let exporter = (!exits).then(|| spawn(|| export(&*stages, rounds)));
    let importer = (!killed).then(|| spawn(|| import(&*stages, rounds)));
    for (stage, round) in stages.iter().zip(rounds) {
        let (one_stage, one_round) = (slice::from_ref(stage), slice::from_ref(round));
        let exporter = exits.then(|| spawn(|| export(one_stage, one_round)));
        let importer = killed.then(|| spawn(|| import(one_stage, one_round)));
        if let Some(exporter) = exporter {
            // It has nothing to say of what became of its memory.
            exporter.join();
            stage.marked.store(true, Ordering::Release);
        }
        if let Some(importer) = importer {
            importer.join_killed(Signal::SIGKILL);
            stage.looked.store(true, Ordering::Release);
        }
    }
    importer.into_iter().chain(exporter).for_each(Process::join);
}

fn export(stages: &[Stage], rounds: &[Round]) {
    let mut store = Store::default();
    for (stage, round) in stages.iter().zip(rounds) {
        exporter::play(stage, round, &mut store);
    }
}

fn import(stages: &[Stage], rounds: &[Round]) {
    for (stage, round) in stages.iter().zip(rounds) {
        importer::play(stage, round);
    }
}

macro_rules! races {
    ($($name:ident $op:ident;)*) => {$(
        #[test]
        fn $name() {
            against_the_rest(Op::$op);
        }
    )*};
}

races! {
    fault Fault;
    map Map;
    unmap Unmap;
    mremap Mremap;
    fork Fork;
    connect Connect;
    disconnect Disconnect;
    post Post;
    wait Wait;
    kill Kill;
    rebind Rebind;
    republish Republish;
    unpublish Unpublish;
    destroy Destroy;
    exporter_munmap Munmap;
    exporter_mprotect Mprotect;
    exporter_dontneed Dontneed;
    exporter_exit Exit;
}
