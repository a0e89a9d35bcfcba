// SPDX-License-Identifier: GPL-2.0

//! Things of which there is one per key for as long as anybody uses it, or longer if it lasts: the
//! names of an IPC namespace, the account of a user.
//!
//! Locks: `entries` is a leaf. Nothing is allocated or dropped under it: one who waits for memory
//! holds up nobody else. It is taken when a handle is made and dropped, which is on open and close of
//! controller descriptors.

use core::ops::Deref;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::rbtree::{self, RBTree, RBTreeNodeReservation};
use kernel::sync::{Arc, SpinLock};

/// What can be in a table.
pub(crate) trait Lasting {
    /// Whether there is something to remember, with nobody using it. Once true it stays so.
    fn lasts(&self) -> bool {
        false
    }
}

/// A table of things.
#[pin_data]
pub(crate) struct Table<T: Lasting> {
    #[pin]
    entries: SpinLock<RBTree<u64, Entry<T>>>,
}

struct Entry<T> {
    thing: Arc<T>,
    handles: u64,
}

impl<T> Entry<T> {
    /// Of a thing that nobody uses yet.
    fn new(thing: Arc<T>) -> Self {
        Self { thing, handles: 0 }
    }

    /// The thing, which has one handle more.
    fn used(&mut self) -> Arc<T> {
        self.handles = self.handles.saturating_add(1);
        self.thing.clone()
    }
}

impl<T: Lasting> Table<T> {
    /// An empty table.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                entries <- new_spinlock!(RBTree::new(), "rsm_table"),
            }),
            GFP_KERNEL,
        )
    }

    /// The thing under `key`, made by `make` if nobody uses it yet.
    pub(crate) fn get(
        self: &Arc<Self>,
        key: u64,
        make: impl FnOnce() -> Result<Arc<T>>,
    ) -> Result<Handle<T>> {
        if let Some(handle) = self.find(key) {
            return Ok(handle);
        }
        let made = make()?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        // Somebody else may have made one meanwhile. Then what is not needed is dropped at the end,
        // with the lock released.
        let mut entries = self.entries.lock();
        let thing = match entries.entry(key) {
            rbtree::Entry::Occupied(entry) => entry.into_mut().used(),
            rbtree::Entry::Vacant(entry) => entry.insert(Entry::new(made), node).used(),
        };
        drop(entries);
        Ok(self.handle(key, thing))
    }

    /// The thing under `key`, if anybody uses it.
    fn find(self: &Arc<Self>, key: u64) -> Option<Handle<T>> {
        let thing = self.entries.lock().get_mut(&key)?.used();
        Some(self.handle(key, thing))
    }

    fn handle(self: &Arc<Self>, key: u64, thing: Arc<T>) -> Handle<T> {
        Handle {
            table: self.clone(),
            key,
            thing,
        }
    }
}

/// A use of a thing in a table.
pub(crate) struct Handle<T: Lasting> {
    table: Arc<Table<T>>,
    key: u64,
    thing: Arc<T>,
}

impl<T: Lasting> Deref for Handle<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T: Lasting> Drop for Handle<T> {
    fn drop(&mut self) {
        let removed = {
            let mut entries = self.table.entries.lock();
            match entries.get_mut(&self.key) {
                Some(entry) if entry.handles > 1 || entry.thing.lasts() => {
                    entry.handles = entry.handles.wrapping_sub(1);
                    None
                }
                _ => entries.remove_node(&self.key),
            }
        };
        // Dropped with the lock released.
        drop(removed);
    }
}
