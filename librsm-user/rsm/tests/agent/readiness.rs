// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readiness as poll and epoll report it: `POLLRDNORM` while an event is pending, and nothing
//! else.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::common::books::Books;
use crate::common::process::{asleep_in, spawn, Steps};
use crate::common::raw;
use crate::common::wait_until;
use crate::events::{assert_takes, PATIENCE_MS};
use crate::{Pair, Remote};

/// All that can be asked for, and what is reported without being asked for.
pub const EVERYTHING: i16 = 0x3fff;

/// `poll(2)` of one descriptor: what it reports, 0 on a timeout or a failure.
pub fn poll(segment: &impl AsRawFd, events: i16, ms: i32) -> i16 {
    let mut fds = libc::pollfd {
        fd: segment.as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one entry.
    let result = unsafe { libc::poll(&mut fds, 1, ms) };
    assert_eq!(result == 1, fds.revents != 0, "poll: {result}, {fds:?}");
    fds.revents
}

#[test]
fn poll_reports_just_that() {
    let books = Books::open();
    let pair = Pair::new(1);
    let segments = [&pair.import.fd, &pair.export];
    for segment in segments {
        assert_eq!(poll(segment, EVERYTHING, 0), 0, "nothing is pending");
        assert_eq!(poll(segment, EVERYTHING, 20), 0, "nothing is pending");
    }
    for _ in 0..2 {
        raw::post(&pair.import, 0).expect("post");
        raw::post(&pair.export, 0).expect("post");
    }
    for segment in segments {
        for _ in 0..2 {
            for ms in [0, -1] {
                assert_eq!(poll(segment, EVERYTHING, ms), libc::POLLRDNORM);
            }
            assert_eq!(poll(segment, libc::POLLRDNORM, 0), libc::POLLRDNORM);
            let other = EVERYTHING & !libc::POLLRDNORM;
            assert_eq!(poll(segment, other, 0), 0, "not even POLLIN");
            raw::wait(segment, 0).expect("polling takes nothing");
        }
        assert_eq!(poll(segment, EVERYTHING, 0), 0, "all are taken");
    }
    drop(pair);
    books.balance();
}

/// Whatever becomes of the connection.
#[test]
fn poll_does_not_tell_of_the_end() {
    let books = Books::open();
    for end in [raw::unpublish, raw::destroy] {
        let pair = Pair::new(1);
        raw::post(&pair.import, 0).expect("post");
        raw::post(&pair.export, 0).expect("post");
        end(&pair.export).expect("end");
        for segment in [&pair.import.fd, &pair.export] {
            assert_eq!(poll(segment, EVERYTHING, 0), libc::POLLRDNORM);
            raw::wait(segment, 0).expect("pending");
            assert_eq!(poll(segment, EVERYTHING, 0), 0);
            assert_eq!(poll(segment, EVERYTHING, 20), 0);
        }
    }
    books.balance();
}

#[test]
fn a_post_wakes_all_who_poll() {
    let books = Books::open();
    let pair = Pair::new(1);
    let pollers: Vec<_> = (0..6)
        .map(|n| {
            let segment = [&pair.import.fd, &pair.export][n % 2];
            spawn(move || {
                assert_eq!(poll(segment, libc::POLLRDNORM, -1), libc::POLLRDNORM);
            })
        })
        .collect();
    wait_until("they poll", 150, || {
        pollers
            .iter()
            .all(|poller| asleep_in(poller.pid, libc::SYS_poll))
    });
    raw::post(&pair.import, 0).expect("post");
    raw::post(&pair.export, 0).expect("post");
    pollers.into_iter().for_each(|poller| poller.join());
    assert_takes("polling takes nothing", 1, &pair.import);
    assert_takes("polling takes nothing", 1, &pair.export);
    drop(pair);
    books.balance();
}

/// An epoll descriptor.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> Self {
        // SAFETY: makes a descriptor of ours.
        unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            assert!(fd >= 0, "epoll_create1: {}", Errno::last());
            Self(OwnedFd::from_raw_fd(fd))
        }
    }

    pub fn add(&self, segment: &impl AsRawFd, events: i32) -> Result<(), Errno> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: segment.as_raw_fd() as u64,
        };
        let (epoll, fd) = (self.0.as_raw_fd(), segment.as_raw_fd());
        // SAFETY: one event.
        let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) };
        Errno::result(result).map(drop)
    }

    /// What is reported, of which descriptor.
    pub fn wait(&self, ms: i32) -> Vec<(i32, i32)> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
        // SAFETY: room for four.
        let ready = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 4, ms) };
        assert!(ready >= 0, "epoll_wait: {}", Errno::last());
        let ready = events.iter().take(ready as usize);
        ready
            .map(|event| (event.u64 as i32, event.events as i32))
            .collect()
    }
}

const ALL_EVENTS: i32 = libc::EPOLLIN
    | libc::EPOLLPRI
    | libc::EPOLLOUT
    | libc::EPOLLRDNORM
    | libc::EPOLLRDBAND
    | libc::EPOLLWRNORM
    | libc::EPOLLWRBAND
    | libc::EPOLLMSG
    | libc::EPOLLRDHUP;

#[test]
fn epoll_by_level() {
    let books = Books::open();
    let pair = Pair::new(1);
    let epoll = Epoll::new();
    for segment in [&pair.import.fd, &pair.export] {
        epoll.add(segment, ALL_EVENTS).expect("add");
    }
    assert_eq!(epoll.wait(0), []);
    let import = (pair.import.as_raw_fd(), libc::EPOLLRDNORM);
    let export = (pair.export.as_raw_fd(), libc::EPOLLRDNORM);
    raw::post(&pair.export, 0).expect("post");
    for _ in 0..3 {
        assert_eq!(epoll.wait(-1), [import], "again and again");
    }
    raw::post(&pair.import, 0).expect("post");
    let mut both = epoll.wait(0);
    both.sort();
    let mut expected = [import, export];
    expected.sort();
    assert_eq!(both, expected);
    raw::wait(&pair.import, 0).expect("wait");
    assert_eq!(epoll.wait(0), [export]);
    raw::wait(&pair.export, 0).expect("wait");
    assert_eq!(epoll.wait(0), []);
    drop((epoll, pair));
    books.balance();
}

#[test]
fn epoll_by_edge() {
    let books = Books::open();
    let pair = Pair::new(1);
    let epoll = Epoll::new();
    epoll
        .add(&pair.import, ALL_EVENTS | libc::EPOLLET)
        .expect("add");
    let import = (pair.import.as_raw_fd(), libc::EPOLLRDNORM);
    for _ in 0..3 {
        assert_eq!(epoll.wait(0), []);
        raw::post(&pair.export, 0).expect("post");
        assert_eq!(epoll.wait(0), [import]);
        assert_eq!(epoll.wait(0), [], "once");
        raw::wait(&pair.import, 0).expect("wait");
        assert_eq!(epoll.wait(0), [], "taking one is no news");
    }
    // Pending when it is added.
    raw::post(&pair.import, 0).expect("post");
    epoll
        .add(&pair.export, ALL_EVENTS | libc::EPOLLET)
        .expect("add");
    let export = (pair.export.as_raw_fd(), libc::EPOLLRDNORM);
    assert_eq!(epoll.wait(0), [export]);
    assert_eq!(epoll.wait(0), []);
    drop((epoll, pair));
    books.balance();
}

/// An importer that serves what comes, by edges: it misses nothing.
#[test]
fn serving_by_edges() {
    let books = Books::open();
    let pair = Pair::new(1);
    let steps = Steps::new();
    let posts = crate::common::rounds(1000);
    let server = spawn(|| {
        let remote = Remote::of(pair.id);
        let epoll = Epoll::new();
        let events = libc::EPOLLRDNORM | libc::EPOLLET;
        epoll.add(&remote.import, events).expect("add");
        steps.reach(0);
        let mut served = 0;
        while served < posts {
            assert_eq!(epoll.wait(PATIENCE_MS).len(), 1, "{served} of {posts}");
            while raw::wait(&remote.import, 0).is_ok() {
                served += 1;
            }
        }
        assert_eq!(served, posts);
    });
    server.await_step(&steps, 0);
    for n in 0..posts {
        raw::post(&pair.export, 0).expect("post");
        if n % 10 == 0 {
            std::thread::yield_now();
        }
    }
    server.join();
    drop((pair, steps));
    books.balance();
}

#[test]
fn a_closed_descriptor_leaves_epoll() {
    let books = Books::open();
    let pair = Pair::new(1);
    let epoll = Epoll::new();
    let import = pair.connect();
    epoll.add(&import, ALL_EVENTS).expect("add");
    raw::post(&pair.export, 0).expect("post");
    assert_eq!(epoll.wait(0).len(), 1);
    drop(import);
    assert_eq!(epoll.wait(0), []);
    raw::post(&pair.export, 0).expect("post");
    assert_eq!(epoll.wait(0), []);
    drop((epoll, pair));
    books.balance();
}
