// SPDX-License-Identifier: MIT OR Apache-2.0

//! The entries of two mappings, that the kernel carries from one to the other, and the zap of both.
//!
//! Common to `fork_copy` and `move_copy`.

use crate::rwsem::RwSem;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::sync::{Mutex, MutexGuard};

/// No entry.
pub const EMPTY: usize = 0;
/// An entry for a frame of the segment.
pub const FRAME: usize = 1;

/// What an entry that stays says.
pub const LEFT: &str = "entry left after revocation";

/// The size of an entry, which decides how the kernel treats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 4 KiB: looked at under the page-table lock only; but whether there is a page table is looked
    /// at without.
    Small,
    /// 2 MiB: looked at without the lock.
    Huge,
}

/// An entry and its page-table lock.
pub struct Pmd {
    value: AtomicUsize,
    /// Whether there is a page table, for small entries.
    table: AtomicUsize,
    lock: Mutex<()>,
}

impl Pmd {
    /// An entry, in a page table; or none, without one.
    pub fn new(value: usize) -> Self {
        Self {
            value: AtomicUsize::new(value),
            table: AtomicUsize::new(value),
            lock: Mutex::new(()),
        }
    }

    /// Puts a page table in place, before it is locked.
    pub fn install_table(&self, size: Size) {
        if size == Size::Small {
            self.table.store(1, Relaxed);
        }
    }

    /// Locks the page table.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap()
    }

    /// The entry. Nothing is ordered by it.
    pub fn get(&self) -> usize {
        self.value.load(Relaxed)
    }

    /// Sets the entry, with the lock held.
    pub fn set(&self, _locked: &MutexGuard<'_, ()>, value: usize) {
        self.value.store(value, Relaxed);
    }

    /// Empties the entry, and flushes.
    pub fn zap(&self, size: Size) {
        let nothing = match size {
            Size::Small => self.table.load(Relaxed) == 0,
            Size::Huge => self.get() == EMPTY,
        };
        if nothing {
            return;
        }
        let locked = self.lock();
        if self.get() != EMPTY {
            self.set(&locked, EMPTY);
        }
    }
}

/// A segment with two mappings.
pub struct World {
    /// Size of the entries.
    pub size: Size,
    /// Whether the zap comes to the new mapping first.
    pub new_first: bool,
    /// The life lock, and whether the segment is live.
    pub life: RwSem<bool>,
    /// The mmap lock and the lock of the old mapping: a fault holds one of them for reading, who
    /// copies or moves both for writing.
    pub mmap: RwSem<()>,
    /// `i_mmap_rwsem`, and whether the new mapping is linked.
    pub i_mmap: RwSem<bool>,
    /// Entry of the mapping there is.
    pub old: Pmd,
    /// Entry of the mapping that is made.
    pub new: Pmd,
}

impl World {
    /// The old mapping has an entry.
    pub fn new(size: Size, new_first: bool) -> Self {
        Self {
            size,
            new_first,
            life: RwSem::new(true),
            mmap: RwSem::new(()),
            i_mmap: RwSem::new(false),
            old: Pmd::new(FRAME),
            new: Pmd::new(EMPTY),
        }
    }

    /// A thread of the importer touches the old mapping, which faults if the entry is empty.
    pub fn fault(&self, with_mmap_lock: bool) {
        let _mmap = with_mmap_lock.then(|| self.mmap.read());
        let life = self.life.read();
        if *life {
            let locked = self.old.lock();
            if self.old.get() == EMPTY {
                self.old.set(&locked, FRAME);
            }
        }
    }

    /// Makes the zap find the new mapping.
    pub fn link(&self) {
        *self.i_mmap.write() = true;
    }

    /// Takes the memory back. No entry may be there when it returns.
    pub fn revoke(&self) {
        let mut life = self.life.write();
        *life = false;
        let i_mmap = self.i_mmap.read();
        let both = [&self.old, &self.new];
        for entry in if self.new_first {
            [both[1], both[0]]
        } else {
            both
        } {
            if *i_mmap || std::ptr::eq(entry, &self.old) {
                entry.zap(self.size);
            }
        }
        drop(i_mmap);
        drop(life);
        self.check();
    }

    /// Fails if there is an entry.
    pub fn check(&self) {
        for entry in [&self.old, &self.new] {
            let _locked = entry.lock();
            assert_eq!(entry.get(), EMPTY, "entry left after revocation");
        }
    }
}
