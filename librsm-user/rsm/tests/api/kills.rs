// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIGKILL for either side, in the middle of anything.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsm::{Access, Controller, ImportOptions, ImportSegment, Post, SegmentId, Status};

use crate::common::books::Books;
use crate::common::process::{spawn, Process, Shared, Steps};
use crate::common::random::{self, Random};
use crate::common::raw::PAGE;
use crate::common::{rounds, wait_until};
use crate::{connect, published, refused, Scene};

/// What the victim does over and over.
type Work = fn(&Controller, SegmentId, &ImportSegment) -> rsm::Result<()>;

const WORK: [(&str, Work); 6] = [
    ("put", |_, _, import| import.put(100, &[1; PAGE])),
    ("get", |_, _, import| import.get(0, &mut [0; 2 * PAGE])),
    ("map", |_, _, import| {
        let window = import.map()?;
        window.prefault(0, 2 * PAGE)?;
        window.check()
    }),
    ("wait", |_, _, import| {
        match import.signal().wait(Some(Duration::from_millis(1))) {
            Err(error) if error.status() == Status::Timeout => import.check(),
            other => other,
        }
    }),
    ("post", |_, _, import| {
        import.signal().post(Post::Accumulate)
    }),
    ("connect", |controller, id, _| {
        connect(controller, id, Access::Read)?.get(0, &mut [0; 8])
    }),
];

#[test]
fn importers() {
    let books = Books::open();
    let mut random = Random::new(random::seed(), 0);
    for (name, work) in WORK {
        for _ in 0..rounds(10) {
            let scene = Scene::new(3);
            // SAFETY: an atomic may be zero.
            let begun = unsafe { Shared::<AtomicU64>::zeroed() };
            let victim = spawn(|| {
                let import = scene.connect(Access::ReadWrite);
                loop {
                    work(&scene.controller, scene.id, &import).expect(name);
                    begun.fetch_add(1, Ordering::Relaxed);
                }
            });
            wait_until(name, 150, || {
                begun.load(Ordering::Relaxed) > 2 || victim.has_ended()
            });
            std::thread::sleep(Duration::from_micros(random.below(3000) as u64));
            victim.kill();
            // Nobody else notices.
            scene.segment.signal().post(Post::Accumulate).expect("post");
            scene.import.put64(0, &[9]).expect("put");
            assert_eq!(scene.word(0), 9);
            scene
                .connect(Access::Read)
                .get(0, &mut [0; 8])
                .expect("get");
        }
    }
    books.balance();
}

/// An exporter in a process of its own, and the id of what it exports.
fn exporter(steps: &Steps) -> Process {
    let child = spawn(|| {
        let controller = Controller::open().expect("open");
        let (segment, id) = published(&controller, 3, 0o666);
        steps.pass(id.get());
        steps.reach(0);
        loop {
            segment.signal().post(Post::NoAccumulate).expect("post");
            std::thread::yield_now();
        }
    });
    child.await_step(steps, 0);
    child
}

#[test]
fn exporters() {
    let books = Books::open();
    let mut random = Random::new(random::seed(), 1);
    let controller = Controller::open().expect("open");
    for (name, work) in WORK {
        for _ in 0..rounds(10) {
            let steps = Steps::new();
            let victim = exporter(&steps);
            let id = SegmentId::new(steps.passed());
            let import = connect(&controller, id, Access::ReadWrite).expect("connect");
            let stop = std::time::Instant::now() + Duration::from_micros(random.below(3000) as u64);
            while std::time::Instant::now() < stop {
                work(&controller, id, &import).expect(name);
            }
            std::thread::scope(|scope| {
                let worker = scope.spawn(|| loop {
                    if let Err(error) = work(&controller, id, &import) {
                        break error.status();
                    }
                });
                victim.kill();
                let status = worker.join().expect(name);
                let gone = [Status::ConnAborted, Status::SegNotPublished];
                assert!(gone.contains(&status), "{name}: {status}");
            });
            assert_eq!(refused(import.check()), Status::ConnAborted);
            assert_eq!(
                refused(connect(&controller, id, Access::Read)),
                Status::SegNotPublished
            );
        }
    }
    drop(controller);
    books.balance();
}

#[test]
fn exporters_whose_importers_sleep() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    for wake in [true, false] {
        let steps = Steps::new();
        let victim = exporter(&steps);
        let options = ImportOptions::new(Access::Read).wake_on_abort(wake);
        let id = SegmentId::new(steps.passed());
        let import = options
            .connect(&controller, controller.local_node(), id)
            .expect("connect");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| loop {
                // Events there are many, until the exporter dies.
                let patience = if wake {
                    None
                } else {
                    Some(Duration::from_millis(200))
                };
                if let Err(error) = import.signal().wait(patience) {
                    break error.status();
                }
            });
            std::thread::sleep(Duration::from_millis(10));
            victim.kill();
            let expected = if wake {
                Status::ConnAborted
            } else {
                Status::Timeout
            };
            assert_eq!(waiter.join().expect("join"), expected);
        });
        assert_eq!(refused(import.check()), Status::ConnAborted);
    }
    drop(controller);
    books.balance();
}
