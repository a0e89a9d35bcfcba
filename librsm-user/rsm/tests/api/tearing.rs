// SPDX-License-Identifier: MIT OR Apache-2.0
//! Aligned elements arrive whole, whatever call moves them and however many others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rsm::{Access, ImportSegment};

use crate::common::raw::PAGE;
use crate::common::rounds;
use crate::{connect, Scene};

/// Half of it never goes with half of another.
const fn pattern(number: u64) -> u64 {
    (number & 0xff) * 0x0101_0101_0101_0101
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == bytes[0])
}

/// Writes in this thread while another one reads, until both have done enough of it.
fn contend(write: impl Fn(&ImportSegment, u64) + Sync, read: impl Fn(&ImportSegment) + Sync) {
    let scene = Scene::new(4);
    let enough = rounds(3000);
    let (reads, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let import = connect(&scene.controller, scene.id, Access::Read).expect("connect");
            while !done.load(Ordering::Relaxed) {
                read(&import);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut number = 0;
        while number < enough || reads.load(Ordering::Relaxed) < enough && !reader.is_finished() {
            write(&scene.import, number as u64);
            number += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn words_of_long_transfers() {
    // Not at the beginning of a page nor of 16 bytes, and longer than any loop's stride.
    const COUNT: usize = 500;
    contend(
        |import, number| {
            import
                .put64(PAGE - 24, &[pattern(number); COUNT])
                .expect("put64")
        },
        |import| {
            let mut words = [0; COUNT];
            import.get64(PAGE - 24, &mut words).expect("get64");
            for word in words {
                assert!(is_whole(&word.to_ne_bytes()), "{word:#x}");
            }
        },
    );
}

#[test]
fn words_among_bytes() {
    contend(
        |import, number| import.put(5, &[number as u8; 1000]).expect("put"),
        |import| {
            let mut bytes = [0; 999];
            import.get(6, &mut bytes).expect("get");
            // The aligned elements in the middle and at both ends.
            let element = |from: usize, len: usize| &bytes[from - 6..from - 6 + len];
            for (from, len) in [(6, 2), (8, 8), (16, 8), (504, 8), (992, 8), (1000, 4)] {
                let element = element(from, len);
                assert!(is_whole(element), "{element:?} at {from}");
            }
        },
    );
}

#[test]
fn smaller_elements() {
    contend(
        |import, number| {
            import
                .put16(2, &[pattern(number) as u16; 9])
                .expect("put16");
            import
                .put32(100, &[pattern(number) as u32; 9])
                .expect("put32");
        },
        |import| {
            let (mut halves, mut words) = ([0; 9], [0; 9]);
            import.get16(2, &mut halves).expect("get16");
            import.get32(100, &mut words).expect("get32");
            assert!(
                halves.iter().all(|half| is_whole(&half.to_ne_bytes())),
                "{halves:x?}"
            );
            assert!(
                words.iter().all(|word| is_whole(&word.to_ne_bytes())),
                "{words:x?}"
            );
        },
    );
}

#[test]
fn in_ascending_order() {
    const COUNT: usize = 200;
    contend(
        |import, number| import.put64(8, &[number; COUNT]).expect("put64"),
        |import| {
            // From the end: a word that was written later must not be newer.
            let mut newest = u64::MAX;
            for place in 0..COUNT {
                let mut word = [0];
                import
                    .get64(8 + (COUNT - 1 - place) * 8, &mut word)
                    .expect("get64");
                if place > 0 {
                    assert!(word[0] >= newest, "word {place} from the end");
                }
                newest = word[0];
            }
        },
    );
}
