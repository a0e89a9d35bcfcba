// SPDX-License-Identifier: GPL-2.0

//! Connections of imports to a publication of a segment.
//!
//! A connection is live from connect until the publication ends. Ended, it leaves the segment's
//! list; the import keeps it to tell its own state.
//!
//! Locks: `Connections` is guarded by a mutex of the segment's, see there.

use crate::events::Events;
use crate::kapi::caller;
use crate::logic::access::Rights;
use crate::segment::Segment;
use crate::status::StatusSlot;
use core::fmt;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNode, RBTreeNodeReservation};
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::Arc;

/// The importer's end of a connection.
#[pin_data]
pub(crate) struct Peer {
    status: StatusSlot,
    #[pin]
    events: Events,
    /// Whether the end of the connection ends waits for events.
    wake: bool,
    rights: Rights,
    /// Process that connected.
    pid: u32,
    mappings: Atomic<u64>,
    /// Pages in all mappings.
    pages: Atomic<u64>,
}

impl Peer {
    /// The caller's end, with a status slot.
    pub(crate) fn new(status: StatusSlot, rights: Rights, wake: bool) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                status,
                events <- Events::new(),
                wake,
                rights,
                pid: caller::process_id(),
                mappings: Atomic::new(0),
                pages: Atomic::new(0),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Where the importer's process sees whether the connection is live.
    pub(crate) fn slot(&self) -> &StatusSlot {
        &self.status
    }

    /// The importer's events.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// What the connection may do.
    pub(crate) fn rights(&self) -> Rights {
        self.rights
    }

    /// Mappings of the import.
    pub(crate) fn mappings(&self) -> u64 {
        self.mappings.load(Relaxed)
    }

    /// Notes a mapping that adds `pages` pages to those that are mapped.
    pub(crate) fn add_mapping(&self, pages: u64) {
        self.mappings.add(1, Relaxed);
        let _ = self.pages.fetch_add(pages, Relaxed);
    }

    /// Notes the end of a mapping of `pages` pages.
    pub(crate) fn end_mapping(&self, pages: u64) {
        let _ = self.mappings.fetch_sub(1, Relaxed);
        let _ = self.pages.fetch_sub(pages, Relaxed);
    }

    /// Ends the connection; a full fence, see [`StatusSlot::end`]. Who looks from now on sees it.
    fn end(&self) {
        self.status.end();
        self.events.end(self.wake);
    }

    /// Wakes those who wait for events, if they want to know.
    fn tell_of_end(&self) {
        if self.wake {
            self.events.wake_all();
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "pid={} rights={} mappings={} mapped={} events={}",
            self.pid,
            self.rights.letters(),
            self.mappings(),
            self.pages.load(Relaxed).saturating_mul(PAGE_SIZE as u64),
            self.events.pending(),
        )
    }
}

/// The live connections of a segment, by serial number.
pub(crate) struct Connections {
    peers: RBTree<u64, Arc<Peer>>,
    count: u64,
    next: u64,
}

impl Connections {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            peers: RBTree::new(),
            count: 0,
            next: 0,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds one, and returns its serial number.
    pub(crate) fn add(
        &mut self,
        peer: Arc<Peer>,
        node: RBTreeNodeReservation<u64, Arc<Peer>>,
    ) -> u64 {
        let serial = self.next;
        self.next = serial.wrapping_add(1);
        self.count = self.count.saturating_add(1);
        self.peers.insert(node.into_node(serial, peer));
        serial
    }

    /// The first one whose serial number is at least `serial`, with that number.
    pub(crate) fn at_or_after(&self, serial: u64) -> Option<(u64, Arc<Peer>)> {
        let cursor = self.peers.cursor_lower_bound(&serial)?;
        let (serial, peer) = cursor.current();
        Some((*serial, peer.clone()))
    }

    /// Ends all. What is returned is to be dropped with no lock held.
    pub(crate) fn end_all(&mut self) -> Ended {
        for peer in self.peers.values() {
            peer.end();
        }
        self.count = 0;
        Ended(core::mem::replace(&mut self.peers, RBTree::new()))
    }

    /// The serial number that the next one will have.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn remove(&mut self, serial: u64) -> Option<RBTreeNode<u64, Arc<Peer>>> {
        let removed = self.peers.remove_node(&serial);
        if removed.is_some() {
            self.count = self.count.saturating_sub(1);
        }
        removed
    }
}

/// Connections that have been ended. Dropped, it wakes those who want to know: which takes as long
/// as there are many of them, so that nobody must wait for it.
pub(crate) struct Ended(RBTree<u64, Arc<Peer>>);

impl Drop for Ended {
    fn drop(&mut self) {
        for peer in self.0.values() {
            peer.tell_of_end();
        }
    }
}

/// A connection. Ends when dropped, if it has not before.
///
/// # Invariants
///
/// While the connection is live, `peer` is among those of `segment` under `serial`.
pub(crate) struct Connection {
    segment: Arc<Segment>,
    /// Of the publication.
    id: u32,
    peer: Arc<Peer>,
    serial: u64,
}

impl Connection {
    /// The connection to publication `id` that was added to `segment` under `serial`.
    pub(crate) fn new(segment: Arc<Segment>, id: u32, peer: Arc<Peer>, serial: u64) -> Self {
        // INVARIANT: As the caller says.
        Self {
            segment,
            id,
            peer,
            serial,
        }
    }

    /// The segment, in whatever state.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The segment id of the publication.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The importer's end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let removed = self.segment.connections().lock().remove(self.serial);
        // Gives memory back, with the lock released.
        drop(removed);
    }
}
