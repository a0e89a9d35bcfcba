// SPDX-License-Identifier: MIT OR Apache-2.0

//! Page frames that know whether they have been given back, and the entry by which an importer
//! reaches one.

use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// What a [`Frame`] says when an importer reaches it too late; the second is loom's word for the
/// same without any order between the two.
pub const TOO_LATE: &str = "page reached after it was given back|Causality violation";

/// What a fault says that finds an entry with another frame.
pub const OTHER_FRAME: &str = "fault found an entry with another frame";

/// A page frame of the exporter.
pub struct Frame {
    /// As the interleaving has it; loom need not know.
    given_back: AtomicBool,
    /// Makes loom check that every access is ordered before the frame is given back.
    content: UnsafeCell<()>,
}

impl Frame {
    /// A pinned frame.
    pub fn new() -> Self {
        Self {
            given_back: AtomicBool::new(false),
            content: UnsafeCell::new(()),
        }
    }

    /// An importer loads or stores.
    pub fn access(&self) {
        assert!(
            !self.given_back.load(Relaxed),
            "page reached after it was given back"
        );
        self.content.with(|_| ());
    }

    /// Unpins the frame; its next owner writes to it.
    pub fn give_back(&self) {
        self.content.with_mut(|_| ());
        self.given_back.store(true, Relaxed);
    }
}

impl Default for Frame {
    fn default() -> Self {
        Self::new()
    }
}

/// A page-table entry, by frame number, behind its page-table lock.
///
/// An access holds the lock from the look at the entry to the end of the access. That is what
/// [`Entry::zap`] promises once it has flushed the TLBs: a processor takes the interrupt between
/// two instructions, and none goes on with the old translation after it. The lock orders more than
/// hardware does where no interrupt is sent; `liveness` does without.
pub struct Entry(Mutex<Option<usize>>);

impl Entry {
    /// An entry for `frame`, or an empty one.
    pub fn new(frame: Option<usize>) -> Self {
        Self(Mutex::new(frame))
    }

    /// Runs `access` with the frame, if there is one. Without `flushed`, `access` comes after the
    /// look at the entry, as with a translation left in a TLB.
    pub fn access(&self, flushed: bool, access: impl FnOnce(usize)) -> Option<usize> {
        let entry = self.0.lock().unwrap();
        let frame = *entry;
        let held = flushed.then_some(entry);
        frame.map(access);
        drop(held);
        frame
    }

    /// Fills an empty entry. One that is not empty must have the same frame.
    pub fn fill(&self, frame: usize) {
        let mut entry = self.0.lock().unwrap();
        match *entry {
            None => *entry = Some(frame),
            Some(there) => assert_eq!(there, frame, "{OTHER_FRAME}"),
        }
    }

    /// Empties the entry, and flushes.
    pub fn zap(&self) {
        *self.0.lock().unwrap() = None;
    }

    /// The frame.
    pub fn get(&self) -> Option<usize> {
        *self.0.lock().unwrap()
    }
}
