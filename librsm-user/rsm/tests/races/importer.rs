// SPDX-License-Identifier: MIT OR Apache-2.0
//! The importer, and the children it forks.

use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::sync::Mutex;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, getpid, ForkResult, Pid};
use rsm_sys::*;

use crate::common::memory::{some_pages, Map, READ, WRITE};
use crate::common::pair::{map, Slot, NEW, OLD};
use crate::common::raw::{self, failure, Connection, Failure, PAGE};
use crate::common::{debug_kernel, wait_until};
use crate::op::Op;
use crate::stage::{Round, Stage};

const ABORTED: Failure = failure(Errno::ECONNABORTED, RSM_STATUS_CONN_ABORTED);
const NOT_PUBLISHED: Failure = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
const TOO_LATE: Failure = failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);
const CLOSED: Failure = failure(Errno::EBADF, raw::UNTOUCHED);
const NOT_MAPPED: Failure = failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR);

/// Patterns of the exporter's are told by these bits.
const KIND: u64 = 0xffff_0000_0000_0000;

/// A descriptor whose number is used after it may have been closed.
struct Number(RawFd);

impl AsRawFd for Number {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

struct Importer {
    controller: std::fs::File,
    id: u32,
    import: Number,
    len: usize,
    /// Where the windows are: one that both operations share, or one for each.
    windows: [AtomicPtr<u8>; 2],
    slot: Slot,
    /// Closed already?
    closed: AtomicI32,
    children: Mutex<Vec<Pid>>,
}

/// Connects, does its part of the race, and looks at what the exporter has written.
pub fn play(stage: &Stage, round: &Round) {
    wait_until("published", 150, || stage.id.load(Ordering::Acquire) != 0);
    let controller = raw::controller();
    let id = stage.id.load(Ordering::Acquire);
    let flags = if round.woken {
        RSM_IMPORT_WAKE_ON_ABORT
    } else {
        0
    };
    let import = raw::connect_with(&controller, id, 0o600, flags).expect("connect");
    let slot = Slot::of(&controller, &import);
    let windows = [open_window(&import), open_window(&import)];
    let importer = Importer {
        controller,
        id,
        len: import.length as usize,
        import: Number(import.fd.into_raw_fd()),
        windows: windows.map(AtomicPtr::new),
        slot,
        closed: AtomicI32::new(0),
        children: Mutex::new(Vec::new()),
    };
    stage.ready.store(true, Ordering::Release);
    if (0..round.ops.len()).all(|index| round.is_exporters(index)) {
        return importer.finish(stage, round);
    }
    std::thread::scope(|scope| {
        for index in 0..round.ops.len() {
            if !round.is_exporters(index) {
                let importer = &importer;
                scope.spawn(move || {
                    stage.perform(round, index, |_| importer.perform(stage, round, index));
                });
            }
        }
    });
    importer.finish(stage, round);
}

fn open_window(import: &Connection) -> *mut u8 {
    let window = map(import, READ | WRITE);
    for page in (0..window.len).step_by(PAGE) {
        window.touch(page);
    }
    window.leak()
}

impl Importer {
    /// The window for an operation: twice the same operation needs one for each.
    fn window(&self, round: &Round, index: usize) -> &AtomicPtr<u8> {
        let own = round.ops[0] == round.ops[1];
        &self.windows[if own { index } else { 0 }]
    }

    fn perform(&self, stage: &Stage, round: &Round, index: usize) {
        let window = self.window(round, index);
        match round.ops[index] {
            Op::Fault => self.fault(window, round),
            Op::Map => {
                // The descriptor may be closed, or the number be that of another file.
                let flags = libc::MAP_SHARED;
                if let Ok(window) = Map::new(self.len, READ | WRITE, flags, self.import.0, 0) {
                    self.places(round).for_each(|page| window.touch(page));
                }
            }
            Op::Unmap => self.unmap(window),
            Op::Mremap => self.mremap(window, round),
            Op::Fork => self.fork(stage, window, round),
            Op::Connect => {
                let result = raw::connect(&self.controller, self.id, 0o600).map(drop);
                assert!(matches!(result, Ok(()) | Err(NOT_PUBLISHED)), "{result:?}");
            }
            Op::Disconnect => {
                self.unmap(window);
                self.close();
            }
            Op::Post => {
                let result = raw::post(&self.import, 0);
                assert!(
                    matches!(result, Ok(()) | Err(ABORTED | CLOSED)),
                    "{result:?}"
                );
            }
            Op::Wait => self.wait(round),
            Op::Kill => kill(getpid(), Signal::SIGKILL).expect("kill"),
            op => unreachable!("{op:?} is the exporter's"),
        }
    }

    /// What ends the wait for certain is waited for until it comes.
    fn wait(&self, round: &Round) {
        let posted = round.has(Op::Post);
        let comes = posted || (round.woken && round.must_end());
        let result = raw::wait(&self.import, if comes { 150_000 } else { 1 });
        let good = match result {
            Ok(()) => posted,
            Err(ABORTED) => round.woken && round.may_end(),
            Err(TOO_LATE) => !comes,
            Err(CLOSED) => round.has(Op::Disconnect),
            Err(_) => false,
        };
        assert!(good, "{result:?}");
    }

    /// Unmaps a window, which is nowhere then.
    fn unmap(&self, window: &AtomicPtr<u8>) {
        let base = window.load(Ordering::Acquire);
        if !base.is_null() {
            // SAFETY: our own window.
            assert_eq!(unsafe { libc::munmap(base.cast(), self.len) }, 0);
            let _ = window.compare_exchange(base, null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    fn close(&self) {
        if self.closed.swap(1, Ordering::AcqRel) == 0 {
            // SAFETY: ours; who uses the number after that reckons with it.
            unsafe { libc::close(self.import.0) };
        }
    }

    /// Makes entries and uses them; where the window may go, in a way that takes that.
    fn fault(&self, window: &AtomicPtr<u8>, round: &Round) {
        let base = window.load(Ordering::Acquire);
        for _ in 0..4 {
            if round.ops.iter().any(|op| op.removes_window()) {
                let result = raw::prefault(&self.import, base as u64, self.len as u64);
                assert!(
                    matches!(result, Ok(()) | Err(ABORTED | CLOSED | NOT_MAPPED)),
                    "{result:?}"
                );
            } else {
                for page in self.places(round) {
                    word(base, page + 8).store(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn mremap(&self, window: &AtomicPtr<u8>, round: &Round) {
        let old = window.load(Ordering::Acquire);
        // A place that fits huge entries as well as the old one does.
        let room = Map::new(
            self.len + crate::common::backing::HUGE,
            0,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        let room = room.expect("room").leak();
        let huge = crate::common::backing::HUGE;
        let offset = (old as usize).wrapping_sub(room as usize) % huge;
        let place = room.wrapping_add(offset);
        // SAFETY: moves our window over our own room.
        let result = unsafe {
            let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            libc::mremap(old.cast(), self.len, self.len, flags, place)
        };
        if result == libc::MAP_FAILED {
            let errno = Errno::last();
            let gone = round.has(Op::Unmap) || round.has(Op::Disconnect);
            assert!(gone && errno == Errno::EFAULT, "mremap: {errno}");
        } else {
            window.store(place, Ordering::Release);
        }
    }

    /// Forks a child that makes entries and stays, to look at what the exporter writes.
    fn fork(&self, stage: &Stage, window: &AtomicPtr<u8>, round: &Round) {
        // SAFETY: the child makes system calls and looks at memory, no more.
        match unsafe { fork().expect("fork") } {
            ForkResult::Parent { child } => self.children.lock().expect("lock").push(child),
            ForkResult::Child => {
                let base = window.load(Ordering::Acquire);
                let there = raw::prefault(&self.import, base as u64, self.len as u64).is_ok();
                wait_until("the exporter has written", 150, || {
                    stage.marked.load(Ordering::Acquire)
                });
                if there {
                    self.settle(base, round);
                }
                let good = !there || self.sees_what_it_may(base, round).is_ok();
                // SAFETY: ends the process.
                unsafe { libc::_exit(if good { 0 } else { 1 }) };
            }
        }
    }

    /// What replaced pages lead to comes a moment later, and first to the slot. Everything else
    /// is over when its call returns.
    fn settle(&self, base: *mut u8, round: &Round) {
        if round.has(Op::Dontneed) {
            wait_until("the window is emptied", 150, || {
                self.sees_what_it_may(base, round).is_ok()
            });
        }
    }

    /// Where a window is used. A huge page is used in places, others in each round: where it is
    /// gone, each takes a page.
    fn places(&self, round: &Round) -> impl Iterator<Item = usize> {
        let step = if debug_kernel() { 31 } else { 7 };
        some_pages(self.len, round.delays[0] as usize, step)
    }

    /// Live, it must see what the exporter has written; else nothing of the exporter's.
    fn sees_what_it_may(&self, base: *mut u8, round: &Round) -> Result<(), (usize, u64)> {
        for page in self.places(round) {
            let seen = word(base, page).load(Ordering::Relaxed);
            let good = if self.slot.live() {
                seen == NEW | (page / PAGE) as u64
            } else {
                // It may have been live a moment ago.
                let kind = word(base, page).load(Ordering::Relaxed) & KIND;
                kind != NEW && kind != OLD
            };
            if !good {
                return Err((page / PAGE, seen));
            }
        }
        Ok(())
    }

    fn finish(&self, stage: &Stage, round: &Round) {
        stage.await_end();
        wait_until("the exporter has written", 150, || {
            stage.marked.load(Ordering::Acquire)
        });
        let left = round.has(Op::Disconnect);
        if round.must_end() {
            wait_until("the connection ends", 150, || !self.slot.live());
        } else if !round.may_end() && !left {
            assert!(self.slot.live(), "the connection ended for no reason");
        }
        if !left && !round.has(Op::Unmap) {
            for window in &self.windows {
                let base = window.load(Ordering::Acquire);
                self.settle(base, round);
                if let Err((page, seen)) = self.sees_what_it_may(base, round) {
                    let live = self.slot.live();
                    panic!("page {page} shows {seen:#x}, live: {live}, {:?}", round.ops);
                }
            }
        }
        for child in self.children.lock().expect("lock").drain(..) {
            let status = waitpid(child, None).expect("wait");
            assert_eq!(status, WaitStatus::Exited(child, 0), "what a child sees");
        }
        for window in &self.windows {
            self.unmap(window);
        }
        self.close();
        stage.looked.store(true, Ordering::Release);
    }
}

fn word<'a>(base: *mut u8, offset: usize) -> &'a AtomicU64 {
    // SAFETY: inside of a window, aligned, and only ever accessed atomically.
    unsafe { AtomicU64::from_ptr(base.wrapping_add(offset).cast()) }
}
