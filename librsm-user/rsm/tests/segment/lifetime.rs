// SPDX-License-Identifier: MIT OR Apache-2.0
//! From create to destroy and last close; segment ids.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::{map, Pair, NEW, OLD};

const NOT_PUBLISHED: Failure = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
const IN_USE: Failure = failure(Errno::EADDRINUSE, RSM_STATUS_SEGID_IN_USE);

#[test]
fn both_sides_see_what_the_other_writes() {
    let books = Books::open();
    let pair = Pair::new(8);
    assert_eq!(pair.import.length as usize, 8 * PAGE);
    pair.window.assert_marked(OLD, 0);
    pair.memory.store(3 * PAGE + 16, 1);
    assert_eq!(pair.window.load(3 * PAGE + 16), 1);
    pair.window.store(5 * PAGE + 24, 2);
    assert_eq!(pair.memory.load(5 * PAGE + 24), 2);
    drop(pair);
    books.balance();
}

#[test]
fn destroy_takes_the_memory_back() {
    let books = Books::open();
    let pair = Pair::new(8);
    pair.window.assert_marked(OLD, 0);
    pair.window.store(8, 77);
    pair.destroy();
    pair.window.assert_zero();
    assert_eq!(pair.memory.load(8), 77, "what importers wrote before stays");
    pair.memory.assert_marked(NEW, 0);
    let again = raw::connect(&pair.controller, pair.id, 0o400).map(drop);
    assert_eq!(again, Err(NOT_PUBLISHED));
    drop(pair);
    books.balance();
}

#[test]
fn destroy_gives_pins_back_while_the_descriptor_is_open() {
    let books = Books::open();
    let controller = raw::controller();
    let memory = Map::anonymous(16 * PAGE);
    let open = Books::amid();
    let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
    let with_segment = Books::amid();
    assert_eq!(
        with_segment.private().0,
        open.private().0 + 64,
        "VmPin while exported"
    );
    raw::destroy(&export).expect("destroy");
    assert_eq!(
        Books::private_now().0,
        open.private().0,
        "VmPin after destroy"
    );
    raw::destroy(&export).expect("destroy again");
    drop(export);
    open.balance();
    drop((memory, controller));
    books.balance();
}

#[test]
fn last_close_destroys() {
    let books = Books::open();
    let Pair {
        controller,
        memory,
        export,
        id,
        import,
        window,
    } = Pair::new(4);
    window.assert_marked(OLD, 0);
    let second = export.try_clone().expect("dup");
    drop(export);
    memory.store(8, 5);
    assert_eq!(window.load(8), 5, "one descriptor is left");
    drop(second);
    memory.mark(NEW);
    window.assert_zero();
    assert_eq!(
        raw::connect(&controller, id, 0o400).map(drop),
        Err(NOT_PUBLISHED)
    );
    drop((import, window, controller, memory));
    books.balance();
}

#[test]
fn closing_in_every_order() {
    let books = Books::open();
    for order in 0..24 {
        let Pair {
            controller,
            memory,
            export,
            import,
            window,
            ..
        } = Pair::new(2);
        window.assert_marked(OLD, 0);
        let mut controller = Some(controller);
        let mut export = Some(export);
        let mut import = Some(import);
        let mut window = Some(window);
        // The four in each of their permutations.
        let mut rest = vec![0, 1, 2, 3];
        let mut number = order;
        for left in (1..=4).rev() {
            match rest.remove(number % left) {
                0 => drop(controller.take()),
                1 => drop(export.take()),
                2 => drop(import.take()),
                _ => drop(window.take()),
            }
            number /= left;
            if let Some(window) = &window {
                let expected = if export.is_some() { OLD } else { 0 };
                assert_eq!(window.load(0), expected, "order {order}");
            }
        }
        drop(memory);
        books.balance();
    }
}

#[test]
fn never_published() {
    let books = Books::open();
    let controller = raw::controller();
    let memory = Map::anonymous(2 * PAGE);
    let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
    raw::destroy(&export).expect("destroy");
    let dead = failure(Errno::ESTALE, RSM_STATUS_BAD_SEG_HNDL);
    assert_eq!(raw::publish(&export, 0, &[]), Err(dead));
    drop(export);
    drop(raw::create(&controller, memory.addr(), memory.len as u64).expect("create"));
    drop((memory, controller));
    books.balance();
}

#[test]
fn assigned_ids_ascend_and_are_not_used_twice() {
    let controller = raw::controller();
    let memory = Map::anonymous(PAGE);
    let mut last = 0x7fff_ffff;
    for _ in 0..20 {
        let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
        let id = raw::publish(&export, 0, &[]).expect("publish");
        assert!(id > last, "{id:#x} after {last:#x}");
        last = id;
    }
}

#[test]
fn explicit_ids() {
    let controller = raw::controller();
    let memory = Map::anonymous(PAGE);
    let create = || raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
    for id in [0x40_0000, 0x4F_FFFF, 0x50_0000, 0x60_0000, 0x7FFF_FFFF] {
        let (first, second) = (create(), create());
        assert_eq!(raw::publish(&first, id, &[]), Ok(id));
        assert_eq!(raw::publish(&second, id, &[]), Err(IN_USE));
        let import = raw::connect(&controller, id, 0o400).expect("connect");
        drop(first);
        assert_eq!(raw::publish(&second, id, &[]), Ok(id), "free after close");
        raw::destroy(&second).expect("destroy");
        let third = create();
        assert_eq!(raw::publish(&third, id, &[]), Ok(id), "free after destroy");
        // The old connection does not come back to life with the id.
        memory.store(0, OLD);
        let window = Map::shared(import.fd.as_raw_fd(), PAGE, READ).map(drop);
        assert_eq!(window, Err(Errno::ECONNABORTED));
    }
}

#[test]
fn an_id_is_one_segment_at_a_time() {
    let controller = raw::controller();
    let memory = Map::anonymous(2 * PAGE);
    let id = 0x60_1234;
    for round in 1..=20 {
        memory.store(0, round);
        let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
        raw::publish(&export, id, &[]).expect("publish");
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        let window = map(&import, READ | WRITE);
        assert_eq!(window.load(0), round);
        raw::destroy(&export).expect("destroy");
        assert_eq!(window.load(0), 0);
    }
}

#[test]
fn many_imports_of_one_segment() {
    let books = Books::open();
    let pair = Pair::new(2);
    let imports: Vec<_> = (0..100)
        .map(|_| raw::connect(&pair.controller, pair.id, 0o600).expect("connect"))
        .collect();
    let windows: Vec<_> = imports
        .iter()
        .map(|import| map(import, READ | WRITE))
        .collect();
    for (n, window) in windows.iter().enumerate() {
        window.store(8, n as u64 + 1);
        assert_eq!(pair.memory.load(8), n as u64 + 1);
    }
    pair.destroy();
    for window in &windows {
        window.assert_zero();
    }
    pair.memory.assert_marked(NEW, 0);
    drop((windows, imports, pair));
    books.balance();
}

#[test]
fn a_range_exported_twice() {
    let books = Books::open();
    let first = Pair::new(4);
    let controller = &first.controller;
    let second = raw::create(
        controller,
        first.memory.addr() + PAGE as u64,
        2 * PAGE as u64,
    )
    .expect("create");
    let id = raw::publish_mode(controller, &second, 0o666).expect("publish");
    let import = raw::connect(controller, id, 0o600).expect("connect");
    let window = map(&import, READ | WRITE);
    window.store(8, 9);
    assert_eq!(first.window.load(PAGE + 8), 9);
    first.destroy();
    first.window.assert_zero();
    assert_eq!(window.load(0), NEW | 1, "the other segment is alive");
    raw::destroy(&second).expect("destroy");
    window.assert_zero();
    drop((window, import, second, first));
    books.balance();
}
