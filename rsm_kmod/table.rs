// SPDX-License-Identifier: GPL-2.0

//! Things of which there is one per key for as long as anybody uses it, or longer if it lasts: the
//! names of an IPC namespace, the account of a user.
//!
//! Locks: `entries` is a leaf, but that memory is allocated under it. It is taken when a handle is
//! made and dropped, which is on open and close of controller descriptors.

use core::ops::Deref;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::{Arc, Mutex};

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
    entries: Mutex<RBTree<u64, Entry<T>>>,
}

struct Entry<T> {
    thing: Arc<T>,
    handles: u64,
}

impl<T: Lasting> Table<T> {
    /// An empty table.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                entries <- new_mutex!(RBTree::new(), "rsm_table"),
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
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(&key) {
            entry.handles = entry.handles.saturating_add(1);
            return Ok(Handle {
                table: self.clone(),
                key,
                thing: entry.thing.clone(),
            });
        }
        let thing = make()?;
        let entry = Entry {
            thing: thing.clone(),
            handles: 1,
        };
        entries.try_create_and_insert(key, entry, GFP_KERNEL_ACCOUNT)?;
        Ok(Handle {
            table: self.clone(),
            key,
            thing,
        })
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
