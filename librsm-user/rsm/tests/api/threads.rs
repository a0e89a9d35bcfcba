// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many threads on one connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Barrier;
use std::thread;

use rsm::{GetEntry, Post, PutEntry, Status, WindowKind};

use crate::common::books::Books;
use crate::common::random::{self, Random};
use crate::common::raw::PAGE;
use crate::common::rounds;
use crate::{refused, Scene};

const THREADS: usize = 64;

#[test]
fn sixty_four_of_them() {
    let books = Books::open();
    let scene = Scene::new(THREADS);
    let (start, seed) = (Barrier::new(THREADS), random::seed());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (scene, start) = (&scene, &start);
            scope.spawn(move || {
                start.wait();
                work(scene, seed, thread);
            });
        }
    });
    assert_eq!(
        scene.import.window_kind(),
        Some(WindowKind::Implicit),
        "one for all"
    );
    let signal = scene.segment.signal();
    let posted = (0..)
        .take_while(|_| signal.try_wait().expect("wait"))
        .count();
    assert_eq!(posted, THREADS);
    drop(scene);
    books.balance();
}

/// Keeps a page of its own in step with a copy of it.
fn work(scene: &Scene, seed: u64, thread: usize) {
    let mut random = Random::new(seed, thread as u64);
    let mut copy = vec![0_u8; PAGE];
    let base = thread * PAGE;
    for round in 0..rounds(200) {
        let offset = random.below(PAGE);
        let len = random.below(PAGE - offset);
        let value = (thread + round) as u8;
        match random.below(6) {
            0 => {
                copy[offset..offset + len].fill(value);
                scene
                    .import
                    .put(base + offset, &copy[offset..offset + len])
                    .expect("put");
            }
            1 => {
                let offset = offset & !7;
                copy[offset..offset + 8].fill(value);
                let word = u64::from_ne_bytes([value; 8]);
                scene.import.put64(base + offset, &[word]).expect("put64");
            }
            2 => {
                copy[..10].fill(value);
                copy[PAGE - 10..].fill(value);
                let part = [value; 10];
                let entries = [
                    PutEntry::new(&part, base),
                    PutEntry::new(&part, base + PAGE - 10),
                ];
                scene.import.putv(&entries, None).expect("putv");
            }
            3 => {
                let mut back = vec![0; len];
                scene.import.get(base + offset, &mut back).expect("get");
                assert!(
                    back == copy[offset..offset + len],
                    "thread {thread}, round {round}"
                );
            }
            4 => {
                let (mut head, mut tail) = ([0; 7], vec![0; len]);
                let mut entries = [
                    GetEntry::new(&mut head, base),
                    GetEntry::new(&mut tail, base + offset),
                ];
                scene.import.getv(&mut entries, None).expect("getv");
                assert_eq!(head, copy[..7]);
                assert!(
                    tail == copy[offset..offset + len],
                    "thread {thread}, round {round}"
                );
            }
            _ => {
                let barrier = scene.import.open_barrier();
                barrier.order().expect("order");
                barrier.close().expect("close");
            }
        }
    }
    scene.import.signal().post(Post::Accumulate).expect("post");
    let mut back = vec![0; PAGE];
    scene
        .segment
        .bytes()
        .read_at(base, &mut back)
        .expect("read");
    assert!(back == copy, "page of thread {thread}");
}

#[test]
fn all_are_told_of_the_end() {
    let books = Books::open();
    let scene = Scene::new(THREADS);
    let started = AtomicU64::new(0);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (scene, started, ended) = (&scene, &started, &ended);
            scope.spawn(move || {
                let mut number = 0;
                let good = loop {
                    if scene.import.put64(thread * PAGE, &[number + 1]).is_err() {
                        break number;
                    }
                    if number == 0 {
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                    number += 1;
                    if number % 64 == 0 {
                        // There are many, and one who is to end it.
                        thread::yield_now();
                    }
                };
                assert!(ended.load(Ordering::SeqCst), "told too early");
                let seen = scene.word(thread * PAGE);
                assert!(
                    seen >= good,
                    "thread {thread}: {good} was good, {seen} is there"
                );
                let status = refused(scene.import.get64(0, &mut [0]));
                assert_eq!(status, Status::ConnAborted);
            });
        }
        crate::common::wait_until("all have begun", 150, || {
            started.load(Ordering::Relaxed) == THREADS as u64
        });
        ended.store(true, Ordering::SeqCst);
        scene.abort();
    });
    drop(scene);
    books.balance();
}
