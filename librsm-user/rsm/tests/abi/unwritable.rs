// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structures that the kernel can read but not write: the command fails, and nothing has
//! happened.

use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, command, failure, ioctl, Command, Failure, PAGE};
use crate::Kinds;

const NOTHING: Failure = failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);

/// Runs a command on a structure in memory that cannot be written.
fn attempt<C: Command>(fd: RawFd, mut argument: C, what: &str) {
    let memory = Map::anonymous(PAGE);
    *argument.size() = size_of::<C>() as u32;
    // SAFETY: the page is ours and large enough.
    unsafe { memory.at(0).cast::<C>().write(argument) };
    memory.protect(0, PAGE, READ).expect("mprotect");
    let number = command(C::NUMBER, size_of::<C>());
    let result = ioctl(fd, number, memory.at(0).cast());
    assert_eq!(result, Err(Errno::EFAULT), "{what}: structure not writable");
}

#[test]
fn of_a_controller() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let controller = kinds.controller.as_raw_fd();
    attempt(controller, rsm_query::default(), "query");
    attempt(controller, rsm_attributes::default(), "attributes");
    attempt(controller, rsm_topology::default(), "topology");
    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    attempt(controller, create, "create");
    let connect = rsm_import_connect {
        node: raw::local_node(&kinds.controller),
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    attempt(controller, connect, "connect");
    books.balance();
}

#[test]
fn of_an_export() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let fresh = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let with_fresh = Books::amid();
    attempt(fresh.as_raw_fd(), rsm_export_publish::default(), "publish");
    attempt(fresh.as_raw_fd(), rsm_export_destroy::default(), "destroy");
    with_fresh.balance();
    raw::publish(&fresh, 0, &[]).expect("neither published nor destroyed so far");

    let export = kinds.export.as_raw_fd();
    let window = Map::shared(kinds.import.as_raw_fd(), 4 * PAGE, READ | WRITE).expect("map");
    let new = Map::anonymous(4 * PAGE);
    let rebind = rsm_export_rebind {
        addr: new.addr(),
        length: new.len as u64,
        ..Default::default()
    };
    attempt(export, rebind, "rebind");
    window.store(0, 1);
    assert_eq!(
        (kinds.memory.load(0), new.load(0)),
        (1, 0),
        "the old memory"
    );
    attempt(export, rsm_export_unpublish::default(), "unpublish");
    window.store(0, 2);
    assert_eq!(kinds.memory.load(0), 2, "still published");
    let again = raw::connect(&kinds.controller, kinds.id, 0o600).map(drop);
    assert_eq!(again, Ok(()), "still published");
    drop((fresh, window, new));
    books.balance();
}

/// The list that there was counts on.
#[test]
fn of_republish() {
    let kinds = Kinds::new();
    let entry = rsm_access_entry {
        node: raw::local_node(&kinds.controller),
        perm: 0,
    };
    let republish = rsm_export_republish {
        acl: &raw const entry as u64,
        acl_len: 1,
        ..Default::default()
    };
    attempt(kinds.export.as_raw_fd(), republish, "republish");
    crate::common::process::in_child(|| {
        crate::common::process::become_user(4001, 4001, &[]);
        let connect = raw::connect(&raw::controller(), kinds.id, 0o600).map(drop);
        assert_eq!(connect, Ok(()), "as published");
    });
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
    attempt(kinds.import.as_raw_fd(), prefault, "prefault");
    drop(window);
    let segments = [kinds.export.as_raw_fd(), kinds.import.as_raw_fd()];
    for fd in segments {
        attempt(fd, rsm_event_post::default(), "post");
    }
    for fd in segments {
        assert_eq!(raw::wait(&fd, 0), Err(NOTHING), "nothing has been posted");
    }
    for fd in segments {
        raw::post(&fd, 0).expect("post");
    }
    for fd in segments {
        attempt(fd, rsm_event_wait::default(), "wait");
        assert_eq!(raw::wait(&fd, 0), Ok(()), "nothing has been taken");
        assert_eq!(raw::wait(&fd, 0), Err(NOTHING));
    }
    books.balance();
}
