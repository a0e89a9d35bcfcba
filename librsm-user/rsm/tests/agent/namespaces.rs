// SPDX-License-Identifier: MIT OR Apache-2.0
//! IPC namespaces: each has segment ids of its own, and a controller is of the one in which
//! it was opened.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sched::{setns, unshare, CloneFlags};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, failure, Connection, PAGE};
use crate::{map, Remote, NOT_PUBLISHED};

const ID: u32 = 0x60_6000;

/// Does `part` in a new IPC namespace, which ends with it if nothing is left that was opened
/// there.
fn in_new_namespace<T: Send>(part: impl FnOnce() -> T + Send) -> T {
    // A namespace belongs to a thread.
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWIPC).expect("unshare");
            part()
        });
        thread.join().expect("the other namespace")
    })
}

/// A segment under an id, whose first word says which it is.
struct Segment {
    controller: File,
    memory: Map,
    export: OwnedFd,
}

impl Segment {
    fn of(controller: File, word: u64) -> Self {
        let memory = Map::anonymous(PAGE);
        memory.store(0, word);
        let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
        Self {
            controller,
            memory,
            export,
        }
    }
}

/// What is seen of a segment under this id through this controller.
fn look(controller: &File, id: u32) -> Result<u64, raw::Failure> {
    let import: Connection = raw::connect(controller, id, 0o600)?;
    Ok(map(&import, READ | WRITE).load(0))
}

#[test]
fn each_has_ids_of_its_own() {
    let books = Books::open();
    let here = Segment::of(raw::controller(), 1);
    let there = in_new_namespace(|| Segment::of(raw::controller(), 2));
    let elsewhere = in_new_namespace(raw::controller);
    assert_eq!(raw::publish(&here.export, ID, &[]), Ok(ID));
    assert_eq!(look(&here.controller, ID), Ok(1));
    assert_eq!(look(&there.controller, ID), Err(NOT_PUBLISHED));
    assert_eq!(raw::publish(&there.export, ID, &[]), Ok(ID), "free there");
    assert_eq!(look(&here.controller, ID), Ok(1));
    assert_eq!(look(&there.controller, ID), Ok(2));
    assert_eq!(look(&elsewhere, ID), Err(NOT_PUBLISHED));
    // Within one it is taken.
    for (segment, word) in [(&here, 3), (&there, 4)] {
        let controller = segment.controller.try_clone().expect("dup");
        let second = Segment::of(controller, word);
        let in_use = failure(Errno::EADDRINUSE, RSM_STATUS_SEGID_IN_USE);
        assert_eq!(raw::publish(&second.export, ID, &[]), Err(in_use));
    }
    raw::unpublish(&here.export).expect("unpublish");
    assert_eq!(look(&here.controller, ID), Err(NOT_PUBLISHED));
    assert_eq!(
        look(&there.controller, ID),
        Ok(2),
        "the other is not concerned"
    );
    there.memory.store(0, 5);
    assert_eq!(look(&there.controller, ID), Ok(5));
    drop((here, there, elsewhere));
    books.balance();
}

#[test]
fn assigned_ids_are_never_the_same() {
    let books = Books::open();
    let here = Segment::of(raw::controller(), 1);
    let there = in_new_namespace(|| Segment::of(raw::controller(), 2));
    let mut last = 0;
    for _ in 0..20 {
        for (segment, other, word) in [(&here, &there, 1), (&there, &here, 2)] {
            let id = raw::publish(&segment.export, 0, &[]).expect("publish");
            assert!(id > last, "{id:#x} after {last:#x}");
            last = id;
            assert_eq!(look(&segment.controller, id), Ok(word));
            assert_eq!(look(&other.controller, id), Err(NOT_PUBLISHED));
            raw::unpublish(&segment.export).expect("unpublish");
        }
    }
    drop((here, there));
    books.balance();
}

/// Where the one who uses it is now does not matter.
#[test]
fn a_controller_keeps_its_namespace() {
    let books = Books::open();
    let old = raw::controller();
    let segment = in_new_namespace(|| {
        // Opened before, used now: of the old namespace.
        let segment = Segment::of(old.try_clone().expect("dup"), 1);
        assert_eq!(raw::publish(&segment.export, ID, &[]), Ok(ID));
        assert_eq!(look(&old, ID), Ok(1));
        assert_eq!(look(&raw::controller(), ID), Err(NOT_PUBLISHED));
        segment
    });
    assert_eq!(look(&raw::controller(), ID), Ok(1));
    drop(segment);
    assert_eq!(look(&old, ID), Err(NOT_PUBLISHED));
    drop(old);
    books.balance();
}

/// Those who enter a namespace see what is there.
#[test]
fn entering_a_namespace() {
    let books = Books::open();
    let steps = Steps::new();
    let exporter = spawn(|| {
        unshare(CloneFlags::CLONE_NEWIPC).expect("unshare");
        let segment = Segment::of(raw::controller(), 7);
        steps.pass(raw::publish(&segment.export, ID, &[]).expect("publish"));
        steps.reach(0);
        steps.await_step(1);
        segment.memory.store(0, 8);
        steps.reach(2);
        steps.await_step(3);
    });
    exporter.await_step(&steps, 0);
    assert_eq!(look(&raw::controller(), ID), Err(NOT_PUBLISHED));
    let namespace = File::open(format!("/proc/{}/ns/ipc", exporter.pid)).expect("ns");
    let remote = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(&namespace, CloneFlags::CLONE_NEWIPC).expect("setns");
            Remote::of(ID)
        });
        thread.join().expect("the other namespace")
    });
    drop(namespace);
    assert_eq!(remote.window.load(0), 7);
    steps.reach(1);
    exporter.await_step(&steps, 2);
    assert_eq!(remote.window.load(0), 8, "a connection crosses the border");
    steps.reach(3);
    exporter.join();
    remote.assert_taken_back();
    drop((remote, steps));
    books.balance();
}

/// Nobody is in the namespace any more, but what was opened there works on.
#[test]
fn a_namespace_that_everybody_has_left() {
    let books = Books::open();
    for _ in 0..20 {
        let left = in_new_namespace(raw::controller);
        let segment = Segment::of(left.try_clone().expect("dup"), 3);
        assert_eq!(raw::publish(&segment.export, ID, &[]), Ok(ID));
        drop(left);
        assert_eq!(look(&segment.controller, ID), Ok(3));
        assert_eq!(look(&raw::controller(), ID), Err(NOT_PUBLISHED));
        let Segment {
            controller,
            memory,
            export,
        } = segment;
        // The export is the last of it.
        drop(controller);
        raw::unpublish(&export).expect("unpublish");
        assert_eq!(raw::publish(&export, ID, &[]), Ok(ID));
        drop((export, memory));
    }
    books.balance();
}
