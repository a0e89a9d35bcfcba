// SPDX-License-Identifier: MIT OR Apache-2.0
//! Readiness for those who watch many descriptors from many threads: exclusive epoll, and
//! io_uring.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{asleep_in, spawn, Process};
use crate::common::raw::{self, PAGE};
use crate::common::{rounds, wait_until};
use crate::events::{assert_takes, await_sleep, PATIENCE_MS};
use crate::readiness::{poll, Epoll, EVERYTHING};
use crate::{Pair, ABORTED};

/// What exclusive watching can ask for: not `EPOLLRDNORM`, says the kernel, so it is good for
/// the end of a connection only.
const EXCLUSIVE: i32 = libc::EPOLLEXCLUSIVE | libc::EPOLLIN;

#[track_caller]
fn await_epoll(processes: &[Process]) {
    wait_until("they wait for epoll", 150, || {
        processes.iter().all(|process| {
            asleep_in(process.pid, libc::SYS_epoll_wait)
                || asleep_in(process.pid, libc::SYS_epoll_pwait)
        })
    });
}

/// Those who watch exclusively are not taken for those who wait: an event that is pending
/// does not leave anybody asleep in a wait.
#[test]
fn exclusive_watchers_do_not_take_a_wake_up() {
    let books = Books::open();
    for _ in 0..rounds(20) {
        let pair = Pair::with(Map::anonymous(PAGE), 0, RSM_IMPORT_WAKE_ON_ABORT);
        let watchers = [0, 1].map(|_| {
            spawn(|| {
                let epoll = Epoll::new();
                epoll.add(&pair.import, EXCLUSIVE).expect("add");
                let end = (pair.import.as_raw_fd(), libc::EPOLLHUP);
                assert_eq!(epoll.wait(-1), [end]);
            })
        });
        await_epoll(&watchers);
        let waiter = spawn(|| raw::wait(&pair.import, PATIENCE_MS).expect("wait"));
        await_sleep(&waiter);
        raw::post(&pair.export, 0).expect("post");
        waiter.join();
        // The end is for all of them.
        let waiter = spawn(|| assert_eq!(raw::wait(&pair.import, PATIENCE_MS), Err(ABORTED)));
        await_sleep(&waiter);
        raw::unpublish(&pair.export).expect("unpublish");
        waiter.join();
        watchers.into_iter().for_each(|watcher| watcher.join());
    }
    books.balance();
}

/// The kernel's own rule, on which the others rest.
#[test]
fn exclusive_watchers_cannot_ask_for_events() {
    let pair = Pair::new(1);
    let epoll = Epoll::new();
    let flags = libc::EPOLLEXCLUSIVE | libc::EPOLLRDNORM;
    assert_eq!(epoll.add(&pair.export, flags), Err(Errno::EINVAL));
    epoll.add(&pair.export, EXCLUSIVE).expect("add");
    raw::post(&pair.import, 0).expect("post");
    assert_eq!(epoll.wait(0), []);
    assert_takes("export", 1, &pair.export);
}

#[test]
fn the_end_is_reported_by_edge_and_by_level() {
    let books = Books::open();
    for edge in [0, libc::EPOLLET] {
        let pair = Pair::with(Map::anonymous(PAGE), 0, RSM_IMPORT_WAKE_ON_ABORT);
        let epoll = Epoll::new();
        let events = libc::EPOLLRDNORM | edge;
        epoll.add(&pair.import, events).expect("add");
        assert_eq!(epoll.wait(0), []);
        let watchers = [spawn(|| {
            let epoll = Epoll::new();
            epoll.add(&pair.import, events).expect("add");
            let end = (pair.import.as_raw_fd(), libc::EPOLLHUP);
            assert_eq!(epoll.wait(-1), [end]);
        })];
        await_epoll(&watchers);
        raw::destroy(&pair.export).expect("destroy");
        watchers.into_iter().for_each(|watcher| watcher.join());
        let end = (pair.import.as_raw_fd(), libc::EPOLLHUP);
        assert_eq!(epoll.wait(0), [end]);
        let again = epoll.wait(0);
        assert_eq!(again.is_empty(), edge != 0, "{again:?}");
    }
    books.balance();
}

/// An io_uring of four entries, as the kernel gives it.
struct Ring {
    fd: OwnedFd,
    parameters: [u32; 30],
    /// Both rings.
    rings: Map,
    entries: Map,
}

impl Ring {
    const POLL_ADD: u64 = 6;
    const SUBMIT_ENTRY: usize = 64;
    const COMPLETION: usize = 16;
    // Words of `struct io_uring_params`.
    const SQ_TAIL: usize = 11;
    const SQ_MASK: usize = 12;
    const SQ_ARRAY: usize = 16;
    const CQ_HEAD: usize = 20;
    const CQ_TAIL: usize = 21;
    const CQ_MASK: usize = 22;
    const CQ_ENTRIES: usize = 25;

    fn new() -> Self {
        let mut parameters = [0u32; 30];
        // SAFETY: the structure that this call reads and fills in.
        let fd = unsafe {
            let fd = libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr());
            assert!(fd >= 0, "io_uring_setup: {}", Errno::last());
            OwnedFd::from_raw_fd(fd as i32)
        };
        assert_eq!(parameters[5] & 1, 1, "both rings in one mapping");
        let len = (PAGE, 4 * Self::SUBMIT_ENTRY);
        let map = |len: usize, offset| {
            Map::new(len, READ | WRITE, libc::MAP_SHARED, fd.as_raw_fd(), offset).expect("ring")
        };
        let (rings, entries) = (map(len.0, 0), map(len.1, 0x1000_0000));
        Self {
            fd,
            parameters,
            rings,
            entries,
        }
    }

    /// A word of the rings, by its place in the parameters.
    fn word(&self, parameter: usize, index: u32) -> &AtomicU32 {
        let offset = self.parameters[parameter] as usize + 4 * index as usize;
        // SAFETY: inside of the mapping, aligned, and shared with the kernel.
        unsafe { AtomicU32::from_ptr(self.rings.at(offset).cast()) }
    }

    fn enter(&self, submit: u32, complete: u32) {
        let fd = self.fd.as_raw_fd();
        let flags = u32::from(complete > 0);
        let none = std::ptr::null::<u8>();
        // SAFETY: without a signal mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                submit,
                complete,
                flags,
                none,
                0usize,
            )
        };
        assert_eq!(
            result,
            i64::from(submit),
            "io_uring_enter: {}",
            Errno::last()
        );
    }

    /// Asks to be told when a descriptor is ready.
    fn watch(&self, segment: &impl AsRawFd, events: i16) {
        let tail = self.word(Self::SQ_TAIL, 0);
        let index =
            tail.load(Ordering::Relaxed) & self.word(Self::SQ_MASK, 0).load(Ordering::Relaxed);
        let at = index as usize * Self::SUBMIT_ENTRY;
        (0..8).for_each(|word| self.entries.store(at + 8 * word, 0));
        let fd = segment.as_raw_fd() as u64;
        self.entries.store(at, Self::POLL_ADD | (fd << 32));
        self.entries.store(at + 24, (events as u64) << 32);
        self.entries.store(at + 32, fd);
        self.word(Self::SQ_ARRAY, index)
            .store(index, Ordering::Relaxed);
        tail.fetch_add(1, Ordering::Release);
        self.enter(1, 0);
    }

    /// What has been reported, of which descriptor.
    fn reported(&self) -> Option<(i32, i32)> {
        let head = self.word(Self::CQ_HEAD, 0);
        let at = head.load(Ordering::Relaxed);
        if at == self.word(Self::CQ_TAIL, 0).load(Ordering::Acquire) {
            return None;
        }
        let index = at & self.word(Self::CQ_MASK, 0).load(Ordering::Relaxed);
        let offset = self.parameters[Self::CQ_ENTRIES] as usize + index as usize * Self::COMPLETION;
        let (data, result) = (self.rings.load(offset), self.rings.load(offset + 8) as u32);
        head.fetch_add(1, Ordering::Release);
        Some((data as i32, result as i32))
    }

    /// The next report, once there is one.
    fn next(&self) -> (i32, i32) {
        let reported = self.reported();
        reported.unwrap_or_else(|| {
            self.enter(0, 1);
            self.reported().expect("a report")
        })
    }
}

#[test]
fn io_uring_reports_the_same() {
    let books = Books::open();
    let pair = Pair::with(Map::anonymous(PAGE), 0, RSM_IMPORT_WAKE_ON_ABORT);
    let ring = Ring::new();
    let (import, export) = (pair.import.as_raw_fd(), pair.export.as_raw_fd());
    let pending = i32::from(libc::POLLRDNORM);
    for _ in 0..3 {
        ring.watch(&pair.import, libc::POLLRDNORM);
        ring.watch(&pair.export, libc::POLLRDNORM);
        ring.enter(0, 0);
        assert_eq!(ring.reported(), None, "nothing is pending");
        raw::post(&pair.export, 0).expect("post");
        assert_eq!(ring.next(), (import, pending));
        raw::post(&pair.import, 0).expect("post");
        assert_eq!(ring.next(), (export, pending));
        // Pending when it is asked.
        ring.watch(&pair.import, libc::POLLRDNORM);
        assert_eq!(ring.next(), (import, pending));
        assert_takes("import", 1, &pair.import);
        assert_takes("export", 1, &pair.export);
    }
    ring.watch(&pair.import, libc::POLLRDNORM);
    ring.watch(&pair.export, EVERYTHING);
    raw::destroy(&pair.export).expect("destroy");
    assert_eq!(ring.next(), (import, i32::from(libc::POLLHUP)));
    ring.enter(0, 0);
    assert_eq!(ring.reported(), None, "the export has nothing to tell");
    assert_eq!(poll(&pair.import, EVERYTHING, 0), libc::POLLHUP);
    // With a question still open.
    drop((ring, pair));
    books.balance();
}
