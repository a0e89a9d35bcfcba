// SPDX-License-Identifier: MIT OR Apache-2.0
//! The status table: live or not, without a system call.

use std::collections::BTreeSet;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn};
use crate::common::raw::{self, Connection, PAGE};
use crate::{map, Pair};

/// The table of a controller, up to the slot of `import`.
fn table(controller: &impl AsRawFd, import: &Connection) -> Map {
    let len = (import.slot as usize * 8 + 8).next_multiple_of(PAGE);
    Map::shared(controller.as_raw_fd(), len, READ).expect("status table")
}

fn slot(table: &Map, import: &Connection) -> u64 {
    table.load(import.slot as usize * 8)
}

#[test]
fn holds_the_generation_until_the_end() {
    let books = Books::open();
    let pair = Pair::new(2);
    let table = table(&pair.controller, &pair.import);
    assert_eq!(slot(&table, &pair.import), pair.import.generation);
    pair.destroy();
    assert_ne!(slot(&table, &pair.import), pair.import.generation);
    drop((table, pair));
    books.balance();
}

#[test]
fn changes_with_disconnect_too() {
    let pair = Pair::new(2);
    let other = raw::connect(&pair.controller, pair.id, 0o400).expect("connect");
    let window = map(&other, READ);
    let table = table(&pair.controller, &other);
    let Connection {
        fd,
        generation,
        slot,
        ..
    } = other;
    let load = || table.load(slot as usize * 8);
    drop(fd);
    assert_eq!(load(), generation, "a mapping keeps the connection");
    drop(window);
    assert_ne!(load(), generation, "the last mapping is gone");
    let pair_slot = table.load(pair.import.slot as usize * 8);
    assert_eq!(pair_slot, pair.import.generation, "others are not affected");
}

#[test]
fn slots_are_used_again_generations_are_not() {
    let pair = Pair::new(1);
    let mut seen = BTreeSet::new();
    for _ in 0..200 {
        let import = raw::connect(&pair.controller, pair.id, 0o400).expect("connect");
        assert!(
            seen.insert((import.slot, import.generation)),
            "{import:?} twice"
        );
    }
    let slots: BTreeSet<u32> = seen.iter().map(|&(slot, _)| slot).collect();
    assert_eq!(
        slots.len(),
        1,
        "one connection at a time needs one slot: {slots:?}"
    );
}

#[test]
fn slots_of_live_connections_differ() {
    let pair = Pair::new(1);
    // More than a page of the table.
    let imports: Vec<_> = (0..600)
        .map(|_| raw::connect(&pair.controller, pair.id, 0).expect("connect"))
        .collect();
    let slots: BTreeSet<u32> = imports.iter().map(|import| import.slot).collect();
    assert_eq!(slots.len(), imports.len());
    let highest = imports
        .iter()
        .max_by_key(|import| import.slot)
        .expect("some");
    let table = table(&pair.controller, highest);
    for import in &imports {
        assert_eq!(slot(&table, import), import.generation);
    }
    pair.destroy();
    for import in &imports {
        assert_ne!(slot(&table, import), import.generation);
    }
}

#[test]
fn each_controller_has_its_own() {
    let pair = Pair::new(1);
    let other = raw::controller();
    let import = raw::connect(&other, pair.id, 0o400).expect("connect");
    let tables = [
        table(&pair.controller, &pair.import),
        table(&other, &import),
    ];
    assert_eq!(slot(&tables[0], &pair.import), pair.import.generation);
    assert_eq!(slot(&tables[1], &import), import.generation);
    drop(other);
    assert_eq!(
        slot(&tables[1], &import),
        import.generation,
        "outlives the descriptor"
    );
    pair.destroy();
    assert_ne!(slot(&tables[0], &pair.import), pair.import.generation);
    assert_ne!(slot(&tables[1], &import), import.generation);
}

#[test]
fn a_child_sees_the_same_table() {
    let pair = Pair::new(1);
    let table = table(&pair.controller, &pair.import);
    in_child(|| assert_eq!(slot(&table, &pair.import), pair.import.generation));
    pair.destroy();
    in_child(|| assert_ne!(slot(&table, &pair.import), pair.import.generation));
}

#[test]
fn can_only_be_read() {
    let pair = Pair::new(1);
    let fd = pair.controller.as_raw_fd();
    for protection in [WRITE, READ | WRITE, libc::PROT_EXEC, READ | libc::PROT_EXEC] {
        let seen = Map::shared(fd, PAGE, protection).map(drop);
        assert_eq!(seen, Err(Errno::EPERM), "protection {protection}");
    }
    let private = Map::new(PAGE, READ, libc::MAP_PRIVATE, fd, 0).map(drop);
    assert_eq!(private, Err(Errno::EINVAL));
    let table = table(&pair.controller, &pair.import);
    for protection in [WRITE, READ | WRITE, READ | libc::PROT_EXEC] {
        assert_eq!(
            table.protect(0, PAGE, protection),
            Err(Errno::EACCES),
            "to {protection}"
        );
    }
    spawn(|| table.store(0, 1)).join_killed(Signal::SIGSEGV);
    let mut query = rsm_sys::rsm_query::default();
    raw::run(&pair.controller, &mut query).expect("query");
    let len = query.status_slots as usize * 8;
    assert_eq!(Map::shared(fd, len, READ).map(drop), Ok(()), "all of it");
    assert_eq!(
        Map::shared(fd, len + PAGE, READ).map(drop),
        Err(Errno::EINVAL),
        "too long"
    );
    let beyond = Map::new(PAGE, READ, libc::MAP_SHARED, fd, len).map(drop);
    assert_eq!(beyond, Err(Errno::EINVAL), "beyond the end");
}
