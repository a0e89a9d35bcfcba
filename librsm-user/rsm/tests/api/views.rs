// SPDX-License-Identifier: MIT OR Apache-2.0
//! Typed views, atomics and streams, seen from both sides.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use bytemuck::{Pod, Zeroable};
use rsm::{Access, Status};

use crate::common::process::spawn;
use crate::common::raw::PAGE;
use crate::{connect, refused, Scene};

#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Record {
    key: u64,
    values: [u16; 8],
    sum: u32,
    flags: u32,
}

fn record(key: u64) -> Record {
    let values = std::array::from_fn(|place| key as u16 + place as u16);
    Record {
        key,
        values,
        sum: key as u32 * 3,
        flags: !(key as u32),
    }
}

#[test]
fn records_and_tables() {
    let scene = Scene::new(2);
    let window = scene.import.map().expect("map");
    let count = 2 * PAGE / size_of::<Record>();
    let ours = window.bytes().view_slice::<Record>(0, count).expect("view");
    let theirs = scene
        .segment
        .bytes()
        .view_slice::<Record>(0, count)
        .expect("view");
    let table: Vec<Record> = (0..count as u64).map(record).collect();
    ours.write_at(0, &table).expect("write");
    assert_eq!(window.check(), Ok(()));
    for (place, expected) in table.iter().enumerate() {
        assert_eq!(theirs.get(place), Ok(*expected));
    }
    theirs.set(count - 1, record(1_000_000)).expect("set");
    let mut last = [record(0); 2];
    ours.read_at(count - 2, &mut last).expect("read");
    assert_eq!(last, [table[count - 2], record(1_000_000)]);
    assert_eq!(refused(ours.get(count)), Status::BadOffset);

    let one = window.bytes().view::<Record>(4096).expect("view");
    one.store(record(5));
    assert_eq!(scene.segment.bytes().read::<Record>(4096), Ok(record(5)));
    assert_eq!(
        refused(window.bytes().view::<Record>(4)),
        Status::BadMemAlignment
    );
    assert_eq!(
        refused(window.bytes().view::<Record>(2 * PAGE - 24)),
        Status::BadOffset
    );
    let reader = scene.connect(Access::Read).map().expect("map");
    assert_eq!(reader.bytes().read::<Record>(4096), Ok(record(5)));
    assert_eq!(
        refused(reader.bytes().view::<Record>(4096)),
        Status::PermDenied
    );
    assert_eq!(refused(reader.bytes().atomic_u32(0)), Status::PermDenied);
}

#[test]
fn atomics_between_processes() {
    const ROUNDS: u64 = 20_000;
    let scene = Scene::new(1);
    let add = |bytes: rsm::SharedBytes<'_>| {
        let counter = bytes.atomic_u64(64).expect("atomic");
        let half = bytes.atomic_u32(128).expect("atomic");
        for _ in 0..ROUNDS {
            counter.fetch_add(1, Relaxed);
            half.fetch_add(2, AcqRel);
        }
    };
    let children = [(); 3].map(|()| {
        spawn(|| {
            let import = connect(&scene.controller, scene.id, Access::ReadWrite).expect("connect");
            let window = import.map().expect("map");
            add(window.bytes());
            assert_eq!(window.check(), Ok(()));
        })
    });
    add(scene.segment.bytes());
    children
        .into_iter()
        .for_each(crate::common::process::Process::join);
    assert_eq!(scene.word(64), 4 * ROUNDS);
    let half = scene.segment.bytes().atomic_u32(128).expect("atomic");
    assert_eq!(half.load(Acquire), 8 * ROUNDS as u32);
}

#[test]
fn streams() {
    let scene = Scene::new(2);
    let window = scene.import.map().expect("map");
    let mut cursor = window.bytes().cursor();
    for line in 0..100 {
        writeln!(cursor, "line {line}").expect("write");
    }
    let end = cursor.position();
    assert_eq!(window.check(), Ok(()));
    let theirs = scene.segment.bytes().part(0, end as usize).expect("part");
    let lines: Vec<String> = BufReader::new(theirs.cursor())
        .lines()
        .collect::<Result<_, _>>()
        .expect("lines");
    assert_eq!(lines.len(), 100);
    assert_eq!(lines[99], "line 99");
    let mut tail = scene.segment.bytes().cursor();
    tail.seek(SeekFrom::End(-3)).expect("seek");
    assert!(tail.write_all(b"four").is_err(), "no room");
    tail.seek(SeekFrom::End(-3)).expect("seek");
    let mut rest = String::new();
    tail.read_to_string(&mut rest).expect("read");
    assert_eq!(rest, "fou");
}
