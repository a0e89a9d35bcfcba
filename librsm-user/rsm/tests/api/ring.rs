// SPDX-License-Identifier: MIT OR Apache-2.0
//! A ring of messages in a mapped segment: an importer produces, the exporter consumes, and
//! each message's checksum is its own.
//!
//! The first page has the two indices, in bytes since the beginning; the rest is a ring of
//! records: length, checksum, content, filled up to whole words. Whoever finds the ring
//! empty, or full, waits for a signal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsm::{Access, ImportOptions, Post, SharedBytes, Signal};

use crate::common::books::Books;
use crate::common::process::spawn;
use crate::common::random::{self, Random};
use crate::common::raw::PAGE;
use crate::common::{debug_kernel, soak};
use crate::{published, Scene};

const PAGES: usize = 17;
const ROOM: u64 = ((PAGES - 1) * PAGE) as u64;
const LONGEST: usize = 200;

fn messages() -> u64 {
    match (soak(), debug_kernel()) {
        (true, false) => 10_000_000,
        (true, true) => 1_000_000,
        (false, false) => 100_000,
        (false, true) => 10_000,
    }
}

/// One side's view of the ring.
struct Ring<'a> {
    written: &'a AtomicU64,
    read: &'a AtomicU64,
    /// Whether the other side waits for a signal.
    producer_waits: &'a AtomicU64,
    consumer_waits: &'a AtomicU64,
    data: SharedBytes<'a>,
}

impl<'a> Ring<'a> {
    fn new(bytes: SharedBytes<'a>) -> Self {
        let word = |offset| bytes.atomic_u64(offset).expect("atomic");
        Self {
            written: word(0),
            read: word(64),
            producer_waits: word(128),
            consumer_waits: word(192),
            data: bytes.part(PAGE, ROOM as usize).expect("part"),
        }
    }

    /// Runs `move_` with the bytes at `at` of the ring, which may go on at its beginning.
    fn wrapped(at: u64, len: usize, mut move_: impl FnMut(usize, std::ops::Range<usize>)) {
        let start = (at % ROOM) as usize;
        let first = len.min(ROOM as usize - start);
        move_(start, 0..first);
        if first < len {
            move_(0, first..len);
        }
    }

    fn write(&self, at: u64, record: &[u8]) {
        Self::wrapped(at, record.len(), |offset, part| {
            self.data.write_at(offset, &record[part]).expect("write");
        });
    }

    fn fetch(&self, at: u64, record: &mut [u8]) {
        Self::wrapped(at, record.len(), |offset, part| {
            self.data.read_at(offset, &mut record[part]).expect("read");
        });
    }
}

/// Waits until `ready`, having told the other side to signal.
fn wait(waits: &AtomicU64, signal: &Signal, ready: impl Fn() -> bool) {
    while !ready() {
        waits.store(1, Ordering::SeqCst);
        if !ready() {
            signal
                .wait(Some(Duration::from_secs(150)))
                .expect("a signal in time");
        }
        waits.store(0, Ordering::SeqCst);
    }
}

/// Signals the other side, if it waits.
fn wake(waits: &AtomicU64, signal: &Signal) {
    // The index must have changed before it is asked who waits.
    std::sync::atomic::fence(Ordering::SeqCst);
    if waits.load(Ordering::SeqCst) != 0 {
        signal.post(Post::NoAccumulate).expect("post");
    }
}

/// FNV-1a, and the number of the message in it.
fn checksum(number: u64, content: &[u8]) -> u64 {
    content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325 ^ number, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
}

fn produce(ring: &Ring<'_>, signal: &Signal, seed: u64, count: u64) {
    let mut random = Random::new(seed, 0);
    let mut record = [0; 16 + LONGEST];
    let mut at = 0;
    for number in 0..count {
        let len = random.below(LONGEST + 1);
        for byte in &mut record[16..16 + len] {
            *byte = random.next() as u8;
        }
        let sum = checksum(number, &record[16..16 + len]);
        record[..8].copy_from_slice(&(len as u64).to_ne_bytes());
        record[8..16].copy_from_slice(&sum.to_ne_bytes());
        let whole = (16 + len).next_multiple_of(8);
        wait(ring.producer_waits, signal, || {
            at + whole as u64 - ring.read.load(Ordering::Acquire) <= ROOM
        });
        ring.write(at, &record[..whole]);
        at += whole as u64;
        ring.written.store(at, Ordering::Release);
        wake(ring.consumer_waits, signal);
    }
}

fn consume(ring: &Ring<'_>, signal: &Signal, count: u64) {
    let mut record = [0; 16 + LONGEST];
    let mut at = 0;
    for number in 0..count {
        wait(ring.consumer_waits, signal, || {
            ring.written.load(Ordering::Acquire) > at
        });
        ring.fetch(at, &mut record[..16]);
        let word = |from: usize| {
            u64::from_ne_bytes(record[from..from + 8].try_into().expect("eight bytes"))
        };
        let (len, sum) = (word(0) as usize, word(8));
        assert!(len <= LONGEST, "message {number} of {len} bytes");
        ring.fetch(at + 16, &mut record[16..16 + len]);
        assert_eq!(
            checksum(number, &record[16..16 + len]),
            sum,
            "message {number}"
        );
        at += (16 + len).next_multiple_of(8) as u64;
        ring.read.store(at, Ordering::Release);
        wake(ring.producer_waits, signal);
    }
    assert_eq!(
        ring.written.load(Ordering::Acquire),
        at,
        "no more than were sent"
    );
}

#[test]
fn messages_arrive_whole_and_in_order() {
    let books = Books::open();
    let (seed, count) = (random::seed(), messages());
    let scene = Scene::new(PAGES);
    let producer = spawn(|| {
        let import = scene.connect(Access::ReadWrite);
        let window = import.map().expect("map");
        produce(&Ring::new(window.bytes()), import.signal(), seed, count);
        assert_eq!(window.check(), Ok(()));
    });
    consume(
        &Ring::new(scene.segment.bytes()),
        scene.segment.signal(),
        count,
    );
    producer.join();
    drop(scene);
    books.balance();
}

#[test]
fn several_rings_at_a_time() {
    let books = Books::open();
    let controller = rsm::Controller::open().expect("open");
    let seed = random::seed();
    let count = messages() / 10;
    let rings: Vec<_> = (0..4)
        .map(|_| published(&controller, PAGES, 0o666))
        .collect();
    let producers: Vec<_> = rings
        .iter()
        .map(|(_, id)| {
            let (controller, id) = (&controller, *id);
            spawn(move || {
                let options = ImportOptions::new(Access::ReadWrite);
                let import = options.connect(controller, controller.local_node(), id);
                let import = import.expect("connect");
                let window = import.map().expect("map");
                produce(&Ring::new(window.bytes()), import.signal(), seed, count);
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for (segment, _) in &rings {
            scope.spawn(|| consume(&Ring::new(segment.bytes()), segment.signal(), count));
        }
    });
    producers
        .into_iter()
        .for_each(crate::common::process::Process::join);
    drop((rings, controller));
    books.balance();
}
