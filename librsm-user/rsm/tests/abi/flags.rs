// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unknown flags and reserved members: turned away by every command, one bit at a time.

use std::fmt::Debug;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ};
use crate::common::raw::{self, command, failure, ioctl, Command, PAGE, UNTOUCHED};
use crate::Kinds;

/// Runs a command that must be turned away with EOPNOTSUPP, status untouched.
fn unsupported<C: Command + PartialEq + Debug>(fd: RawFd, mut argument: C, what: &str) {
    *argument.size() = size_of::<C>() as u32;
    *argument.status() = UNTOUCHED;
    let before = argument;
    let number = command(C::NUMBER, size_of::<C>());
    let result = ioctl(fd, number, (&raw mut argument).cast());
    assert_eq!(result, Err(Errno::EOPNOTSUPP), "{what}: {before:x?}");
    assert_eq!(argument, before, "{what}: structure changed");
}

/// Sets each bit of a member but those that are known, alone and next to them.
fn each_bit<C: Command + PartialEq + Debug>(
    what: &str,
    fd: RawFd,
    known: u32,
    argument: C,
    member: impl Fn(&mut C) -> &mut u32,
) {
    for bit in (0..32).map(|bit| 1 << bit).filter(|bit| known & bit == 0) {
        for value in [bit, bit | known] {
            let mut argument = argument;
            *member(&mut argument) = value;
            unsupported(fd, argument, what);
        }
    }
}

#[test]
fn of_a_controller() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let fd = kinds.controller.as_raw_fd();
    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let known = RSM_EXPORT_ALLOW_REBIND;
    each_bit("create", fd, known, create, |c| &mut c.flags);
    let connect = rsm_import_connect {
        node: raw::local_node(&kinds.controller),
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    let known = RSM_IMPORT_WAKE_ON_ABORT | RSM_IMPORT_SIGBUS;
    each_bit("connect", fd, known, connect, |c| &mut c.flags);
    books.balance();
    // All that are known are taken, in every combination.
    raw::create_with(&kinds.controller, create.addr, create.length, 1).expect("create");
    for flags in 0..4 {
        let connection = raw::connect_with(&kinds.controller, kinds.id, 0, flags);
        assert_eq!(connection.map(drop), Ok(()), "flags {flags}");
    }
    books.balance();
}

#[test]
fn of_an_export() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let fresh = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let fd = fresh.as_raw_fd();
    let publish = rsm_export_publish::default();
    each_bit("publish", fd, 0, publish, |c| &mut c.flags);
    each_bit("publish", fd, 0, publish, |c| &mut c.__reserved);
    raw::publish(&fresh, 0, &[]).expect("not published so far");
    let unpublish = rsm_export_unpublish::default();
    each_bit("unpublish", fd, 0, unpublish, |c| &mut c.flags);
    each_bit("unpublish", fd, 0, unpublish, |c| &mut c.__reserved);
    let republish = rsm_export_republish::default();
    each_bit("republish", fd, 0, republish, |c| &mut c.flags);
    // It cannot be rebound, which would be found only later.
    let rebind = rsm_export_rebind::default();
    each_bit("rebind", fd, 0, rebind, |c| &mut c.flags);
    each_bit("rebind", fd, 0, rebind, |c| &mut c.__reserved);
    let destroy = rsm_export_destroy::default();
    each_bit("destroy", fd, 0, destroy, |c| &mut c.flags);
    each_bit("destroy", fd, 0, destroy, |c| &mut c.__reserved);
    raw::unpublish(&fresh).expect("neither unpublished nor destroyed so far");
    drop(fresh);
    books.balance();
}

#[test]
fn of_an_import_and_of_events() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let window = Map::shared(kinds.import.as_raw_fd(), PAGE, READ).expect("map");
    let prefault = rsm_import_prefault {
        addr: window.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let import = kinds.import.as_raw_fd();
    each_bit("prefault", import, 0, prefault, |c| &mut c.flags);
    each_bit("prefault", import, 0, prefault, |c| &mut c.__reserved);
    drop(window);
    let segments = [kinds.export.as_raw_fd(), import];
    let nothing = failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);
    for fd in segments {
        let post = rsm_event_post::default();
        each_bit("post", fd, RSM_EVENT_NO_ACCUMULATE, post, |c| &mut c.flags);
        each_bit("post", fd, 0, post, |c| &mut c.__reserved);
    }
    for fd in segments {
        assert_eq!(raw::wait(&fd, 0), Err(nothing), "nothing has been posted");
    }
    for fd in segments {
        raw::post(&fd, 0).expect("post");
    }
    for fd in segments {
        let wait = rsm_event_wait::default();
        each_bit("wait", fd, 0, wait, |c| &mut c.flags);
        assert_eq!(raw::wait(&fd, 0), Ok(()), "nothing has been taken");
        assert_eq!(raw::wait(&fd, 0), Err(nothing));
    }
    books.balance();
}
