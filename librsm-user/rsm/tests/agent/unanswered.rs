// SPDX-License-Identifier: MIT OR Apache-2.0
//! Importers never wait for the exporter: neither one that sleeps in a command nor one that has
//! been stopped.

use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use rsm_sys::*;

use crate::common::backing::{memfd, shared_file};
use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::served::Server;
use crate::{Pair, Remote, DEAD, NEW, OLD};

/// More than one fault fills.
const PAGES: usize = 600;

const EXPORTED: usize = 0;
const CONNECTED: usize = 1;
const ASLEEP: usize = 2;
const STOPPED: usize = 3;
const USED: usize = 4;
const REBOUND: usize = 5;
const SEEN: usize = 6;
const DESTROYED: usize = 7;

fn anonymous() -> Map {
    Map::anonymous(PAGES * PAGE)
}

fn file() -> Map {
    shared_file(&memfd(PAGES * PAGE))
}

/// Kinds of memory, and whether the segment ends meanwhile.
const KINDS: [(fn() -> Map, bool); 2] = [(anonymous, false), (file, true)];

/// Reads what has not been touched yet, through the connection that there is and a new one.
#[track_caller]
fn assert_usable(early: &Remote, content: u64) {
    early.window.assert_marked(content, 0);
    raw::post(&early.import, 0).expect("post");
    let late = Remote::of(early.id);
    late.window.assert_marked(content, 0);
    assert!(early.live() && late.live());
    // Disconnects.
    drop(late);
}

/// The exporter sleeps until somebody serves the new memory, whose pages nobody has touched.
#[test]
fn while_it_sleeps_in_rebind() {
    for (memory, destroyed) in KINDS {
        let books = Books::open();
        let steps = Steps::new();
        let exporter = spawn(|| {
            let pair = Pair::with(memory(), RSM_EXPORT_ALLOW_REBIND, 0);
            let new = memory();
            let server = Server::of(&new);
            let (addr, len) = (new.addr(), new.len as u64);
            steps.pass(pair.id);
            steps.reach(EXPORTED);
            steps.await_step(CONNECTED);
            let rebound = std::thread::scope(|scope| {
                scope.spawn(|| {
                    server.await_fault();
                    steps.reach(ASLEEP);
                    steps.await_step(USED);
                    if destroyed {
                        // Does not wait for it either.
                        pair.destroy();
                        steps.reach(DESTROYED);
                        steps.await_step(SEEN);
                    }
                    for page in 0..PAGES as u64 {
                        server.serve(addr + page * PAGE as u64);
                    }
                });
                raw::rebind(&pair.export, addr, len)
            });
            assert_eq!(rebound, if destroyed { Err(DEAD) } else { Ok(()) });
            if !destroyed {
                new.mark(NEW);
                steps.reach(REBOUND);
                steps.await_step(SEEN);
                raw::destroy(&pair.export).expect("destroy");
                new.mark(OLD);
                steps.reach(DESTROYED);
            }
        });
        exporter.await_step(&steps, EXPORTED);
        let importer = spawn(|| {
            let early = Remote::of(steps.passed());
            steps.reach(CONNECTED);
            steps.await_step(ASLEEP);
            assert_usable(&early, OLD);
            steps.reach(USED);
            if !destroyed {
                steps.await_step(REBOUND);
                assert_usable(&early, NEW);
                steps.reach(SEEN);
            }
            steps.await_step(DESTROYED);
            early.assert_taken_back();
            steps.reach(SEEN);
        });
        importer.join();
        exporter.join();
        drop(steps);
        books.balance();
    }
}

#[test]
fn while_it_is_stopped() {
    let books = Books::open();
    let steps = Steps::new();
    let exporter = spawn(|| {
        let pair = Pair::of(anonymous());
        steps.pass(pair.id);
        steps.reach(EXPORTED);
        steps.await_step(USED);
        pair.destroy();
        steps.reach(DESTROYED);
        steps.await_step(SEEN);
    });
    exporter.await_step(&steps, EXPORTED);
    let importer = spawn(|| {
        let early = Remote::of(steps.passed());
        steps.reach(CONNECTED);
        steps.await_step(STOPPED);
        assert_usable(&early, OLD);
        steps.reach(USED);
        steps.await_step(DESTROYED);
        early.assert_taken_back();
    });
    importer.await_step(&steps, CONNECTED);
    kill(exporter.pid, Signal::SIGSTOP).expect("kill");
    let stopped = WaitStatus::Stopped(exporter.pid, Signal::SIGSTOP);
    let status = waitpid(exporter.pid, Some(WaitPidFlag::WUNTRACED));
    assert_eq!(status, Ok(stopped));
    steps.reach(STOPPED);
    importer.await_step(&steps, USED);
    assert!(!steps.has_reached(DESTROYED), "it is still stopped");
    kill(exporter.pid, Signal::SIGCONT).expect("kill");
    importer.join();
    steps.reach(SEEN);
    exporter.join();
    drop(steps);
    books.balance();
}
