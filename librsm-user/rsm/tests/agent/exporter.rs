// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's side of a segment: what can happen to its memory, and what it is good for
//! once it is dead.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use rsm_sys::*;

use crate::common::backing::{huge_memory, memfd, shared_file, system_v, HUGE};
use crate::common::memory::Map;
use crate::common::process::{spawn, Process, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::wait_until;
use crate::{Remote, DEAD, NOT_PUBLISHED, OLD, TIMEOUT};

/// A segment in the middle of an area, with a page to spare on either side.
pub struct Exporter {
    pub export: OwnedFd,
    pub id: u32,
    pub pages: usize,
    // Unmapped after the segment has ended, as in `Pair`.
    pub area: Map,
}

/// Areas of memory of every kind.
pub fn small() -> Map {
    Map::anonymous(18 * PAGE)
}

pub fn file() -> Map {
    shared_file(&memfd(18 * PAGE))
}

pub fn shared() -> Map {
    system_v(18 * PAGE)
}

pub fn huge() -> Map {
    huge_memory(2 * HUGE)
}

impl Exporter {
    /// Publishes all pages of an area but the first and the last, marked with [`OLD`].
    pub fn of(area: Map) -> Self {
        area.mark(OLD);
        let controller = raw::controller();
        let pages = area.len / PAGE - 2;
        let addr = area.addr() + PAGE as u64;
        let length = (pages * PAGE) as u64;
        let export = raw::create_with(&controller, addr, length, RSM_EXPORT_ALLOW_REBIND);
        let export = export.expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        Self {
            export,
            id,
            pages,
            area,
        }
    }

    /// A page of the segment; those to spare are -1 and the one after the last.
    pub fn page(&self, number: isize) -> *mut libc::c_void {
        let number = usize::try_from(number + 1).expect("a page of the area");
        self.area.at(number * PAGE).cast()
    }

    /// The last page of the segment.
    pub fn last(&self) -> isize {
        self.pages as isize - 1
    }

    pub fn unmap(&self, first: isize, pages: usize) {
        // SAFETY: a part of our own mapping.
        let result = unsafe { libc::munmap(self.page(first), pages * PAGE) };
        assert_eq!(result, 0, "munmap: {}", Errno::last());
    }

    pub fn protect(&self, first: isize, pages: usize, protection: i32) {
        let first = (first + 1) as usize * PAGE;
        let result = self.area.protect(first, pages * PAGE, protection);
        result.expect("mprotect");
    }

    pub fn advise(&self, first: isize, pages: usize, advice: i32) {
        self.try_to_advise(first, pages, advice).expect("madvise");
    }

    /// Gives advice that the kernel may turn down.
    pub fn try_to_advise(&self, first: isize, pages: usize, advice: i32) -> Result<(), Errno> {
        // SAFETY: of our own mapping; tests know what they do to it.
        let result = unsafe { libc::madvise(self.page(first), pages * PAGE, advice) };
        Errno::result(result).map(drop)
    }

    /// Does `mremap(2)` to pages of the segment.
    pub fn remap(&self, first: isize, from: usize, to: usize, flags: i32, place: &Map) {
        // SAFETY: moves a part of a mapping of ours over memory of ours.
        let moved = unsafe {
            let place = place.at(0);
            libc::mremap(self.page(first), from * PAGE, to * PAGE, flags, place)
        };
        assert_ne!(moved, libc::MAP_FAILED, "mremap: {}", Errno::last());
    }

    /// Fails unless the segment can do only what a dead one can. `pending` events have been
    /// posted to it.
    #[track_caller]
    pub fn assert_dead(&self, pending: usize) {
        let (addr, len) = (self.page(0) as u64, (self.pages * PAGE) as u64);
        for _ in 0..2 {
            assert_eq!(raw::publish(&self.export, 0, &[]), Err(DEAD), "publish");
            let republish = raw::republish(&self.export, &[]);
            assert_eq!(republish, Err(DEAD), "republish");
            assert_eq!(raw::unpublish(&self.export), Err(NOT_PUBLISHED));
            assert_eq!(raw::rebind(&self.export, addr, len), Err(DEAD), "as before");
            let other = Map::anonymous(len as usize);
            let rebind = raw::rebind(&self.export, other.addr(), len);
            assert_eq!(rebind, Err(DEAD), "to other memory");
            assert_eq!(raw::post(&self.export, 0), Ok(()), "to nobody");
            assert_eq!(raw::destroy(&self.export), Ok(()), "destroy");
        }
        for _ in 0..pending {
            assert_eq!(raw::wait(&self.export, 0), Ok(()), "its own events");
        }
        assert_eq!(raw::wait(&self.export, 0), Err(TIMEOUT), "its own events");
    }

    /// Waits until the module has looked at memory that may have been replaced: another
    /// segment, whose memory has been replaced since, is gone.
    pub fn settle(&self) {
        for _ in 0..2 {
            let other = Self::of(Map::anonymous(3 * PAGE));
            let remote = Remote::of(other.id);
            other.advise(0, 1, libc::MADV_DONTNEED);
            wait_until("a replaced page is found", 150, || !remote.live());
        }
    }
}

/// The step at which the importer of [`run_exporter`] has seen what there is.
const CONNECTED: usize = 13;

/// Runs an exporter of `area` that does `rest` after [`Steps`] 0, and connects to it.
pub fn run_exporter(
    steps: &Steps,
    area: fn() -> Map,
    rest: impl FnOnce(&Exporter),
) -> (Process, Remote) {
    let process = spawn(|| {
        let exporter = Exporter::of(area());
        steps.pass(exporter.id);
        steps.reach(0);
        steps.await_step(CONNECTED);
        rest(&exporter);
    });
    process.await_step(steps, 0);
    let remote = Remote::of(steps.passed());
    remote.window.assert_marked(OLD, 1);
    steps.reach(CONNECTED);
    (process, remote)
}

/// Ends the process at once.
pub fn exit() -> ! {
    // SAFETY: ends the process without closing anything.
    unsafe { libc::_exit(0) }
}

/// Forks a child of the exporter that holds all descriptors until [`Steps`] 15, whatever
/// becomes of its parent.
pub fn leave_heir(steps: &Steps) {
    let heir = spawn(|| {
        set_pdeathsig(None::<Signal>).expect("prctl");
        steps.reach(14);
        steps.await_step(15);
        exit()
    });
    steps.await_step(14);
    std::mem::forget(heir);
}
