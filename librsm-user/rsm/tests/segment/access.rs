// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may connect: real processes of real users against access lists and umasks.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, failure, Failure, PAGE};

const DENIED: Failure = failure(Errno::EACCES, RSM_STATUS_PERM_DENIED);

/// A user: uid, gid, further groups.
type User = (u32, u32, &'static [u32]);

const OWNER: User = (1000, 2000, &[]);

/// Importers, with the number of the digit that counts for them: 6 owner, 3 group, 0 other.
const IMPORTERS: &[(&str, User, u32)] = &[
    ("the owner", OWNER, 6),
    ("the owner in another group", (1000, 2001, &[]), 6),
    ("one of the group", (1001, 2000, &[]), 3),
    (
        "one with the group among many",
        (1001, 2001, &[7, 2000, 9]),
        3,
    ),
    ("another", (1001, 2001, &[7, 9]), 0),
    (
        "one whose group has the owner's number",
        (1001, 1000, &[]),
        0,
    ),
    (
        "one whose user has the group's number",
        (2000, 2001, &[]),
        0,
    ),
];

const MODES: &[u32] = &[
    0o000, 0o400, 0o200, 0o600, 0o040, 0o020, 0o060, 0o004, 0o002, 0o006, 0o640, 0o604, 0o464,
    0o066, 0o660, 0o666, 0o555, 0o333,
];

/// Exports a page as `OWNER` in a child, once per mode, and runs `importer` with the ids.
fn with_segments(
    umask: u32,
    publish: impl Fn(&std::fs::File, &std::os::fd::OwnedFd, u32) -> u32,
    importer: impl FnOnce(&[u32]),
) {
    let steps = Steps::new();
    let exporter = spawn(|| {
        become_user(OWNER.0, OWNER.1, OWNER.2);
        // SAFETY: sets a number of this process.
        unsafe { libc::umask(umask) };
        let controller = raw::controller();
        let memory = Map::anonymous(PAGE);
        memory.store(0, 42);
        let segments: Vec<_> = MODES
            .iter()
            .map(|&mode| {
                let segment = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
                // What counts are the ids and the umask at create.
                // SAFETY: as above.
                unsafe { libc::umask(0o777) };
                let id = publish(&controller, &segment, mode);
                // SAFETY: as above.
                unsafe { libc::umask(umask) };
                (segment, id)
            })
            .collect();
        for pair in segments.windows(2) {
            assert_eq!(pair[1].1, pair[0].1 + 1, "ids in a row");
        }
        steps.pass(segments[0].1);
        steps.reach(0);
        steps.await_step(1);
    });
    steps.await_step(0);
    let ids: Vec<u32> = (0..MODES.len() as u32)
        .map(|n| steps.passed() + n)
        .collect();
    importer(&ids);
    steps.reach(1);
    exporter.join();
}

/// Tries to connect with all rights there are; `digit` says what is allowed.
fn assert_rights(what: &str, id: u32, digit: u32) {
    let controller = raw::controller();
    for perm in [0, 0o400, 0o200, 0o600] {
        let wanted = perm >> 6;
        let expected = match wanted & !digit {
            0 => Ok(()),
            _ => Err(DENIED),
        };
        let result = raw::connect(&controller, id, perm);
        let seen = result.as_ref().map(|_| ()).map_err(|&failure| failure);
        assert_eq!(seen, expected, "{what}: asks {perm:#o}, may {digit}");
        if let Ok(import) = result {
            if wanted & 4 != 0 {
                let window = Map::shared(import.fd.as_raw_fd(), PAGE, READ).expect("map");
                assert_eq!(window.load(0), 42, "{what}");
            }
        }
    }
}

#[test]
fn access_lists() {
    let books = Books::open();
    let publish = |controller: &_, segment: &_, mode| {
        raw::publish_mode(controller, segment, mode).expect("publish")
    };
    with_segments(0o022, publish, |ids| {
        for &(who, (uid, gid, groups), shift) in IMPORTERS {
            in_child(|| {
                become_user(uid, gid, groups);
                for (&mode, &id) in MODES.iter().zip(ids) {
                    let digit = ((mode & 0o666) >> shift) & 7;
                    assert_rights(&format!("{who}, mode {mode:04o}"), id, digit);
                }
            });
        }
    });
    books.balance();
}

#[test]
fn no_list_means_the_umask_at_create() {
    let books = Books::open();
    for umask in [0o000, 0o022, 0o027, 0o077, 0o777, 0o246] {
        let publish = |_: &_, segment: &_, _| raw::publish(segment, 0, &[]).expect("publish");
        with_segments(umask, publish, |ids| {
            for &(who, (uid, gid, groups), shift) in IMPORTERS {
                in_child(|| {
                    become_user(uid, gid, groups);
                    let digit = ((0o666 & !umask) >> shift) & 7;
                    assert_rights(&format!("{who}, umask {umask:03o}"), ids[0], digit);
                });
            }
        });
    }
    books.balance();
}

#[test]
fn root_may_do_everything() {
    let publish = |controller: &_, segment: &_, mode| {
        raw::publish_mode(controller, segment, mode).expect("publish")
    };
    with_segments(0o022, publish, |ids| {
        for (&mode, &id) in MODES.iter().zip(ids) {
            assert_rights(&format!("root, mode {mode:04o}"), id, 6);
        }
    });
}

#[test]
fn ids_of_the_segment_are_those_at_create() {
    let steps = Steps::new();
    let exporter = spawn(|| {
        let memory = Map::anonymous(PAGE);
        memory.store(0, 42);
        // Effective ids only; root is kept to change them back.
        // SAFETY: changes ids of this process.
        unsafe {
            assert_eq!(libc::setegid(2000), 0);
            assert_eq!(libc::seteuid(1000), 0);
        }
        let controller = raw::controller();
        let segment = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
        // SAFETY: as above.
        unsafe {
            assert_eq!(libc::seteuid(0), 0);
            assert_eq!(libc::setegid(0), 0);
        }
        let id = raw::publish_mode(&controller, &segment, 0o640).expect("publish");
        steps.pass(id);
        steps.reach(0);
        steps.await_step(1);
    });
    steps.await_step(0);
    let id = steps.passed();
    for (who, (uid, gid, groups), digit) in [
        ("owner", OWNER, 6),
        ("group", (1001, 2000, &[][..]), 4),
        ("other", (1001, 2001, &[][..]), 0),
    ] {
        in_child(|| {
            become_user(uid, gid, groups);
            assert_rights(who, id, digit);
        });
    }
    steps.reach(1);
    exporter.join();
}

#[test]
fn effective_ids_of_the_importer_count() {
    let publish = |controller: &_, segment: &_, mode| {
        raw::publish_mode(controller, segment, mode).expect("publish")
    };
    with_segments(0o022, publish, |ids| {
        let id = ids[MODES
            .iter()
            .position(|&mode| mode == 0o604)
            .expect("in the list")];
        in_child(|| {
            // Real and saved ids are the owner's, effective ones are not, and nothing is
            // left of root.
            // SAFETY: changes ids of this process.
            unsafe {
                assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
                assert_eq!(libc::setresgid(2000, 2001, 2000), 0);
                assert_eq!(libc::setresuid(1000, 1001, 1000), 0);
            }
            assert_rights("effective ids of another", id, 4);
            // Those that count for files do not.
            // SAFETY: as above, to ids that it has.
            unsafe {
                libc::setfsgid(2000);
                libc::setfsuid(1000);
                assert_eq!(libc::setfsgid(2000), 2000);
                assert_eq!(libc::setfsuid(1000), 1000);
            }
            assert_rights("effective ids of another, files as the owner", id, 4);
        });
    });
}

#[test]
fn rights_stay_as_connected() {
    let memory = Map::anonymous(PAGE);
    let controller = raw::controller();
    let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
    let id = raw::publish_mode(&controller, &export, 0o600).expect("publish");
    let import = raw::connect(&controller, id, 0o400).expect("connect");
    memory.store(0, 1);
    // A descriptor that was passed on: whoever has it may do what it permits.
    in_child(|| {
        become_user(1001, 2001, &[]);
        let window = Map::shared(import.fd.as_raw_fd(), PAGE, READ).expect("map");
        assert_eq!(window.load(0), 1);
        let refused = Map::shared(import.fd.as_raw_fd(), PAGE, READ | WRITE).map(drop);
        assert_eq!(refused, Err(Errno::EACCES));
        assert_eq!(
            raw::connect(&raw::controller(), id, 0o400).map(drop),
            Err(DENIED)
        );
    });
}
