// SPDX-License-Identifier: GPL-2.0

//! The roll of all segments, for those who look: `/sys/kernel/debug/rsm/segments`.
//!
//! A segment is on it from its making to the last close of its descriptor. Readers hold no lock
//! while they write about one: the list is gone through by number.
//!
//! Locks: `segments` is a leaf, taken when a segment is made and released, and for each line read.

use crate::segment::Segment;
use core::fmt;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::debugfs::Writer;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNode};
use kernel::sync::{Arc, Mutex};

/// The roll.
#[pin_data]
pub(crate) struct Roll {
    #[pin]
    segments: Mutex<RBTree<u64, Arc<Segment>>>,
}

impl Roll {
    /// Nobody.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                segments <- new_mutex!(RBTree::new(), "rsm_roll"),
            }),
            GFP_KERNEL,
        )
    }

    /// Adds a segment.
    pub(crate) fn add(&self, segment: &Arc<Segment>) -> Result {
        let node = RBTreeNode::new(segment.number(), segment.clone(), GFP_KERNEL_ACCOUNT)?;
        let replaced = self.segments.lock().insert(node);
        drop(replaced);
        Ok(())
    }

    /// Removes a segment. The caller must hold a reference to it.
    pub(crate) fn remove(&self, segment: &Segment) {
        let removed = self.segments.lock().remove_node(&segment.number());
        drop(removed);
    }

    /// The first segment whose number is at least `number`.
    fn at_or_after(&self, number: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.lock();
        let cursor = segments.cursor_lower_bound(&number)?;
        Some(cursor.current().1.clone())
    }
}

/// The roll as a file.
pub(crate) struct Listing(pub(crate) Arc<Roll>);

impl Writer for Listing {
    fn write(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = 0;
        while let Some(segment) = self.0.at_or_after(number) {
            segment.write_line(out)?;
            number = segment.number().saturating_add(1);
        }
        Ok(())
    }
}
