// SPDX-License-Identifier: GPL-2.0

//! The status table: how an importer learns without a system call that its connection is gone.
//!
//! Each controller descriptor has a table of 64-bit slots, mapped read-only by its process. Every
//! import connected through the descriptor owns a slot; the connection is live for as long as the
//! slot holds the generation that connect returned. A slot only ever counts up: by one when an
//! import takes it, by one when the connection ends, so that no two connections share a generation.
//!
//! Locks: `StatusTable::inner` is a leaf; nothing is allocated under it, since it is taken when a
//! revocation gives slots back.

use crate::kapi::page::KernelPage;
use crate::logic::bitmap;
use crate::logic::status::Status;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::alloc::kvec::PushError;
use kernel::alloc::KVVec;
use kernel::new_mutex;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full, Relaxed};
use kernel::sync::{Arc, Mutex};

/// Imports that one controller descriptor can have connected at a time.
pub(crate) const SLOTS: u32 = 65_536;

/// Slots in a page.
const SLOTS_PER_PAGE: usize = PAGE_SIZE / size_of::<u64>();

/// Pages of a full table.
pub(crate) const PAGES: u64 = SLOTS as u64 / SLOTS_PER_PAGE as u64;

/// Words with a bit for each page.
const FREE_WORDS: usize = (PAGES as usize).div_ceil(u64::BITS as usize);

/// The slots of one controller descriptor.
#[pin_data]
pub(crate) struct StatusTable {
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    /// Pages of slots so far. There is room for all there can be.
    leaves: KVVec<KBox<Leaf>>,
    /// A bit for each page that may have a free slot. A search looks at this, then at one page, as a
    /// rule: many connections must not make the next one dear.
    free: [u64; FREE_WORDS],
}

/// A page of slots.
struct Leaf {
    page: Arc<KernelPage>,
    /// A bit for each slot that belongs to a connection.
    taken: [u64; SLOTS_PER_PAGE / 64],
}

impl StatusTable {
    /// An empty table.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let leaves = KVVec::with_capacity(PAGES as usize, GFP_KERNEL_ACCOUNT)?;
        Arc::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(Inner { leaves, free: [0; FREE_WORDS] }, "rsm_status"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The page at `index`, with a reference for the page-fault code; `None` if no slot of it has
    /// ever been used.
    pub(crate) fn page(&self, index: u64) -> Option<*mut kernel::bindings::page> {
        let inner = self.inner.lock();
        let leaf = inner.leaves.get(usize::try_from(index).ok()?)?;
        Some(leaf.page.get())
    }

    /// Claims a slot and starts a new generation in it. May allocate: with no lock held.
    pub(crate) fn claim(self: &Arc<Self>) -> Result<StatusSlot, Status> {
        let found = self.inner.lock().take();
        let (index, page) = match found {
            Some(found) => found,
            None => self.grow()?,
        };
        let cell = page
            .counter(index as usize % SLOTS_PER_PAGE)
            .ok_or(Status::InsufficientMem)?;
        // The slot is ours alone until it is given back.
        let generation = cell.fetch_add(1, Relaxed).wrapping_add(1);
        Ok(StatusSlot {
            table: self.clone(),
            page,
            index,
            generation,
        })
    }

    /// Adds a page, and claims a slot.
    fn grow(&self) -> Result<(u32, Arc<KernelPage>), Status> {
        let page = KernelPage::new()
            .and_then(|page| Arc::new(page, GFP_KERNEL_ACCOUNT))
            .map_err(|_| Status::InsufficientMem)?;
        let leaf = Leaf {
            page,
            taken: [0; SLOTS_PER_PAGE / 64],
        };
        let leaf = KBox::new(leaf, GFP_KERNEL_ACCOUNT).map_err(|_| Status::InsufficientMem)?;
        let mut inner = self.inner.lock();
        // There is room, unless all pages are there already.
        let surplus = inner.add(leaf);
        let found = inner.take();
        drop(inner);
        drop(surplus);
        found.ok_or(Status::InsufficientResources)
    }
}

impl Inner {
    /// Adds a page of free slots; gives it back if there are as many as there can be.
    fn add(&mut self, leaf: KBox<Leaf>) -> Option<KBox<Leaf>> {
        let number = self.leaves.len();
        match self.leaves.push_within_capacity(leaf) {
            Ok(()) => {
                bitmap::set(&mut self.free, number);
                None
            }
            Err(PushError(leaf)) => Some(leaf),
        }
    }

    /// Takes the first free slot: its number, and its page.
    fn take(&mut self) -> Option<(u32, Arc<KernelPage>)> {
        while let Some(number) = bitmap::first_set(&self.free) {
            let Some(leaf) = self.leaves.get_mut(number) else {
                break;
            };
            if let Some(slot) = bitmap::first_clear(&leaf.taken) {
                bitmap::set(&mut leaf.taken, slot);
                let slot = number * SLOTS_PER_PAGE + slot;
                return Some((u32::try_from(slot).ok()?, leaf.page.clone()));
            }
            bitmap::clear(&mut self.free, number);
        }
        None
    }

    /// Gives a slot back.
    fn give_back(&mut self, index: u32) {
        let (number, slot) = (
            index as usize / SLOTS_PER_PAGE,
            index as usize % SLOTS_PER_PAGE,
        );
        if let Some(leaf) = self.leaves.get_mut(number) {
            bitmap::clear(&mut leaf.taken, slot);
            bitmap::set(&mut self.free, number);
        }
    }
}

/// A slot owned by one connection. The connection ends, if it has not before, and the slot is given
/// back when this is dropped.
pub(crate) struct StatusSlot {
    table: Arc<StatusTable>,
    page: Arc<KernelPage>,
    index: u32,
    generation: u64,
}

impl StatusSlot {
    fn cell(&self) -> Option<&Atomic<u64>> {
        self.page.counter(self.index as usize % SLOTS_PER_PAGE)
    }

    /// The slot's number in the table.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    /// The value the slot holds while the connection is live.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether the connection is live. Only user space reads the slot to learn this; the kernel
    /// does too, so that there is one truth.
    pub(crate) fn is_live(&self) -> bool {
        self.cell()
            .is_some_and(|cell| cell.load(Relaxed) == self.generation)
    }

    /// Ends the connection. For good: the slot never holds this generation again.
    ///
    /// Ordered as a full fence, which pairs with the full fence of a writer between its stores and
    /// its look at the slot.
    pub(crate) fn end(&self) {
        if let Some(cell) = self.cell() {
            let _ = cell.cmpxchg(self.generation, self.generation.wrapping_add(1), Full);
        }
    }
}

impl Drop for StatusSlot {
    fn drop(&mut self) {
        self.end();
        self.table.inner.lock().give_back(self.index);
    }
}
