// SPDX-License-Identifier: MIT OR Apache-2.0

//! The liveness check of put and get against revocation (`status.rs`, and the user library).
//!
//! # Invariant
//!
//! A put that reports success has all its data in the segment. A get that reports success has read
//! bytes of the segment from before it was taken back. No get reads a page that was taken back,
//! whatever it reports.
//!
//! # Steps
//!
//! ```text
//! put           store to each page; full fence; slot unchanged?
//! get           load from each page; acquire fence; slot unchanged?
//! revoke        slot + 1 as a full fence; zap each page: clear the entry, flush the TLBs;
//!               take the pages back
//! ```
//!
//! # How translations are modelled
//!
//! A processor looks a translation up when it makes the access, and nothing in the program orders
//! that look-up: an importer may find trash (another thread's fault put it there) without having
//! heard anything else of the revocation. So neither a store nor a load of the page table orders
//! anything here. What is promised is that after the flush no access uses the old translation:
//! each has either been made, for everybody to see, or finds the new one.
//!
//! - put: what an importer sees in a place is one word that it stores to, without a look. The
//!   revoker exchanges the word, and what it gets is what reached the segment. A store that comes
//!   later is in trash.
//! - get: the entry counts the accesses under way; the revoker redirects it and waits until none
//!   is. All that is one word, changed by relaxed read-modify-writes, so that the importer finds
//!   the newest state but learns nothing else by it. The load itself, also that from trash, is
//!   ordered by the get's fence like any other.
//!
//! # Left out
//!
//! Faults: the redirection to trash is one step with the zap (see `fault_revoke`). Fences are C11's,
//! of which the kernel's are at least as strong. Sizes of accesses.

use loom::sync::atomic::{
    fence, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use loom::thread;
use std::sync::Arc;

/// Pages that a transfer covers.
const PAGES: usize = 2;

/// The slot while the connection is live.
const GENERATION: usize = 1;

/// What a get finds in the segment, in trash, and in a page that has a new owner.
const DATA: usize = 1;
const TRASH: usize = 2;
const REUSED: usize = 3;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None.
    Nothing,
    /// A fence between the transfer and the look at the slot.
    Fence,
    /// The fence of a put is a full one, not an acquire fence.
    FullFence,
    /// The change of the slot is a full fence.
    RevokerFence,
    /// The slot changes before the first zap.
    SlotBeforeZap,
    /// The slot changes before any zap, not only that of the first page.
    SlotBeforeAnyZap,
    /// The revoker waits for accesses with the old translation.
    Flush,
}

/// The slot, and how both sides use it.
struct Slot {
    without: Without,
    cell: AtomicUsize,
}

impl Slot {
    fn new(without: Without) -> Self {
        Self {
            without,
            cell: AtomicUsize::new(GENERATION),
        }
    }

    fn unchanged(&self) -> bool {
        self.cell.load(Relaxed) == GENERATION
    }

    /// `StatusSlot::end`
    fn end(&self) {
        let fences = self.without != Without::RevokerFence;
        if fences {
            fence(SeqCst);
        }
        let _ = self
            .cell
            .compare_exchange(GENERATION, GENERATION + 1, Relaxed, Relaxed);
        if fences {
            fence(SeqCst);
        }
    }

    /// Ends the connection and runs `zap` for each page.
    fn revoke(&self, mut zap: impl FnMut(usize)) {
        let late = match self.without {
            Without::SlotBeforeZap => PAGES,
            Without::SlotBeforeAnyZap => 1,
            _ => 0,
        };
        for page in 0..PAGES {
            if page == late {
                self.end();
            }
            zap(page);
        }
        if late == PAGES {
            self.end();
        }
    }
}

/// A put against a revocation.
pub fn put(without: Without) {
    let slot = Arc::new(Slot::new(without));
    let places: Arc<[_; PAGES]> = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let revoker = {
        let (slot, places) = (slot.clone(), places.clone());
        thread::spawn(move || {
            let mut landed = true;
            slot.revoke(|page| landed &= places[page].swap(TRASH, AcqRel) == DATA);
            landed
        })
    };
    for place in places.iter() {
        place.store(DATA, Relaxed);
    }
    match without {
        Without::Fence => {}
        Without::FullFence => fence(Acquire),
        _ => fence(SeqCst),
    }
    let success = slot.unchanged();
    let landed = revoker.join().unwrap();
    assert!(landed || !success, "put reported as good is lost");
}

/// A page and the translation that leads to it.
struct Page {
    /// [`REDIRECTED`], and [`UNDER_WAY`] for each access.
    translation: AtomicUsize,
    content: AtomicUsize,
}

const REDIRECTED: usize = 1;
const UNDER_WAY: usize = 2;

impl Page {
    fn new() -> Self {
        Self {
            translation: AtomicUsize::new(0),
            content: AtomicUsize::new(DATA),
        }
    }

    fn load(&self) -> usize {
        let redirected = self.translation.fetch_add(UNDER_WAY, Relaxed) & REDIRECTED != 0;
        let value = if redirected {
            TRASH
        } else {
            self.content.load(Relaxed)
        };
        // Release: the flush waits until the access has been made.
        self.translation.fetch_sub(UNDER_WAY, Release);
        value
    }

    fn zap(&self, flush: bool) {
        self.translation.fetch_or(REDIRECTED, Relaxed);
        while flush && self.translation.fetch_or(0, Acquire) >= UNDER_WAY {
            thread::yield_now();
        }
    }

    fn take_back(&self) {
        self.content.store(REUSED, Relaxed);
    }
}

/// A get against a revocation.
pub fn get(without: Without) {
    let slot = Arc::new(Slot::new(without));
    let pages: Arc<[_; PAGES]> = Arc::new([Page::new(), Page::new()]);
    let revoker = {
        let (slot, pages) = (slot.clone(), pages.clone());
        thread::spawn(move || {
            slot.revoke(|page| pages[page].zap(without != Without::Flush));
            for page in pages.iter() {
                page.take_back();
            }
        })
    };
    let values = [pages[0].load(), pages[1].load()];
    if without != Without::Fence {
        fence(Acquire);
    }
    let success = slot.unchanged();
    assert!(!values.contains(&REUSED), "get from a page taken back");
    assert!(
        !success || values == [DATA; PAGES],
        "get reported as good is not of the segment"
    );
    revoker.join().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{must_fail, must_hold};
    use Without::*;

    #[test]
    fn put_holds() {
        must_hold("put", || put(Nothing));
    }

    #[test]
    fn put_mutants_fail() {
        for without in [
            Fence,
            FullFence,
            RevokerFence,
            SlotBeforeZap,
            SlotBeforeAnyZap,
        ] {
            must_fail(&format!("put, {without:?}"), "put reported", move || {
                put(without)
            });
        }
    }

    #[test]
    fn get_holds() {
        must_hold("get", || get(Nothing));
    }

    #[test]
    fn get_mutants_fail() {
        for (without, expected) in [
            (Fence, "get reported"),
            (RevokerFence, "get reported"),
            (SlotBeforeZap, "get reported"),
            (SlotBeforeAnyZap, "get reported"),
            (Flush, "taken back"),
        ] {
            must_fail(&format!("get, {without:?}"), expected, move || get(without));
        }
    }
}
