// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every status with its errno, the order in which errors are found, and that a failed
//! command leaves nothing behind.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{setrlimit, Resource};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ};
use crate::common::process::{become_user, in_child};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::common::{debug_kernel, soak};
use crate::Kinds;

/// An address range to export.
type Range = (u64, u64);

/// Memory of three pages: one that can be exported, one that is not writable, a hole.
fn mixed_memory() -> Map {
    let memory = Map::anonymous(3 * PAGE);
    memory.protect(PAGE, PAGE, READ).expect("mprotect");
    // SAFETY: of our own mapping.
    unsafe { libc::munmap(memory.at(2 * PAGE).cast(), PAGE) };
    memory
}

/// No further descriptor can be opened. For good: to be called in a child.
fn use_up_descriptors() {
    let lowest_free = std::fs::File::open("/dev/null")
        .expect("/dev/null")
        .as_raw_fd() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, lowest_free, lowest_free).expect("setrlimit");
}

/// No memory may be locked. For good: to be called in a child.
fn forbid_locking() {
    setrlimit(Resource::RLIMIT_MEMLOCK, 0, 0).expect("setrlimit");
    become_user(4001, 4001, &[]);
}

const OVER_LIMIT: Failure = failure(Errno::ENOMEM, RSM_STATUS_INSUFFICIENT_MEM);
const NOT_MAPPED: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);
const NOT_WRITABLE: Failure = failure(Errno::EACCES, RSM_STATUS_PERM_DENIED);
const NO_DESCRIPTOR: Failure = failure(Errno::EMFILE, RSM_STATUS_INSUFFICIENT_RESOURCES);
const ZERO_LENGTH: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_LENGTH);
const MISALIGNED: Failure = failure(Errno::EINVAL, RSM_STATUS_BAD_MEM_ALIGNMENT);

#[test]
fn create_errors_in_order() {
    // Nothing of another test is left.
    Books::open();
    let memory = mixed_memory();
    let page = PAGE as u64;
    let (good, read_only, hole) = (
        memory.addr(),
        memory.addr() + page,
        memory.addr() + 2 * page,
    );
    let top = u64::MAX - 4095;
    // Ranges with their first error; each has some of the later ones as well.
    let by_range: [(Range, Failure); 12] = [
        ((good + 1, 0), ZERO_LENGTH),
        ((hole, 0), ZERO_LENGTH),
        ((0, 0), ZERO_LENGTH),
        ((top + 1, page), MISALIGNED),
        ((top, page + 1), MISALIGNED),
        ((hole + 8, page), MISALIGNED),
        ((good, 1), MISALIGNED),
        ((good, u64::MAX), MISALIGNED),
        ((top, page), ZERO_LENGTH),
        ((top, 2 * page), ZERO_LENGTH),
        ((good, top), ZERO_LENGTH),
        ((hole, top), ZERO_LENGTH),
    ];
    let by_memory: [(Range, Failure); 6] = [
        ((hole, page), NOT_MAPPED),
        ((0, page), NOT_MAPPED),
        ((read_only, 2 * page), NOT_MAPPED),
        ((good, 3 * page), NOT_MAPPED),
        ((0x7fff_ffff_f000, page), NOT_MAPPED),
        ((read_only, page), NOT_WRITABLE),
    ];
    let controller = raw::controller();
    let books = Books::amid();
    let attempt = |(addr, length): Range| raw::create(&controller, addr, length).map(drop);
    for (range, expected) in by_range.into_iter().chain(by_memory) {
        assert_eq!(attempt(range), Err(expected), "range {range:x?}");
        books.balance();
    }
    assert_eq!(
        attempt((good, 2 * page)),
        Err(NOT_WRITABLE),
        "half of it writable"
    );
    books.balance();

    // Beyond the limit on locked memory: after the range, before the memory.
    in_child(|| {
        let books = Books::amid();
        forbid_locking();
        let over_limit = by_memory.map(|(range, _)| (range, OVER_LIMIT));
        for (range, expected) in by_range.into_iter().chain(over_limit) {
            assert_eq!(
                attempt(range),
                Err(expected),
                "over the limit, range {range:x?}"
            );
        }
        assert_eq!(attempt((good, page)), Err(OVER_LIMIT));
        assert_eq!(books.private(), Books::private_now());
    });

    // Descriptors are the last thing to be missing.
    in_child(|| {
        let pinned = Books::private_now();
        use_up_descriptors();
        for (range, expected) in by_range.into_iter().chain(by_memory) {
            assert_eq!(
                attempt(range),
                Err(expected),
                "no descriptor, range {range:x?}"
            );
        }
        assert_eq!(attempt((good, page)), Err(NO_DESCRIPTOR));
        setrlimit(Resource::RLIMIT_NOFILE, 64, 64).expect("setrlimit");
        assert_eq!(pinned, Books::private_now());
    });
    books.balance();
    assert_eq!(attempt((good, page)), Ok(()));
    books.balance();
}

fn publish(segment: &OwnedFd, id: u32, acl: u64, acl_len: u32) -> Result<u32, Failure> {
    let mut argument = rsm_export_publish {
        segment_id: id,
        acl,
        acl_len,
        ..Default::default()
    };
    raw::run(segment, &mut argument)?;
    Ok(argument.segment_id)
}

#[test]
fn publish_errors_in_order() {
    let kinds = Kinds::new();
    let page = PAGE as u64;
    let create = || raw::create(&kinds.controller, kinds.memory.addr(), page).expect("create");
    let node = raw::local_node(&kinds.controller);
    let (bound, dead) = (create(), create());
    raw::destroy(&dead).expect("destroy");
    let entry = |node, perm| [rsm_access_entry { node, perm }; 2];
    let (good, foreign) = (entry(node, 0o666), entry(node + 1, 0o666));
    let (beyond, too_much) = (entry(65, 0o666), entry(node, 0o667));
    let unreadable = kinds.controller.as_raw_fd() as u64;
    let list = |entries: &[rsm_access_entry; 2]| entries.as_ptr() as u64;
    let taken = 0x60_0001;
    let holder = create();
    raw::publish(&holder, taken, &[]).expect("publish");
    let books = Books::amid();

    let published = failure(Errno::EBUSY, RSM_STATUS_SEG_ALREADY_PUBLISHED);
    let reserved = failure(Errno::EINVAL, RSM_STATUS_RESERVED_SEGID);
    let not_creator = failure(Errno::EPERM, RSM_STATUS_NOT_CREATOR);
    let bad_acl = failure(Errno::EINVAL, RSM_STATUS_BAD_ACL);
    let bad_addr = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);
    let bad_handle = failure(Errno::ESTALE, RSM_STATUS_BAD_SEG_HNDL);
    let in_use = failure(Errno::EADDRINUSE, RSM_STATUS_SEGID_IN_USE);

    let check = |what: &str, segment: &OwnedFd, id, acl, len, expected| {
        assert_eq!(publish(segment, id, acl, len), Err(expected), "{what}");
        books.balance();
    };
    check(
        "published, everything else wrong too",
        &kinds.export,
        1,
        unreadable,
        65,
        published,
    );
    for id in [
        1,
        0xF_FFFF,
        0x10_0000,
        0x20_0000,
        0x30_0000,
        0x3F_FFFF,
        0x8000_0000,
        u32::MAX,
    ] {
        check(
            &format!("id {id:#x}, list too long"),
            &bound,
            id,
            unreadable,
            65,
            reserved,
        );
        check(&format!("id {id:#x}, dead"), &dead, id, 0, 0, reserved);
    }
    in_child(|| {
        let attempt = |segment, id, acl, len| publish(segment, id, acl, len);
        assert_eq!(
            attempt(&kinds.export, 0, 0, 0),
            Err(published),
            "published, not creator"
        );
        assert_eq!(
            attempt(&bound, 1, 0, 0),
            Err(reserved),
            "reserved, not creator"
        );
        assert_eq!(
            attempt(&bound, 0, unreadable, 65),
            Err(not_creator),
            "list too long"
        );
        assert_eq!(
            attempt(&dead, taken, unreadable, 1),
            Err(not_creator),
            "dead"
        );
        assert_eq!(
            attempt(&bound, 0, list(&good), 1),
            Err(not_creator),
            "otherwise good"
        );
    });
    for len in [2, 64, 65, 1000, u32::MAX] {
        check(
            &format!("{len} entries, unreadable"),
            &bound,
            0,
            unreadable,
            len,
            bad_acl,
        );
        check(
            &format!("{len} entries, dead"),
            &dead,
            0,
            list(&good),
            len,
            bad_acl,
        );
    }
    for address in [0, unreadable, page - 8, u64::MAX - 3, 0xffff_8000_0000_0000] {
        check(
            &format!("list at {address:#x}, dead"),
            &dead,
            taken,
            address,
            1,
            bad_addr,
        );
        check(
            &format!("list at {address:#x}"),
            &bound,
            taken,
            address,
            1,
            bad_addr,
        );
    }
    for entries in [&foreign, &beyond, &too_much] {
        check(
            &format!("{:?}, dead", entries[0]),
            &dead,
            taken,
            list(entries),
            1,
            bad_acl,
        );
        check(
            &format!("{:?}, in use", entries[0]),
            &bound,
            taken,
            list(entries),
            1,
            bad_acl,
        );
    }
    check("dead, id in use", &dead, taken, list(&good), 1, bad_handle);
    check("dead", &dead, 0, 0, 0, bad_handle);
    check("id in use", &bound, taken, list(&good), 1, in_use);
    check("id in use, no list", &bound, taken, 0, 0, in_use);
    // After all this it can still be published. An address without entries is not looked at.
    assert_eq!(publish(&bound, 0x60_0002, unreadable, 0), Ok(0x60_0002));
}

#[test]
fn destroy_errors() {
    let kinds = Kinds::new();
    let not_creator = failure(Errno::EPERM, RSM_STATUS_NOT_CREATOR);
    in_child(|| assert_eq!(raw::destroy(&kinds.export), Err(not_creator)));
    raw::connect(&kinds.controller, kinds.id, 0o600).expect("the segment is as it was");
    raw::destroy(&kinds.export).expect("destroy");
    in_child(|| assert_eq!(raw::destroy(&kinds.export), Err(not_creator)));
    raw::destroy(&kinds.export).expect("destroy again");
}

#[test]
fn connect_errors_in_order() {
    let kinds = Kinds::new();
    let node = raw::local_node(&kinds.controller);
    let page = PAGE as u64;
    let closed = raw::create(&kinds.controller, kinds.memory.addr(), page).expect("create");
    let closed_id = raw::publish_mode(&kinds.controller, &closed, 0o000).expect("publish");
    let bound = raw::create(&kinds.controller, kinds.memory.addr(), page).expect("create");
    let gone = raw::create(&kinds.controller, kinds.memory.addr(), page).expect("create");
    let gone_id = raw::publish_mode(&kinds.controller, &gone, 0o666).expect("publish");
    raw::destroy(&gone).expect("destroy");
    let books = Books::amid();

    let denied = failure(Errno::EACCES, RSM_STATUS_PERM_DENIED);
    let no_node = failure(Errno::ENODEV, RSM_STATUS_CTLR_NOT_PRESENT);
    let no_segment = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
    let attempt = |node, segment_id, perm| {
        let mut argument = rsm_import_connect {
            node,
            segment_id,
            perm,
            ..Default::default()
        };
        raw::run(&kinds.controller, &mut argument)?;
        // SAFETY: the command has just made it for us.
        assert_eq!(unsafe { libc::close(argument.fd) }, 0);
        Ok(())
    };
    let unknown = 0x7fff_ffff;
    let bad_rights = (0..32).map(|bit| 1 << bit).filter(|bit| bit & 0o600 == 0);
    let check_all = |situation: &str| {
        for perm in bad_rights.clone() {
            let expected = Err(denied);
            assert_eq!(
                attempt(node + 1, unknown, perm),
                expected,
                "{situation}: {perm:#o}"
            );
            assert_eq!(
                attempt(node, unknown, perm | 0o400),
                expected,
                "{situation}: {perm:#o}"
            );
        }
        for foreign in [node + 1, 63, 64, 65, u32::MAX] {
            let expected = Err(no_node);
            assert_eq!(
                attempt(foreign, unknown, 0o400),
                expected,
                "{situation}: {foreign}"
            );
            assert_eq!(
                attempt(foreign, kinds.id, 0o400),
                expected,
                "{situation}: {foreign}"
            );
        }
        for id in [0, 1, unknown, u32::MAX, gone_id] {
            assert_eq!(
                attempt(node, id, 0o600),
                Err(no_segment),
                "{situation}: id {id:#x}"
            );
        }
    };
    check_all("root");
    books.balance();
    in_child(|| {
        use_up_descriptors();
        check_all("no descriptor");
        assert_eq!(attempt(node, kinds.id, 0o600), Err(NO_DESCRIPTOR));
    });
    in_child(|| {
        become_user(4001, 4001, &[]);
        check_all("another user");
        for perm in [0o400, 0o200, 0o600] {
            assert_eq!(
                attempt(node, closed_id, perm),
                Err(denied),
                "mode 0, {perm:#o}"
            );
        }
        assert_eq!(
            attempt(node, closed_id, 0),
            Ok(()),
            "asking for nothing is granted"
        );
        assert_eq!(attempt(node, kinds.id, 0o600), Ok(()));
        use_up_descriptors();
        assert_eq!(
            attempt(node, closed_id, 0o400),
            Err(denied),
            "no descriptor either"
        );
        assert_eq!(attempt(node, closed_id, 0), Err(NO_DESCRIPTOR));
    });
    books.balance();
    drop(bound);
}

#[test]
fn status_slots_run_out() {
    if debug_kernel() && !soak() {
        println!("skipped: so many connections take minutes on the debug kernel");
        return;
    }
    let kinds = Kinds::new();
    let books = Books::amid();
    let mut query = rsm_query::default();
    raw::run(&kinds.controller, &mut query).expect("query");
    in_child(|| {
        // Descriptors would run out first: share one between connections by mapping.
        let slots = u64::from(query.status_slots);
        setrlimit(Resource::RLIMIT_NOFILE, slots + 100, slots + 100).expect("setrlimit");
        let mut all = Vec::new();
        // One is taken by the connection of `kinds`.
        for _ in 1..slots {
            all.push(raw::connect(&kinds.controller, kinds.id, 0).expect("connect"));
        }
        let full = failure(Errno::EAGAIN, RSM_STATUS_INSUFFICIENT_RESOURCES);
        assert_eq!(
            raw::connect(&kinds.controller, kinds.id, 0).map(drop),
            Err(full)
        );
        let other = raw::controller();
        raw::connect(&other, kinds.id, 0).expect("another controller has slots of its own");
        let freed = all.swap_remove(7);
        drop(freed.fd);
        let again = raw::connect(&kinds.controller, kinds.id, 0).expect("a slot is free");
        assert_eq!(again.slot, freed.slot);
        assert_ne!(
            again.generation, freed.generation,
            "generations are not used twice"
        );
    });
    books.balance();
}
