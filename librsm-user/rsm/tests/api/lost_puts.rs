// SPDX-License-Identifier: MIT OR Apache-2.0
//! A put that is reported as good is in the segment, and a get that is reported as good is
//! of it, while the memory is taken back at any moment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rsm::{Access, BarrierMode, Controller, ImportSegment, Status};

use crate::common::process::{spawn, Shared};
use crate::common::random::{self, Random};
use crate::common::raw::PAGE;
use crate::common::rounds;
use crate::{connect, published, refused};

/// What the importer tells, in memory that is shared in the ordinary way.
struct Report {
    begun: AtomicBool,
    good: AtomicU64,
}

/// Takes the memory back from an importer in another process that runs `work` for each
/// number from 1 on, until that fails; returns the last number that was good, and what the
/// exporter finds in each page.
fn take_back(pages: usize, delay: usize, work: impl Fn(&ImportSegment, u64) -> rsm::Result<()>) {
    // SAFETY: atomics may be zero.
    let report = unsafe { Shared::<Report>::zeroed() };
    let controller = Controller::open().expect("open");
    let (segment, id) = published(&controller, pages, 0o666);
    let importer = spawn(|| {
        let import = connect(&controller, id, Access::ReadWrite).expect("connect");
        for number in 1.. {
            if let Err(error) = work(&import, number) {
                assert_eq!(error.status(), Status::ConnAborted);
                break;
            }
            report.good.store(number, Ordering::SeqCst);
            report.begun.store(true, Ordering::SeqCst);
        }
        assert_eq!(refused(import.check()), Status::ConnAborted);
    });
    while !report.begun.load(Ordering::SeqCst) && !importer.has_ended() {
        thread::yield_now();
    }
    for _ in 0..delay {
        std::hint::spin_loop();
    }
    let buffer = segment.destroy().expect("destroy");
    importer.join();
    let good = report.good.load(Ordering::SeqCst);
    for page in 0..pages {
        let word = &buffer.as_slice()[page * PAGE..page * PAGE + 8];
        let word = u64::from_ne_bytes(word.try_into().expect("eight bytes"));
        assert!(
            word >= good,
            "page {page}: {good} was good, {word} is there"
        );
    }
}

#[test]
fn puts() {
    let mut random = Random::new(random::seed(), 1);
    for _ in 0..rounds(60) {
        take_back(1, random.below(100_000), |import, number| {
            import.put64(0, &[number])
        });
    }
}

#[test]
fn long_puts() {
    let mut random = Random::new(random::seed(), 2);
    for _ in 0..rounds(40) {
        take_back(8, random.below(100_000), |import, number| {
            import.put64(0, &[number; 8 * PAGE / 8])
        });
    }
}

#[test]
fn puts_within_a_barrier() {
    let mut random = Random::new(random::seed(), 3);
    for _ in 0..rounds(40) {
        take_back(4, random.below(100_000), |import, number| {
            import.set_mode(BarrierMode::Explicit);
            import.within_barrier(|barrier| {
                for page in 0..4 {
                    import.put64(page * PAGE, &[number])?;
                    barrier.order()?;
                }
                Ok(())
            })
        });
    }
}

#[test]
fn scattered_puts() {
    let mut random = Random::new(random::seed(), 4);
    for _ in 0..rounds(40) {
        take_back(4, random.below(100_000), |import, number| {
            let bytes = number.to_ne_bytes();
            let entries = [0, 1, 2, 3].map(|page| rsm::PutEntry::new(&bytes, page * PAGE));
            Ok(import.putv(&entries, None)?)
        });
    }
}

#[test]
fn gets() {
    let mut random = Random::new(random::seed(), 5);
    for _ in 0..rounds(60) {
        let controller = Controller::open().expect("open");
        let (segment, id) = published(&controller, 4, 0o666);
        let words = segment
            .bytes()
            .view_slice::<u64>(0, 4 * PAGE / 8)
            .expect("view");
        words.write_at(0, &[1; 4 * PAGE / 8]).expect("write");
        let import = connect(&controller, id, Access::Read).expect("connect");
        thread::scope(|scope| {
            let importer = scope.spawn(|| {
                let mut seen = [0_u64; 4 * PAGE / 8];
                while import.get64(0, &mut seen).is_ok() {
                    assert!(
                        seen.iter().all(|&word| word == 1),
                        "a good get of other memory"
                    );
                    seen.fill(0);
                }
            });
            for _ in 0..random.below(100_000) {
                std::hint::spin_loop();
            }
            let mut buffer = segment.destroy().expect("destroy");
            buffer.as_mut_slice().fill(2);
            importer.join().expect("join");
        });
    }
}
