// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that run out of the memory that they may have.

use std::fs;

use nix::libc;
use nix::sys::signal::Signal;
use rsm_sys::*;

use crate::common::books::{run_everywhere, Books};
use crate::common::control_group::Group;
use crate::common::memory::Map;
use crate::common::process::{asleep_in, in_child, spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::wait_until;
use crate::exporter::{huge, run_exporter, small};
use crate::{Pair, Remote, OLD};

/// The out-of-memory killer takes the memory of a process while it is still ending.
#[test]
fn an_exporter_is_killed_for_want_of_memory() {
    for area in [small, huge] {
        let books = Books::open();
        let group = Group::new("exporter");
        group.limit(24 << 20);
        let steps = Steps::new();
        let (process, remote) = run_exporter(&steps, area, |_| {
            group.enter();
            steps.reach(1);
            Map::anonymous(48 << 20).mark(0);
        });
        process.join_killed(Signal::SIGKILL);
        assert!(steps.has_reached(1));
        assert_eq!(group.events("oom_kill"), 1);
        remote.assert_taken_back();
        drop((remote, steps, group));
        books.balance();
    }
}

/// An importer whose fault finds no memory, and that nobody may kill, tries for ever. The
/// exporter neither waits for it nor fails.
#[test]
fn an_importer_without_memory_holds_up_nobody() {
    const REGION: usize = 2 << 20;
    let books = Books::open();
    let group = Group::new("importer");
    let steps = Steps::new();
    // A window of several page tables.
    let memory = || Map::anonymous(4 * REGION);
    let pair = Pair::with(memory(), RSM_EXPORT_ALLOW_REBIND, 0);
    let importer = spawn(|| {
        group.enter();
        fs::write("/proc/self/oom_score_adj", "-1000").expect("oom_score_adj");
        let remote = Remote::of(pair.id);
        remote.window.touch(0);
        steps.reach(0);
        steps.await_step(1);
        let last = remote.window.len - PAGE;
        remote.window.touch(last);
        steps.reach(2);
        remote.assert_taken_back();
    });
    importer.await_step(&steps, 0);
    // What it takes to wait for the next step is all there.
    wait_until("the importer sleeps", 150, || {
        asleep_in(importer.pid, libc::SYS_clock_nanosleep)
    });
    group.limit(0);
    // Each processor keeps some pages for the group, and is only asked to give them back.
    run_everywhere();
    group.limit(0);
    let before = group.events("max");
    steps.reach(1);
    wait_until("the importer is at its limit", 150, || {
        group.events("max") > before + 10
    });
    let other = memory();
    other.mark(OLD);
    raw::rebind(&pair.export, other.addr(), other.len as u64).expect("rebind");
    pair.window.assert_marked(OLD, 0);
    raw::unpublish(&pair.export).expect("unpublish");
    pair.window.assert_zero();
    raw::publish(&pair.export, 0, &[]).expect("publish");
    pair.destroy();
    assert!(!steps.has_reached(2), "the importer was not held up");
    group.limit("max");
    importer.await_step(&steps, 2);
    importer.join();
    drop((pair, other, steps, group));
    books.balance();
}

/// What is behind revoked windows counts as memory of the process that touches it.
#[test]
fn what_is_behind_revoked_windows_is_charged() {
    let books = Books::open();
    let group = Group::new("importer");
    let pair = Pair::new(512);
    pair.destroy();
    in_child(|| {
        group.enter();
        // The page table does not count as one of them.
        pair.window.store(0, OLD);
        let before = group.current();
        pair.window.mark(OLD);
        let charged = group.current().saturating_sub(before);
        // The kernel charges some dozens of pages in advance.
        let least = 400 * PAGE as u64;
        assert!(charged >= least, "{charged} bytes of 511 pages");
    });
    drop((pair, group));
    books.balance();
}
