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
///
/// Most segments have one, so there is room for one without an allocation.
pub(crate) struct Connections {
    first: Option<(u64, Arc<Peer>)>,
    others: RBTree<u64, Arc<Peer>>,
    count: u64,
    next: u64,
}

/// Room for a connection.
pub(crate) type Room = RBTreeNodeReservation<u64, Arc<Peer>>;

/// A connection that is no more, to be dropped with the lock released.
enum Removed {
    First { _peer: Arc<Peer> },
    Other { _node: RBTreeNode<u64, Arc<Peer>> },
}

impl Connections {
    /// None.
    pub(crate) fn new() -> Self {
        Self {
            first: None,
            others: RBTree::new(),
            count: 0,
            next: 0,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Adds one, and returns its serial number; `None` if that takes `room` and there is none.
    pub(crate) fn add(&mut self, peer: &Arc<Peer>, room: &mut Option<Room>) -> Option<u64> {
        let serial = self.next;
        if self.first.is_none() {
            self.first = Some((serial, peer.clone()));
        } else {
            let node = room.take()?.into_node(serial, peer.clone());
            self.others.insert(node);
        }
        self.next = serial.wrapping_add(1);
        self.count = self.count.saturating_add(1);
        Some(serial)
    }

    /// The first one whose serial number is at least `serial`, with that number.
    pub(crate) fn at_or_after(&self, serial: u64) -> Option<(u64, Arc<Peer>)> {
        let cursor = self.others.cursor_lower_bound(&serial);
        let other = cursor.as_ref().map(|cursor| cursor.current());
        let first = self.first.as_ref().filter(|(first, _)| *first >= serial);
        match (first, other) {
            (Some((first, peer)), Some((other, _))) if first < other => {
                Some((*first, peer.clone()))
            }
            (_, Some((other, peer))) => Some((*other, peer.clone())),
            (first, None) => first.cloned(),
        }
    }

    /// Ends all. What is returned is to be dropped with no lock held.
    pub(crate) fn end_all(&mut self) -> Ended {
        let ended = Ended {
            first: self.first.take(),
            others: core::mem::replace(&mut self.others, RBTree::new()),
        };
        ended.peers().for_each(Peer::end);
        self.count = 0;
        ended
    }

    /// The serial number that the next one will have.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn remove(&mut self, serial: u64) -> Option<Removed> {
        let removed = match self.first.take_if(|(first, _)| *first == serial) {
            Some((_, _peer)) => Removed::First { _peer },
            None => Removed::Other {
                _node: self.others.remove_node(&serial)?,
            },
        };
        self.count = self.count.saturating_sub(1);
        Some(removed)
    }
}

/// Connections that have been ended. Dropped, it wakes those who want to know: which takes as long
/// as there are many of them, so that nobody must wait for it.
pub(crate) struct Ended {
    first: Option<(u64, Arc<Peer>)>,
    others: RBTree<u64, Arc<Peer>>,
}

impl Ended {
    fn peers(&self) -> impl Iterator<Item = &Peer> {
        let first = self.first.iter().map(|(_, peer)| peer);
        Iterator::chain(first, self.others.values()).map(|peer| &**peer)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.peers().for_each(Peer::tell_of_end);
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
