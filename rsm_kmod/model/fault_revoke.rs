// SPDX-License-Identifier: MIT OR Apache-2.0

//! Faults against revocation and rebind (`mapping.rs`, `segment.rs`).
//!
//! # Invariant
//!
//! No importer reaches a frame after it was given back. No fault finds an entry with another frame
//! than its own. When rebind has returned, importers reach new frames only. When any destroy has
//! returned, also one that came second, no importer reaches the segment.
//!
//! # Steps
//!
//! ```text
//! access        look at the entry, access its frame; fault if empty, and again
//! fault         life for reading; live?; fill the entry; release
//!               not live: release; fill with trash
//! revoke        life for writing; connection ends; zap; release; give the frame back
//! rebind        life for writing; new frames; zap; release; give the old frame back
//! ```
//!
//! # Left out
//!
//! One page and one entry stand for all; two threads of one process share it. How the zap finds
//! the mappings is in `fork_copy` and `move_copy`. The flag `live` is the status slot as the kernel
//! reads it, with no order of its own.

use crate::frame::{Entry, Frame};
use crate::rwsem::RwSem;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::thread::{self, JoinHandle};
use std::sync::Arc;

/// Frame of the segment at first.
const OLD: usize = 0;
/// Frame of the segment after rebind.
const NEW: usize = 1;
/// A page of the importer's own.
const TRASH: usize = 2;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None.
    Nothing,
    /// A fault takes the life lock.
    FaultLock,
    /// A fault asks whether the connection is live under the life lock, not before.
    LiveUnderLock,
    /// A fault reads the segment's frames under the life lock, not before.
    FramesUnderLock,
    /// The connection ends before the life lock is released.
    EndUnderLock,
    /// The zap comes before the life lock is released.
    ZapUnderLock,
    /// There is a zap.
    Zap,
    /// The zap flushes the TLBs.
    Flush,
    /// The frame is given back after the zap.
    GiveBackAfterZap,
}

struct World {
    without: Without,
    life: RwSem<()>,
    live: AtomicBool,
    /// Read and written under `life`, except in mutants.
    frame: AtomicUsize,
    entry: Entry,
    frames: [Frame; 2],
}

impl World {
    #[expect(
        clippy::arc_with_non_send_sync,
        reason = "loom checks the cells in frames; its threads are coroutines of one"
    )]
    fn new(without: Without) -> Arc<Self> {
        Arc::new(Self {
            without,
            life: RwSem::new(()),
            live: AtomicBool::new(true),
            frame: AtomicUsize::new(OLD),
            entry: Entry::new(None),
            frames: [Frame::new(), Frame::new()],
        })
    }

    fn has(&self, step: Without) -> bool {
        self.without != step
    }

    /// Starts a thread for each number of touches.
    fn importers(self: &Arc<Self>, touches: &[usize]) -> Vec<JoinHandle<()>> {
        let start = |&touches: &usize| {
            let world = self.clone();
            thread::spawn(move || {
                for _ in 0..touches {
                    world.touch();
                }
            })
        };
        touches.iter().map(start).collect()
    }

    /// An importer loads or stores once. Returns the frame that it reached.
    fn touch(&self) -> usize {
        loop {
            let access = |frame: usize| {
                if frame != TRASH {
                    self.frames[frame].access();
                }
            };
            if let Some(frame) = self.entry.access(self.has(Without::Flush), access) {
                return frame;
            }
            self.fault();
        }
    }

    fn fault(&self) {
        let early_live = self.live_if(!self.has(Without::LiveUnderLock));
        let early_frame = (!self.has(Without::FramesUnderLock)).then(|| self.frame.load(Relaxed));
        let life = self.has(Without::FaultLock).then(|| self.life.read());
        if early_live.unwrap_or_else(|| self.live.load(Relaxed)) {
            let frame = early_frame.unwrap_or_else(|| self.frame.load(Relaxed));
            self.entry.fill(frame);
        } else {
            drop(life);
            self.entry.fill(TRASH);
        }
    }

    fn live_if(&self, asked: bool) -> Option<bool> {
        asked.then(|| self.live.load(Relaxed))
    }

    /// The part that revoke and rebind have in common.
    fn take_back(&self, flip: impl Fn(&Self)) {
        if !self.has(Without::GiveBackAfterZap) {
            self.frames[OLD].give_back();
        }
        let life = self.life.write();
        if self.has(Without::EndUnderLock) {
            flip(self);
        }
        let held = self.has(Without::ZapUnderLock).then_some(life);
        if self.has(Without::Zap) {
            self.entry.zap();
        }
        drop(held);
        if !self.has(Without::EndUnderLock) {
            flip(self);
        }
        if self.has(Without::GiveBackAfterZap) {
            self.frames[OLD].give_back();
        }
    }

    fn revoke(&self) {
        self.take_back(|world| world.live.store(false, Relaxed));
    }

    fn rebind(&self) {
        self.take_back(|world| world.frame.store(NEW, Relaxed));
    }

    /// A destroy that does nothing if another has begun.
    fn second_destroy(&self) {
        let life = self.life.write();
        let first = self.live.load(Relaxed);
        self.live.store(false, Relaxed);
        let held = self.has(Without::ZapUnderLock).then_some(life);
        if first {
            self.entry.zap();
        }
        drop(held);
        assert_ne!(self.entry.get(), Some(OLD), "segment reached after destroy");
    }
}

/// Importers against a revocation, a thread for each number of touches.
pub fn revoke(touches: &[usize], without: Without) {
    let world = World::new(without);
    let importers = world.importers(touches);
    world.revoke();
    world.touch();
    for importer in importers {
        importer.join().unwrap();
    }
}

/// Importers against a rebind, a thread for each number of touches.
pub fn rebind(touches: &[usize], without: Without) {
    let world = World::new(without);
    let importers = world.importers(touches);
    world.rebind();
    assert_eq!(world.touch(), NEW, "old frame after rebind");
    for importer in importers {
        importer.join().unwrap();
    }
}

/// An importer against two destroys.
pub fn two_destroys(without: Without) {
    let world = World::new(without);
    let importer = {
        let world = world.clone();
        thread::spawn(move || world.touch())
    };
    let second = {
        let world = world.clone();
        thread::spawn(move || world.second_destroy())
    };
    world.second_destroy();
    importer.join().unwrap();
    second.join().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{must_fail, must_fail_within, must_hold, must_hold_within};
    use crate::frame::{OTHER_FRAME, TOO_LATE};
    use std::sync::LazyLock;
    use Without::*;

    /// Which of the invariants breaks first depends on the order in which loom looks.
    static BROKEN: LazyLock<String> = LazyLock::new(|| format!("{TOO_LATE}|{OTHER_FRAME}"));

    /// Bounded, here and for rebind, with two importers: the whole space takes more than 20 s.
    #[test]
    fn revoke_holds() {
        must_hold("revoke, one importer", || revoke(&[3], Nothing));
        must_hold_within("revoke, two importers", 5, || revoke(&[1, 1], Nothing));
    }

    /// The frames would be safe, too, if the zap came after the release: a fault that comes between
    /// sees the connection ended. Rebind and a second destroy are why it does not.
    #[test]
    fn revoke_holds_with_late_zap() {
        must_hold("revoke, late zap", || revoke(&[2], ZapUnderLock));
    }

    #[test]
    fn revoke_mutants_fail() {
        for without in [
            FaultLock,
            LiveUnderLock,
            EndUnderLock,
            Zap,
            Flush,
            GiveBackAfterZap,
        ] {
            must_fail(&format!("revoke, {without:?}"), &BROKEN, move || {
                revoke(&[2], without)
            });
        }
    }

    #[test]
    fn rebind_holds() {
        must_hold("rebind, one importer", || rebind(&[3], Nothing));
        must_hold_within("rebind, two importers", 5, || rebind(&[1, 1], Nothing));
    }

    #[test]
    fn rebind_mutants_fail() {
        for without in [
            FaultLock,
            FramesUnderLock,
            EndUnderLock,
            Zap,
            Flush,
            GiveBackAfterZap,
        ] {
            must_fail(&format!("rebind, {without:?}"), &BROKEN, move || {
                rebind(&[2], without)
            });
        }
        // One that saw an empty entry, and one that filled it meanwhile with the old frame.
        must_fail_within("rebind, ZapUnderLock", 3, OTHER_FRAME, || {
            rebind(&[1, 1], ZapUnderLock)
        });
    }

    #[test]
    fn two_destroys_hold() {
        must_hold("two destroys", || two_destroys(Nothing));
    }

    #[test]
    fn two_destroys_mutant_fails() {
        must_fail("two destroys, ZapUnderLock", "after destroy", || {
            two_destroys(ZapUnderLock)
        });
    }
}
