// SPDX-License-Identifier: MIT OR Apache-2.0
//! Structures that are longer or shorter than the kernel's, and sizes that contradict each
//! other.

use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ};
use crate::common::raw::{self, command, ioctl, Command, PAGE, UNTOUCHED};
use crate::Kinds;

/// Runs a command with a size in its number that differs from `C`'s: the bytes of
/// `argument`, with `size` in the structure, followed by `tail`.
fn sized<C: Command>(
    fd: RawFd,
    mut argument: C,
    encoded: usize,
    size: usize,
    tail: u8,
) -> (Result<(), Errno>, Vec<u8>) {
    *argument.size() = size as u32;
    *argument.status() = UNTOUCHED;
    let mut bytes = vec![tail; encoded.max(size_of::<C>())];
    // SAFETY: a structure of integers without padding.
    unsafe {
        ptr::copy_nonoverlapping(
            (&raw const argument).cast(),
            bytes.as_mut_ptr(),
            size_of::<C>(),
        )
    };
    let result = ioctl(fd, command(C::NUMBER, encoded), bytes.as_mut_ptr().cast());
    (result, bytes)
}

fn status_of(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes[4..8].try_into().expect("four bytes"))
}

/// All the ways to get a size wrong, and the ones that are right.
fn sizes<C: Command>(fd: RawFd, argument: C, what: &str, mut accepted: impl FnMut(&[u8])) {
    let own = size_of::<C>();
    for encoded in [0, 1, 3, 4, 7, 8, own - 8, own - 4, own - 1] {
        let (result, bytes) = sized(fd, argument, encoded, encoded, 0);
        assert_eq!(result, Err(Errno::EINVAL), "{what}: {encoded} bytes");
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {encoded} bytes: status stored"
        );
    }
    for (encoded, size) in [
        (own, 0),
        (own, own - 1),
        (own, own + 1),
        (own, u32::MAX as usize),
        (own + 8, own),
        (own, own + 8),
        (16383, own),
    ] {
        let (result, bytes) = sized(fd, argument, encoded, size, 0);
        assert_eq!(
            result,
            Err(Errno::EINVAL),
            "{what}: {encoded} bytes that say {size}"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {encoded}/{size}: status stored"
        );
    }
    for longer in [own + 1, own + 4, own + 8, own + 100, 4096, 8192, 16383] {
        let (result, bytes) = sized(fd, argument, longer, longer, 1);
        assert_eq!(
            result,
            Err(Errno::E2BIG),
            "{what}: {longer} bytes with a tail"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {longer} bytes: status stored"
        );

        // A tail that is zero but for its last byte.
        let mut last = argument;
        *last.size() = longer as u32;
        let mut bytes = vec![0u8; longer];
        // SAFETY: a structure of integers without padding.
        unsafe { ptr::copy_nonoverlapping((&raw const last).cast(), bytes.as_mut_ptr(), own) };
        bytes[longer - 1] = 1;
        let result = ioctl(fd, command(C::NUMBER, longer), bytes.as_mut_ptr().cast());
        assert_eq!(
            result,
            Err(Errno::E2BIG),
            "{what}: {longer} bytes, last not zero"
        );

        let (result, bytes) = sized(fd, argument, longer, longer, 0);
        assert_eq!(
            result,
            Ok(()),
            "{what}: {longer} bytes with a tail of zeroes"
        );
        assert_eq!(
            status_of(&bytes),
            RSM_STATUS_SUCCESS,
            "{what}: {longer} bytes"
        );
        assert!(
            bytes[own..].iter().all(|&b| b == 0),
            "{what}: {longer} bytes: tail changed"
        );
        accepted(&bytes);
    }
}

/// Closes the descriptor that a command stored at `offset` of its structure.
fn close_fd_at(offset: usize) -> impl FnMut(&[u8]) {
    move |bytes| {
        let fd = i32::from_ne_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"));
        // SAFETY: the command has just made it for us.
        let result = unsafe { libc::close(fd) };
        assert_eq!(result, 0, "descriptor {fd} of a successful command");
    }
}

#[test]
fn of_commands_of_a_controller() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let controller = kinds.controller.as_raw_fd();
    sizes(controller, rsm_query::default(), "query", |_| ());
    sizes(controller, rsm_attributes::default(), "attributes", |_| ());
    sizes(controller, rsm_topology::default(), "topology", |_| ());
    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let fd = std::mem::offset_of!(rsm_export_create, fd);
    sizes(controller, create, "create", close_fd_at(fd));
    let connect = rsm_import_connect {
        node: raw::local_node(&kinds.controller),
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    let fd = std::mem::offset_of!(rsm_import_connect, fd);
    sizes(controller, connect, "connect", close_fd_at(fd));

    books.balance();
}

#[test]
fn of_commands_that_can_be_repeated() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let export = kinds.export.as_raw_fd();
    let republish = rsm_export_republish::default();
    sizes(export, republish, "republish", |_| ());
    // To where the memory is already.
    let rebind = rsm_export_rebind {
        addr: kinds.memory.addr(),
        length: kinds.memory.len as u64,
        ..Default::default()
    };
    sizes(export, rebind, "rebind", |_| ());
    let window = Map::shared(kinds.import.as_raw_fd(), PAGE, READ).expect("map");
    let prefault = rsm_import_prefault {
        addr: window.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    sizes(kinds.import.as_raw_fd(), prefault, "prefault", |_| ());
    drop(window);
    // What is turned away has not unpublished it: then the next one would fail.
    let segment = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let publish = || {
        raw::publish(&segment, 0, &[]).expect("publish");
    };
    publish();
    let fd = segment.as_raw_fd();
    sizes(fd, rsm_export_unpublish::default(), "unpublish", |_| {
        publish()
    });
    // A segment can be destroyed again and again.
    sizes(fd, rsm_export_destroy::default(), "destroy", |_| ());
    drop(segment);
    books.balance();
}

/// What is turned away neither posts nor takes anything.
#[test]
fn of_events() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let (export, import) = (kinds.export.as_raw_fd(), kinds.import.as_raw_fd());
    let count = std::cell::Cell::new(0);
    for (poster, taker) in [(export, import), (import, export)] {
        count.set(0);
        let add = |_: &[u8]| count.set(count.get() + 1);
        sizes(poster, rsm_event_post::default(), "post", add);
        let posted = count.replace(0);
        sizes(taker, rsm_event_wait::default(), "wait", add);
        assert_eq!(count.get(), posted, "as many can be taken as were posted");
        let none = raw::failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);
        assert_eq!(raw::wait(&taker, 0), Err(none));
    }
    books.balance();
}

#[test]
fn of_publish() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let create =
        || raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let argument = rsm_export_publish::default();
    let own = size_of::<rsm_export_publish>();
    let fresh = create();
    for (encoded, size, tail, expected) in [
        (8, 8, 0, Errno::EINVAL),
        (own - 4, own - 4, 0, Errno::EINVAL),
        (own, own + 8, 0, Errno::EINVAL),
        (own + 8, own, 0, Errno::EINVAL),
        (own + 8, own + 8, 1, Errno::E2BIG),
        (16383, 16383, 1, Errno::E2BIG),
    ] {
        let (result, bytes) = sized(fresh.as_raw_fd(), argument, encoded, size, tail);
        assert_eq!(
            result,
            Err(expected),
            "{encoded} bytes that say {size}, tail {tail}"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{encoded} bytes: status stored"
        );
    }
    // None of these has published it.
    for longer in [own, own + 1, own + 8, 16383] {
        let segment = create();
        let (result, _) = sized(segment.as_raw_fd(), argument, longer, longer, 0);
        assert_eq!(result, Ok(()), "{longer} bytes with a tail of zeroes");
    }
    raw::publish(&fresh, 0, &[]).expect("publish after failures");
    drop(fresh);
    books.balance();
}
