// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events: post, wait, poll.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::common::pair::Pair;
use crate::common::raw;
use crate::sweep::Sweep;
use crate::{check, skipped};

#[test]
fn post_and_wait() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let from_export = Sweep::of("post to importers").run(
        || (),
        |()| raw::post(&pair.export, 0),
        |(), ()| raw::wait(&pair.import, 0).expect("one event"),
    );
    let from_import = Sweep::of("post to the exporter").run(
        || (),
        |()| raw::post(&pair.import, 0),
        |(), ()| raw::wait(&pair.export, 0).expect("one event"),
    );
    // The event is not lost: the same call gets it afterwards.
    let of_import = Sweep::of("wait of an import").run(
        || raw::post(&pair.export, 0).expect("post"),
        |()| raw::wait(&pair.import, 0),
        |(), ()| (),
    );
    let of_export = Sweep::of("wait of an export").run(
        || raw::post(&pair.import, 0).expect("post"),
        |()| raw::wait(&pair.export, 0),
        |(), ()| (),
    );
    for tally in [from_export, from_import, of_import, of_export] {
        tally.assert_failed_for_copies(2);
    }
}

/// So many at once that the kernel has to make room.
#[test]
fn poll() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    for fd in [pair.import.as_raw_fd(), pair.export.as_raw_fd()] {
        let tally = Sweep::of("poll").run(
            || {
                let entry = libc::pollfd {
                    fd,
                    events: libc::POLLIN | libc::POLLRDNORM,
                    revents: 0,
                };
                std::cell::RefCell::new([entry; 200])
            },
            |entries| {
                let mut entries = entries.borrow_mut();
                // SAFETY: that many entries.
                Errno::result(unsafe { libc::poll(entries.as_mut_ptr(), 200, 1) })
            },
            |_, ready| assert_eq!(ready, 0, "nothing is pending"),
        );
        tally.assert_failed(5, 2);
    }
}

#[test]
fn epoll() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    // SAFETY: makes a descriptor of ours.
    let epoll = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
    let control = |operation: i32, fd: i32| {
        let mut event = libc::epoll_event {
            events: libc::EPOLLRDNORM as u32,
            u64: 1,
        };
        // SAFETY: an event to read.
        check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), operation, fd, &mut event) })
    };
    let ready = || {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event.
        unsafe { libc::epoll_wait(epoll.as_raw_fd(), &mut event, 1, 0) }
    };
    let fd = pair.import.as_raw_fd();
    let tally = Sweep::of("epoll").run(
        || (),
        |()| control(libc::EPOLL_CTL_ADD, fd),
        |(), ()| {
            assert_eq!(ready(), 0);
            raw::post(&pair.export, 0).expect("post");
            assert_eq!(ready(), 1);
            raw::wait(&pair.import, 0).expect("wait");
            control(libc::EPOLL_CTL_DEL, fd).expect("removed");
        },
    );
    tally.assert_failed(3, 1);
}
