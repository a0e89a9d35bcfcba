// SPDX-License-Identifier: MIT OR Apache-2.0
//! Republish: another access list for those who connect from now on.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, failure, PAGE};
use crate::{map, Pair, Slot, DEAD, DENIED, NOT_CREATOR, NOT_PUBLISHED, OLD};

/// Fails unless a new connection is granted just the rights in `digit`.
#[track_caller]
fn assert_granted(id: u32, digit: u32) {
    let controller = raw::controller();
    for wanted in [0, 2, 4, 6] {
        let expected = match wanted & !digit {
            0 => Ok(()),
            _ => Err(DENIED),
        };
        let seen = raw::connect(&controller, id, wanted << 6).map(drop);
        assert_eq!(seen, expected, "asks {wanted}, may {digit}");
    }
}

/// In turns: the exporter sets a list, another user tries it.
#[test]
fn the_new_list_counts_for_new_connections() {
    let books = Books::open();
    // SAFETY: sets a number of this process.
    let umask = unsafe { libc::umask(0o035) };
    let pair = Pair::new(2);
    // SAFETY: as above.
    unsafe { libc::umask(umask) };
    let node = raw::local_node(&pair.controller);
    let list = |perm| vec![rsm_access_entry { node, perm }];
    // Lists, and what they leave to others.
    let lists = [
        (list(0o600), 0),
        (list(0o660), 0),
        (list(0o604), 4),
        (list(0o002), 2),
        (list(0), 0),
        (list(0o666), 6),
        (vec![], 2),
        (list(0o006), 6),
        (list(0o444), 4),
    ];
    let (asked, answered) = (Steps::new(), Steps::new());
    let user = spawn(|| {
        become_user(1001, 2001, &[]);
        assert_granted(pair.id, 6);
        answered.reach(15);
        for (turn, (_, digit)) in lists.iter().enumerate() {
            asked.await_step(turn);
            assert_granted(pair.id, *digit);
            answered.reach(turn);
        }
    });
    user.await_step(&answered, 15);
    for (turn, (list, _)) in lists.iter().enumerate() {
        raw::republish(&pair.export, list).expect("republish");
        asked.reach(turn);
        user.await_step(&answered, turn);
    }
    user.join();
    pair.window.assert_marked(OLD, 0);
    drop((pair, asked, answered));
    books.balance();
}

#[test]
fn connections_keep_what_they_have() {
    let books = Books::open();
    let pair = Pair::new(4);
    let steps = Steps::new();
    let user = spawn(|| {
        become_user(1001, 2001, &[]);
        let controller = raw::controller();
        let full = raw::connect(&controller, pair.id, 0o600).expect("connect");
        let reading = raw::connect(&controller, pair.id, 0o400).expect("connect");
        let slots = [
            Slot::of(&controller, &full),
            Slot::of(&controller, &reading),
        ];
        let window = map(&full, READ | WRITE);
        window.assert_marked(OLD, 0);
        let check = || {
            assert!(slots.iter().all(Slot::live));
            window.assert_marked(OLD, 0);
            map(&full, READ | WRITE).assert_marked(OLD, 0);
            map(&reading, READ).assert_marked(OLD, 0);
            let more = Map::shared(reading.as_raw_fd(), PAGE, READ | WRITE).map(drop);
            assert_eq!(more, Err(Errno::EACCES), "rights are not widened either");
        };
        steps.reach(0);
        steps.await_step(1);
        assert_granted(pair.id, 0);
        check();
        window.store(8, 9);
        steps.reach(2);
        steps.await_step(3);
        assert_granted(pair.id, 6);
        check();
    });
    user.await_step(&steps, 0);
    raw::republish_mode(&pair.controller, &pair.export, 0o600).expect("republish");
    steps.reach(1);
    user.await_step(&steps, 2);
    assert_eq!(pair.memory.load(8), 9);
    raw::republish_mode(&pair.controller, &pair.export, 0o606).expect("republish");
    steps.reach(3);
    user.join();
    pair.destroy();
    pair.window.assert_zero();
    drop((pair, steps));
    books.balance();
}

/// A list is of one publication: the next begins with its own.
#[test]
fn publishing_again_brings_its_own_list() {
    let pair = Pair::new(1);
    raw::republish_mode(&pair.controller, &pair.export, 0o600).expect("republish");
    raw::unpublish(&pair.export).expect("unpublish");
    let id = raw::publish_mode(&pair.controller, &pair.export, 0o604).expect("publish");
    in_child(|| {
        become_user(1001, 2001, &[]);
        assert_granted(id, 4);
    });
}

#[test]
fn republish_errors_in_order() {
    // Nothing of another test is left.
    Books::open();
    let pair = Pair::new(1);
    let create = || raw::create(&pair.controller, pair.memory.addr(), PAGE as u64).expect("create");
    let (bound, dead, former) = (create(), create(), create());
    raw::destroy(&dead).expect("destroy");
    raw::publish(&former, 0, &[]).expect("publish");
    raw::unpublish(&former).expect("unpublish");
    raw::republish_mode(&pair.controller, &pair.export, 0o604).expect("republish");
    let node = raw::local_node(&pair.controller);
    let entries = |node, perm| [rsm_access_entry { node, perm }; 2];
    let (good, too_much) = (entries(node, 0o666), entries(node, 0o667));
    let (foreign, beyond) = (entries(node + 1, 0o666), entries(65, 0o666));
    let unreadable = pair.controller.as_raw_fd() as u64;
    let attempt = |segment, acl, acl_len| {
        let mut argument = rsm_export_republish {
            acl,
            acl_len,
            ..Default::default()
        };
        raw::run(segment, &mut argument)
    };
    let bad_acl = Err(failure(Errno::EINVAL, RSM_STATUS_BAD_ACL));
    let bad_addr = Err(failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR));
    let list = |entries: &[rsm_access_entry; 2]| entries.as_ptr() as u64;

    let books = Books::amid();
    for (what, segment, error) in [
        ("bound", &bound, NOT_PUBLISHED),
        ("dead", &dead, DEAD),
        ("unpublished", &former, NOT_PUBLISHED),
    ] {
        for (acl, len) in [
            (unreadable, 65),
            (list(&foreign), 1),
            (list(&good), 1),
            (0, 0),
        ] {
            let seen = attempt(segment, acl, len);
            assert_eq!(seen, Err(error), "{what}, {len} entries");
            in_child(|| {
                let seen = attempt(segment, acl, len);
                assert_eq!(seen, Err(error), "{what}, not creator");
            });
        }
    }
    in_child(|| {
        for (acl, len) in [
            (unreadable, 65),
            (unreadable, 1),
            (list(&foreign), 1),
            (list(&good), 1),
        ] {
            let seen = attempt(&pair.export, acl, len);
            assert_eq!(seen, Err(NOT_CREATOR), "{len} entries");
        }
    });
    for len in [2, 64, 65, 1000, u32::MAX] {
        assert_eq!(
            attempt(&pair.export, unreadable, len),
            bad_acl,
            "{len} unreadable entries"
        );
        assert_eq!(
            attempt(&pair.export, list(&good), len),
            bad_acl,
            "{len} entries"
        );
    }
    for address in [
        0,
        unreadable,
        PAGE as u64 - 8,
        u64::MAX - 3,
        0xffff_8000_0000_0000,
    ] {
        assert_eq!(
            attempt(&pair.export, address, 1),
            bad_addr,
            "list at {address:#x}"
        );
    }
    for entries in [&foreign, &beyond, &too_much, &entries(64, 0o666)] {
        assert_eq!(
            attempt(&pair.export, list(entries), 1),
            bad_acl,
            "{:?}",
            entries[0]
        );
    }
    books.balance();
    // After all this the list is as it was.
    in_child(|| {
        become_user(1001, 2001, &[]);
        assert_granted(pair.id, 4);
    });
    // An address without entries is not looked at.
    assert_eq!(attempt(&pair.export, unreadable, 0), Ok(()));
}
