// SPDX-License-Identifier: GPL-2.0

//! The status table: how an importer learns without a system call that its connection is gone.
//!
//! Each controller descriptor has a table of 64-bit slots, mapped read-only by its process. Every
//! import connected through the descriptor owns a slot; the connection is live for as long as the
//! slot holds the generation that connect returned. A slot only ever counts up: by one when an
//! import takes it, by one when the connection ends, so that no two connections share a generation.
//!
//! Locks: `StatusTable::inner` is a leaf; nothing is allocated under it except by `claim()`, which
//! is called with no lock held.

use crate::kapi::page::KernelPage;
use crate::logic::status::Status;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
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

/// The slots of one controller descriptor.
#[pin_data]
pub(crate) struct StatusTable {
    #[pin]
    inner: Mutex<Inner>,
}

struct Inner {
    /// Pages so far, each in a box of its own so that a slot's address never changes.
    pages: KVVec<Arc<KernelPage>>,
    /// Slots that have been used and are free again. Its capacity is at least `used`, so that
    /// giving a slot back never allocates.
    free: KVVec<u32>,
    /// Slots handed out at least once: all below this number.
    used: u32,
}

impl StatusTable {
    /// An empty table.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                inner <- new_mutex!(Inner {
                    pages: KVVec::new(),
                    free: KVVec::new(),
                    used: 0,
                }, "rsm_status"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The page at `index`, with a reference for the page-fault code; `None` if no slot of it has
    /// ever been used.
    pub(crate) fn page(&self, index: u64) -> Option<*mut kernel::bindings::page> {
        let inner = self.inner.lock();
        let page = inner.pages.get(usize::try_from(index).ok()?)?;
        Some(page.get())
    }

    /// Claims a slot and starts a new generation in it.
    pub(crate) fn claim(self: &Arc<Self>) -> Result<StatusSlot, Status> {
        let mut inner = self.inner.lock();
        let index = match inner.free.pop() {
            Some(index) => index,
            None => inner.extend()?,
        };
        let (page, at) = (
            index as usize / SLOTS_PER_PAGE,
            index as usize % SLOTS_PER_PAGE,
        );
        let page = inner
            .pages
            .get(page)
            .ok_or(Status::InsufficientMem)?
            .clone();
        drop(inner);
        let cell = page.counter(at).ok_or(Status::InsufficientMem)?;
        // The slot is ours alone until it is given back.
        let generation = cell.fetch_add(1, Relaxed).wrapping_add(1);
        Ok(StatusSlot {
            table: self.clone(),
            page,
            index,
            generation,
        })
    }
}

impl Inner {
    /// Makes room for one more slot and returns it.
    fn extend(&mut self) -> Result<u32, Status> {
        let index = self.used;
        if index >= SLOTS {
            return Err(Status::InsufficientResources);
        }
        let used = index.wrapping_add(1);
        let missing = (used as usize).saturating_sub(self.free.len());
        self.free
            .reserve(missing, GFP_KERNEL_ACCOUNT)
            .map_err(|_| Status::InsufficientMem)?;
        if index as usize / SLOTS_PER_PAGE >= self.pages.len() {
            let page = KernelPage::new()
                .and_then(|page| Arc::new(page, GFP_KERNEL_ACCOUNT))
                .map_err(|_| Status::InsufficientMem)?;
            self.pages
                .push(page, GFP_KERNEL_ACCOUNT)
                .map_err(|_| Status::InsufficientMem)?;
        }
        self.used = used;
        Ok(index)
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
        // Cannot fail: there is room for every slot ever used.
        let _ = self
            .table
            .inner
            .lock()
            .free
            .push_within_capacity(self.index);
    }
}
