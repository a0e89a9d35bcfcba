// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connecting, and what the options do.

use std::time::Duration;

use nix::sys::signal::Signal::SIGBUS;
use rsm::{Access, ImportOptions, NodeId, SegmentId, Status};

use crate::common::books::Books;
use crate::common::process::{become_user, in_child, spawn};
use crate::{connect, refused, Scene};

#[test]
fn connect_and_its_failures() {
    let books = Books::open();
    let scene = Scene::new(3);
    let node = scene.controller.local_node();
    for access in [Access::None, Access::Read, Access::Write, Access::ReadWrite] {
        let import = scene.connect(access);
        assert_eq!((import.access(), import.len()), (access, 3 * 4096));
        assert!(import.is_live() && !import.is_empty());
    }
    for id in [0, 1, 0x60_0000, u32::MAX] {
        let status = refused(connect(&scene.controller, SegmentId::new(id), Access::Read));
        assert_eq!(status, Status::SegNotPublished, "{id:#x}");
    }
    let foreign = NodeId::new(node.get() + 1);
    let options = ImportOptions::new(Access::Read);
    let status = refused(options.connect(&scene.controller, foreign, scene.id));
    assert_eq!(status, Status::CtlrNotPresent);
    scene.abort();
    let status = refused(connect(&scene.controller, scene.id, Access::Read));
    assert_eq!(status, Status::SegNotPublished);
    drop(scene);
    books.balance();
}

#[test]
fn rights_are_those_of_the_mode() {
    let scene = Scene::new(1);
    let entry = rsm::AccessEntry::new(scene.controller.local_node(), 0o604);
    scene.segment.republish(&[entry]).expect("republish");
    in_child(|| {
        become_user(1001, 1001, &[]);
        let import = connect(&scene.controller, scene.id, Access::Read).expect("connect");
        import.get(0, &mut [0; 8]).expect("get");
        for access in [Access::Write, Access::ReadWrite] {
            let status = refused(connect(&scene.controller, scene.id, access));
            assert_eq!(status, Status::PermDenied);
        }
        connect(&scene.controller, scene.id, Access::None).expect("only to signal");
    });
}

#[test]
fn waiters_are_woken_if_they_asked_for_it() {
    let scene = Scene::new(1);
    let node = scene.controller.local_node();
    let options = ImportOptions::new(Access::Read).wake_on_abort(true);
    let wakes = options
        .connect(&scene.controller, node, scene.id)
        .expect("connect");
    scene
        .segment
        .signal()
        .post(rsm::Post::Accumulate)
        .expect("post");
    std::thread::scope(|scope| {
        wakes.signal().wait(None).expect("the event");
        let waiter = scope.spawn(|| wakes.signal().wait(None));
        std::thread::sleep(Duration::from_millis(20));
        scene.abort();
        assert_eq!(refused(waiter.join().expect("join")), Status::ConnAborted);
    });
    assert_eq!(refused(wakes.signal().try_wait()), Status::ConnAborted);
    let others = scene.import.signal();
    assert_eq!(
        others.try_wait(),
        Ok(true),
        "an event outlives the connection"
    );
    assert_eq!(others.try_wait(), Ok(false), "the others are not told");
}

#[test]
fn sigbus_if_it_was_asked_for() {
    let scene = Scene::new(1);
    let importer = spawn(|| {
        let node = scene.controller.local_node();
        let options = ImportOptions::new(Access::ReadWrite).sigbus(true);
        let import = options
            .connect(&scene.controller, node, scene.id)
            .expect("connect");
        import.put(0, &[1]).expect("put");
        loop {
            let _ = import.put(0, &[2]);
        }
    });
    crate::common::wait_until("the importer puts", 150, || scene.word(0) == 2);
    scene.abort();
    importer.join_killed(SIGBUS);
}
