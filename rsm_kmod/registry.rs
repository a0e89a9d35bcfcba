// SPDX-License-Identifier: GPL-2.0

//! Segment ids to segments.
//!
//! Locks: `publishing` serialises publishers, is taken with no other lock held, and may be held
//! while memory is allocated. The lock inside `segments` is a leaf.

use crate::logic::segid::{Assigner, Request};
use crate::logic::status::Status;
use crate::segment::Segment;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::{Arc, Mutex};
use kernel::xarray::{AllocKind, XArray};

/// All published segments.
#[pin_data]
pub(crate) struct Registry {
    #[pin]
    segments: XArray<Arc<Segment>>,
    #[pin]
    publishing: Mutex<Assigner>,
}

impl Registry {
    /// An empty registry.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                segments <- XArray::new(AllocKind::Alloc),
                publishing <- new_mutex!(Assigner::new(), "rsm_registry"),
            }),
            GFP_KERNEL,
        )
    }

    /// The segment registered under `id`. Whether it is really published is for it to say.
    pub(crate) fn find(&self, id: u32) -> Option<Arc<Segment>> {
        self.segments
            .lock()
            .get(id as usize)
            .map(|segment| segment.into())
    }

    /// Enters a segment under the requested or an assigned id, which is returned.
    ///
    /// `ready` says, with publishers serialised and an id assigned, whether the segment may still be
    /// published; the first failure in the contract's order wins.
    pub(crate) fn insert(
        &self,
        segment: &Arc<Segment>,
        request: Request,
        ready: impl FnOnce() -> Result<(), Status>,
    ) -> Result<u32, Status> {
        let mut assigner = self.publishing.lock();
        let id = match request {
            Request::Assign => assigner.assign().ok_or(Status::InsufficientResources)?,
            Request::Explicit(id) => id,
        };
        ready()?;
        let mut segments = self.segments.lock();
        if segments.get(id as usize).is_some() {
            return Err(Status::SegidInUse);
        }
        // May drop the lock to allocate, but nobody else can insert meanwhile. Not charged to the
        // caller's memory cgroup: one over its limit would be made to wait there, and all other
        // publishers with it. A segment costs a few hundred bytes here at most.
        match segments.store(id as usize, segment.clone(), GFP_KERNEL) {
            Ok(_) => Ok(id),
            Err(error) => {
                drop(segments);
                drop(error);
                Err(Status::InsufficientMem)
            }
        }
    }

    /// Frees an id. The caller must hold a reference to the segment, since the registry's may
    /// otherwise be the last.
    pub(crate) fn remove(&self, id: u32) {
        let removed = self.segments.lock().remove(id as usize);
        // Dropped with the lock released.
        drop(removed);
    }
}
