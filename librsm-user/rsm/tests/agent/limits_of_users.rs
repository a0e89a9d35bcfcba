// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the module's parameters limit for each user, but for those who may go beyond
//! (`CAP_SYS_RESOURCE`).

use std::fmt::Debug;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ};
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, Connection, PAGE};
use crate::{Pair, USED_UP};

const LIMIT: usize = 3;

/// Fails unless just this many can be made, and again when one is given back.
#[track_caller]
fn assert_room<T, E>(what: &str, room: usize, over: E, make: impl Fn() -> Result<T, E>)
where
    E: Debug + PartialEq + Copy,
{
    let mut made: Vec<T> = Vec::new();
    for n in 0..room {
        made.push(make().unwrap_or_else(|e| panic!("{what}: {n} of {room}: {e:?}")));
    }
    for _ in 0..2 {
        assert_eq!(make().map(drop), Err(over), "{what}: one more than {room}");
        if made.pop().is_some() {
            made.push(make().unwrap_or_else(|e| panic!("{what}: given back: {e:?}")));
        }
    }
}

/// Runs the limit of a user through all who are bound by it, and who are not. `make` makes
/// one with a controller that its user has opened.
fn assert_limit_of_a_user<T, E>(
    parameter: &str,
    first_user: u32,
    over: E,
    make: impl Fn(&File) -> Result<T, E>,
) where
    E: Debug + PartialEq + Copy,
{
    let books = Books::amid();
    let limit = Knob::parameter(parameter, LIMIT);
    let steps = Steps::new();
    let (one, other) = (first_user, first_user + 1);
    let holder = spawn(|| {
        become_user(one, one, &[]);
        let controller = raw::controller();
        assert_room(parameter, LIMIT, over, || make(&controller));
        let held = make(&controller).unwrap_or_else(|e| panic!("the first: {e:?}"));
        assert_room("one is held", LIMIT - 1, over, || make(&controller));
        steps.reach(0);
        steps.await_step(1);
        drop(held);
    });
    holder.await_step(&steps, 0);
    in_child(|| {
        become_user(one, one, &[]);
        let what = "another process of this user";
        let controller = raw::controller();
        assert_room(what, LIMIT - 1, over, || make(&controller));
    });
    in_child(|| {
        become_user(other, other, &[]);
        let controller = raw::controller();
        assert_room("another user", LIMIT, over, || make(&controller));
    });
    // Who may go beyond does, and takes nothing from others.
    let controller = raw::controller();
    let many: Vec<_> = (0..3 * LIMIT)
        .map(|_| make(&controller).unwrap_or_else(|e| panic!("root: {e:?}")))
        .collect();
    in_child(|| {
        become_user(one, one, &[]);
        let controller = raw::controller();
        assert_room("next to root's", LIMIT - 1, over, || make(&controller));
    });
    drop(many);
    steps.reach(1);
    holder.join();
    in_child(|| {
        become_user(one, one, &[]);
        let controller = raw::controller();
        assert_room("given back by the end", LIMIT, over, || make(&controller));
    });
    drop((controller, limit, steps));
    books.balance();
}

#[test]
fn segments() {
    // Nothing of another test is left.
    Books::open();
    let memory = Map::anonymous(PAGE);
    assert_limit_of_a_user("max_user_segments", 4300, USED_UP, |controller| {
        raw::create(controller, memory.addr(), PAGE as u64)
    });
}

#[test]
fn imports() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(1);
    assert_limit_of_a_user("max_user_imports", 4310, USED_UP, |controller| {
        raw::connect(controller, pair.id, 0o600)
    });
}

/// A mapping, and the import it is of.
struct Window {
    _map: Map,
    _import: Connection,
}

#[test]
fn mappings() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(1);
    assert_limit_of_a_user("max_user_mappings", 4320, Errno::EAGAIN, |controller| {
        let import = raw::connect(controller, pair.id, 0o600).expect("connect");
        let map = Map::new(PAGE, READ, libc::MAP_SHARED, import.as_raw_fd(), 0)?;
        Ok(Window {
            _map: map,
            _import: import,
        })
    });
}

/// What one user may have, with none of the rights that there are, leaves room for others: in all,
/// and at somebody else's segment.
#[test]
fn others_have_room() {
    let value = |name: &str| -> u64 {
        let path = format!("/sys/module/rsm/parameters/{name}");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        text.trim().parse().expect("a number")
    };
    for (of_a_user, of_all) in [
        ("max_user_segments", "max_segments"),
        ("max_user_imports", "max_imports"),
        ("max_user_imports", "max_segment_imports"),
    ] {
        let (of_a_user, most) = (value(of_a_user), value(of_all));
        assert!(of_a_user > 0 && 8 * of_a_user <= most, "{of_all}: {most}");
    }
    let books = Books::open();
    let pair = Pair::new(1);
    raw::republish_mode(&pair.controller, &pair.export, 0o600).expect("republish");
    let scale = value("max_segment_imports") / value("max_user_imports");
    let limits = [
        Knob::parameter("max_user_imports", LIMIT),
        Knob::parameter("max_segment_imports", LIMIT as u64 * scale),
    ];
    let steps = Steps::new();
    let stranger = spawn(|| {
        become_user(4350, 4350, &[]);
        let controller = raw::controller();
        let connect = || raw::connect(&controller, pair.id, 0);
        let held: Vec<_> = (0..LIMIT).map(|_| connect().expect("connect")).collect();
        assert_eq!(connect().map(drop), Err(USED_UP), "one more");
        steps.reach(0);
        steps.await_step(1);
        drop(held);
    });
    stranger.await_step(&steps, 0);
    drop(pair.connect());
    steps.reach(1);
    stranger.join();
    drop((limits, pair, steps));
    books.balance();
}

/// 0 is no limit, for nobody.
#[test]
fn without_a_limit() {
    let books = Books::open();
    let limits = [
        "max_user_segments",
        "max_user_imports",
        "max_user_mappings",
        "max_user_ids",
    ];
    let limits = limits.map(|name| Knob::parameter(name, 0));
    in_child(|| {
        become_user(4330, 4330, &[]);
        let pair = Pair::new(1);
        let imports: Vec<_> = (0..100).map(|_| pair.connect()).collect();
        let windows: Vec<_> = imports
            .iter()
            .map(|import| crate::map(import, READ))
            .collect();
        let segments: Vec<_> = (0..100)
            .map(|_| raw::create(&pair.controller, pair.memory.addr(), PAGE as u64))
            .map(|segment| segment.expect("create"))
            .collect();
        drop((segments, windows, imports));
    });
    drop(limits);
    books.balance();
}

/// The user who opened the controller is the one who counts, whoever uses it then.
#[test]
fn the_openers_limit() {
    let books = Books::open();
    let limit = Knob::parameter("max_user_segments", LIMIT);
    let memory = Map::anonymous(PAGE);
    let create = |controller: &File| raw::create(controller, memory.addr(), PAGE as u64);
    in_child(|| {
        let switch = |uid: u32| {
            // Root stays the saved user, without its capabilities meanwhile.
            // SAFETY: changes ids of this process.
            unsafe {
                assert_eq!(libc::setresuid(u32::MAX, 0, u32::MAX), 0);
                assert_eq!(libc::setresuid(uid, uid, 0), 0);
            }
        };
        switch(4340);
        let first = raw::controller();
        switch(4341);
        let second = raw::controller();
        let held: Vec<_> = (0..LIMIT)
            .map(|_| create(&first).expect("create"))
            .collect();
        assert_eq!(
            create(&first).map(drop),
            Err(USED_UP),
            "the opener's are used up"
        );
        assert_room("their own", LIMIT, USED_UP, || create(&second));
        switch(4340);
        assert_room("by anybody", LIMIT, USED_UP, || create(&second));
        let third = raw::controller();
        assert_eq!(create(&third).map(drop), Err(USED_UP), "opened again");
        drop(held);
    });
    drop(limit);
    books.balance();
}

/// Ids that were assigned never come back, not by the end of all that their user had.
#[test]
fn assigned_ids() {
    let books = Books::open();
    let limit = Knob::parameter("max_user_ids", LIMIT);
    let as_user = |uid: u32, part: &dyn Fn(&OwnedFd)| {
        in_child(|| {
            become_user(uid, uid, &[]);
            let (controller, memory) = (raw::controller(), Map::anonymous(PAGE));
            part(&raw::create(&controller, memory.addr(), PAGE as u64).expect("create"));
        });
    };
    let assigned = |segment: &OwnedFd| {
        let id = raw::publish(segment, 0, &[])?;
        raw::unpublish(segment).expect("unpublish");
        Ok(id)
    };
    as_user(4350, &|segment| {
        let first = assigned(segment).expect("the first");
        for _ in 1..LIMIT {
            assigned(segment).expect("the others");
        }
        assert_eq!(assigned(segment), Err(USED_UP), "one more");
        assert!(first >= 0x8000_0000, "{first:#x}");
    });
    as_user(4350, &|segment| {
        assert_eq!(assigned(segment), Err(USED_UP), "another process");
        raw::publish(segment, 0x40_4350, &[]).expect("an id of its own");
    });
    as_user(4351, &|segment| {
        let ids: Vec<_> = (0..LIMIT).map(|_| assigned(segment)).collect();
        assert!(ids.iter().all(Result::is_ok), "another user: {ids:?}");
        assert_eq!(assigned(segment), Err(USED_UP));
    });
    as_user(0, &|segment| {
        for _ in 0..3 * LIMIT {
            assigned(segment).expect("root");
        }
    });
    limit.turn(LIMIT + 1);
    as_user(4350, &|segment| {
        assert!(assigned(segment).is_ok(), "one more is allowed");
        assert_eq!(assigned(segment), Err(USED_UP));
    });
    drop(limit);
    books.balance();
}
