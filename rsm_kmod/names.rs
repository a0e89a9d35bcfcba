// SPDX-License-Identifier: GPL-2.0

//! Segment ids to segments, for one IPC namespace.
//!
//! A tree rather than an array: its nodes can be had before the lock is taken, and are charged to
//! the publisher.
//!
//! Locks: `Ids::assigner` and `Names::segments` are leaves. Nothing is allocated or dropped under
//! them.

use crate::limits::Owned;
use crate::logic::segid::{Assigner, Request};
use crate::logic::status::Status;
use crate::segment::Segment;
use crate::table::Lasting;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::rbtree::{Entry, RBTree, RBTreeNodeReservation};
use kernel::sync::{Arc, SpinLock};

/// The ids that the system assigns. Of the whole machine, since a namespace's table may come and go
/// while the namespace stays.
#[pin_data]
pub(crate) struct Ids {
    #[pin]
    assigner: SpinLock<Assigner>,
}

impl Ids {
    /// None assigned yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                assigner <- new_spinlock!(Assigner::new(), "rsm_ids"),
            }),
            GFP_KERNEL,
        )
    }
}

/// All published segments of a namespace.
#[pin_data]
pub(crate) struct Names {
    ids: Arc<Ids>,
    #[pin]
    segments: SpinLock<RBTree<u32, Arc<Segment>>>,
}

impl Lasting for Names {}

impl Names {
    /// None.
    pub(crate) fn new(ids: Arc<Ids>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                ids,
                segments <- new_spinlock!(RBTree::new(), "rsm_names"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The segment registered under `id`. Whether it is really published is for it to say.
    pub(crate) fn find(&self, id: u32) -> Option<Arc<Segment>> {
        self.segments.lock().get(&id).cloned()
    }

    /// Enters a segment under the requested or an assigned id, which is returned.
    ///
    /// `ready` says, with an id assigned, whether the segment may still be published; the first
    /// failure in the contract's order wins.
    pub(crate) fn insert(
        &self,
        segment: &Arc<Segment>,
        request: Request,
        ready: impl FnOnce() -> Result<(), Status>,
    ) -> Result<u32, Status> {
        let id = match request {
            Request::Assign => {
                segment.user().take(Owned::Id)?;
                let assigned = self.ids.assigner.lock().assign();
                assigned.ok_or(Status::InsufficientResources)?
            }
            Request::Explicit(id) => id,
        };
        ready()?;
        let node = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT);
        match self.segments.lock().entry(id) {
            Entry::Occupied(_) => return Err(Status::SegidInUse),
            Entry::Vacant(entry) => {
                entry.insert(segment.clone(), node.map_err(|_| Status::InsufficientMem)?);
            }
        }
        Ok(id)
    }

    /// Frees an id. The caller must hold a reference to the segment, since the table's may
    /// otherwise be the last.
    pub(crate) fn remove(&self, id: u32) {
        let removed = self.segments.lock().remove_node(&id);
        // Dropped with the lock released.
        drop(removed);
    }
}
