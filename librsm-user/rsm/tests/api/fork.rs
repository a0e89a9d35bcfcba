// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a forked child can do with what it inherits.

use rsm::{Access, Post, Status};

use crate::common::books::Books;
use crate::common::process::{in_child, spawn, Steps};
use crate::common::raw::PAGE;
use crate::{refused, Scene};

#[test]
fn inherited_imports_work() {
    let books = Books::open();
    let scene = Scene::new(2);
    let window = scene.import.map().expect("map");
    for first in [true, false] {
        in_child(|| {
            // The first child has to make its window, the second one inherits it.
            scene.import.put64(0, &[u64::from(first) + 1]).expect("put");
            window.write_at(PAGE, &[7]).expect("write");
            assert_eq!((scene.import.check(), window.check()), (Ok(()), Ok(())));
            scene.import.map().expect("map");
            scene.import.signal().post(Post::Accumulate).expect("post");
        });
        assert_eq!(scene.word(0), u64::from(first) + 1);
        assert_eq!(scene.segment.signal().try_wait(), Ok(true));
        scene.import.put64(8, &[1]).expect("put");
    }
    drop((window, scene));
    books.balance();
}

#[test]
fn what_a_child_drops_is_its_own_copy() {
    let books = Books::open();
    let mut scene = Some(Scene::new(1));
    scene.as_ref().map(|scene| scene.import.put64(0, &[1]));
    in_child(|| drop(scene.take()));
    let scene = scene.expect("only the child's is gone");
    scene.import.put64(0, &[2]).expect("put");
    assert_eq!(scene.word(0), 2);
    drop(scene);
    books.balance();
}

#[test]
fn a_child_is_told_of_the_end_too() {
    let scene = Scene::new(1);
    scene.import.put64(0, &[1]).expect("put");
    let steps = Steps::new();
    let child = spawn(|| {
        scene.import.put64(0, &[2]).expect("put");
        steps.reach(0);
        steps.await_step(1);
        assert_eq!(refused(scene.import.put64(0, &[3])), Status::ConnAborted);
        let window = scene.import.window().expect("inherited");
        assert_eq!(window.bytes().load_u64(0), Ok(3), "its own memory now");
        steps.reach(2);
    });
    child.await_step(&steps, 0);
    scene.abort();
    steps.reach(1);
    child.await_step(&steps, 2);
    let window = scene.import.window().expect("window");
    assert_eq!(window.bytes().load_u64(0), Ok(0), "and ours is another");
    assert_eq!(scene.word(0), 2);
    child.join();
}

#[test]
fn an_exporters_memory_is_not_its_childs() {
    let scene = Scene::new(1);
    scene.segment.bytes().store_u64(0, 1).expect("store");
    in_child(|| {
        let ours = scene.segment.bytes();
        assert_eq!(ours.load_u64(0), Ok(1), "a copy");
        ours.store_u64(0, 2).expect("store");
        let import = scene.connect(Access::Read);
        let mut word = [0];
        import.get64(0, &mut word).expect("get");
        assert_eq!(word, [1]);
        scene
            .segment
            .signal()
            .post(Post::Accumulate)
            .expect("anybody may");
    });
    assert_eq!(scene.word(0), 1);
    assert_eq!(scene.import.signal().try_wait(), Ok(true));
}

#[test]
fn fork_while_other_threads_make_windows() {
    // Nothing that a child needs may be locked by a thread that it does not have.
    for _ in 0..crate::common::rounds(20) {
        let scene = Scene::new(1);
        let start = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                for _ in 0..50 {
                    scene.connect(Access::ReadWrite).put(0, &[1]).expect("put");
                }
                scene.import.put(0, &[1]).expect("put");
            });
            start.wait();
            for _ in 0..3 {
                in_child(|| scene.import.put(8, &[1]).expect("put"));
            }
        });
    }
}
