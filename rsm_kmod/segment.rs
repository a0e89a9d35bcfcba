// SPDX-License-Identifier: GPL-2.0

//! Segments: pinned memory that can be published, mapped by others, and taken back.
//!
//! # Life of a segment
//!
//! ```text
//!            publish                  revoke
//!   Bound ────────────▶ Published ────────────▶ Dead
//!     └───────────────────revoke─────────────────▲
//! ```
//!
//! `revoke` runs on the creator's destroy and on the last close of the export descriptor, whichever
//! comes first, and does nothing the second time.
//!
//! # Locks, outermost first
//!
//! 1. `mmap_lock` or the lock of one mapping (held by the page-fault code around a fault)
//! 2. `Segment::life`
//! 3. `Segment::connections`, the registry's array lock, `i_mmap_rwsem` and page-table locks (inside
//!    the zap), `StatusTable::inner`: never one inside another
//!
//! Nothing is allocated, and no user memory is touched, while `life` is held: an importer in a tight
//! memory cgroup must not be able to hold up a revocation. Pins are taken and dropped with no lock
//! held at all.
//!
//! # Why nobody reaches the memory after `revoke`
//!
//! An entry for a frame of the segment is made only by a fault that holds `life` for reading and has
//! seen the connection live. `revoke` holds it for writing from before the connections end until
//! after every entry of every mapping has been removed; so each fault is either wholly before, and
//! its entries are removed, or wholly after, and sees the connection ended. Copies of entries that
//! the kernel makes itself are the other way in: see `mapping.rs` for fork. The frames are unpinned
//! after that. `Documentation/revocation.md` has the whole argument.

use crate::kapi::caller::Owner;
use crate::kapi::charge::Charge;
use crate::kapi::file::SharedMapping;
use crate::kapi::pin::Pinned;
use crate::kapi::rwsem::{ReadGuard, RwSem};
use crate::kapi::{caller, vma};
use crate::logic::status::Status;
use crate::logic::{access, extent, range, segid};
use crate::registry::Registry;
use crate::stats::{Live, What};
use crate::status::StatusSlot;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::mm::Mm;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNodeReservation};
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, Mutex};
use kernel::{new_mutex, static_lock_class};

/// The memory behind a segment: pinned, charged, and given back when dropped (which sleeps).
pub(crate) struct Backing {
    // Fields are dropped in order: unpin first, then credit.
    pinned: Pinned,
    _live: Live,
    _charge: Charge,
}

impl Backing {
    /// Charges and pins `length` bytes of the caller's memory at `addr`.
    pub(crate) fn new(addr: u64, length: u64) -> Result<Self, Status> {
        let pages = range::export_pages(addr, length, PAGE_SIZE as u64)?;
        let mm = caller::mm().ok_or(Status::BadAddr)?;
        let charge = Charge::new(mm, pages).map_err(|_| Status::InsufficientMem)?;
        vma::check_exportable(kernel::current!().mm().ok_or(Status::BadAddr)?, addr, pages)?;
        let pinned = Pinned::new(addr, pages)?;
        Ok(Self {
            _live: Live::many(What::PinnedPage, pages),
            pinned,
            _charge: charge,
        })
    }

    /// The frames.
    pub(crate) fn extents(&self) -> &[extent::Extent] {
        self.pinned.extents()
    }
}

/// What a segment can be asked for, as its state stands.
enum State {
    /// Has memory, no id.
    Bound,
    /// Can be connected to.
    Published {
        id: u32,
        /// Mode given by the access list; `None` without a list.
        acl: Option<u32>,
    },
    /// Revoked. For good.
    Dead,
}

/// What the life lock guards.
pub(crate) struct Life {
    state: State,
    /// `None` when dead.
    backing: Option<Backing>,
}

impl Life {
    /// The memory, unless the segment is dead.
    pub(crate) fn backing(&self) -> Option<&Backing> {
        self.backing.as_ref()
    }
}

/// The connections of a segment, by serial number.
struct Connections {
    slots: RBTree<u64, Arc<StatusSlot>>,
    next: u64,
}

/// A connection to a publication of a segment. Ends when dropped, if it has not before.
///
/// # Invariants
///
/// `slot` is among the connections of `segment` under `serial`.
pub(crate) struct Connection {
    segment: Arc<Segment>,
    slot: Arc<StatusSlot>,
    serial: u64,
}

impl Connection {
    /// The segment, in whatever state.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where the importer's process sees whether the connection is live.
    pub(crate) fn slot(&self) -> &StatusSlot {
        &self.slot
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut connections = self.segment.connections.lock();
        let removed = connections.slots.remove_node(&self.serial);
        drop(connections);
        // Gives memory back, with the lock released.
        drop(removed);
    }
}

/// A segment. See the module's documentation.
#[pin_data]
pub(crate) struct Segment {
    #[pin]
    life: RwSem<Life>,
    #[pin]
    connections: Mutex<Connections>,
    /// Address space of all mappings. Files of imports refer to it, and hold a reference to the
    /// segment.
    mapping: SharedMapping,
    registry: Arc<Registry>,
    creator: ARef<Mm>,
    owner: Owner,
    default_mode: u32,
    pages: u64,
    /// See [`extent::phase`].
    phase: u64,
    _live: Live,
}

impl Segment {
    /// Makes a segment, not published, of `backing`. The caller is its creator and owner.
    pub(crate) fn new(
        backing: Backing,
        mapping: SharedMapping,
        registry: Arc<Registry>,
    ) -> Result<Arc<Self>> {
        let pages = backing.pinned.pages();
        let phase = extent::phase(backing.extents(), pages);
        let creator = caller::mm().ok_or(EINVAL)?;
        Arc::pin_init(
            pin_init!(Self {
                life <- RwSem::new(
                    Life { state: State::Bound, backing: Some(backing) },
                    c"rsm_life",
                    static_lock_class!(),
                ),
                connections <- new_mutex!(
                    Connections { slots: RBTree::new(), next: 0 },
                    "rsm_connections"
                ),
                mapping,
                registry,
                creator,
                owner: Owner::current(),
                default_mode: access::default_mode(caller::umask()),
                pages,
                phase,
                _live: Live::one(What::Segment),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Length in pages.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// See [`extent::phase`].
    pub(crate) fn phase(&self) -> u64 {
        self.phase
    }

    /// The address space that mappings of the segment belong to.
    pub(crate) fn mapping(&self) -> &SharedMapping {
        &self.mapping
    }

    /// Holds the segment in its present state. Nothing may be allocated, and no user memory
    /// touched, until the guard is dropped.
    pub(crate) fn hold(&self) -> ReadGuard<'_, Life> {
        self.life.read()
    }

    /// Fails unless the caller's process made the segment. Compared by address space, which cannot
    /// be mistaken for that of a later process.
    pub(crate) fn check_creator(&self) -> Result<(), Status> {
        if caller::is_mm(&self.creator) {
            Ok(())
        } else {
            Err(Status::NotCreator)
        }
    }

    /// Fails if the segment is published.
    pub(crate) fn check_not_published(&self) -> Result<(), Status> {
        match self.life.read().state {
            State::Published { .. } => Err(Status::SegAlreadyPublished),
            State::Bound | State::Dead => Ok(()),
        }
    }

    fn check_bound(&self) -> Result<(), Status> {
        match self.life.read().state {
            State::Bound => Ok(()),
            State::Published { .. } => Err(Status::SegAlreadyPublished),
            State::Dead => Err(Status::BadSegHndl),
        }
    }

    /// Publishes the segment under the requested or an assigned id, which is returned.
    pub(crate) fn publish(
        self: &Arc<Self>,
        request: segid::Request,
        acl: Option<u32>,
    ) -> Result<u32, Status> {
        let id = self.registry.insert(self, request, || self.check_bound())?;
        // From here on the id resolves to this segment, but nobody can connect until the state says
        // so.
        let mut life = self.life.write();
        let failure = match life.state {
            State::Bound => {
                life.state = State::Published { id, acl };
                return Ok(id);
            }
            State::Published { .. } => Status::SegAlreadyPublished,
            State::Dead => Status::BadSegHndl,
        };
        drop(life);
        self.registry.remove(id);
        Err(failure)
    }

    /// Fails unless the caller may connect to publication `id` with the rights `want`.
    fn authorise(&self, life: &Life, id: u32, want: access::Rights) -> Result<(), Status> {
        let mode = match life.state {
            State::Published { id: current, acl } if current == id => {
                acl.unwrap_or(self.default_mode)
            }
            _ => return Err(Status::SegNotPublished),
        };
        let class = access::class(self.owner.is_caller(), self.owner.caller_in_group());
        if access::granted(mode, class, want) || caller::capable(kernel::bindings::CAP_IPC_OWNER) {
            Ok(())
        } else {
            Err(Status::PermDenied)
        }
    }

    /// Fails unless the caller may connect to publication `id` with the rights `want`.
    pub(crate) fn check_access(&self, id: u32, want: access::Rights) -> Result<(), Status> {
        self.authorise(&self.life.read(), id, want)
    }

    /// Connects `slot` to publication `id`. The connection ends when the segment is revoked or the
    /// result is dropped.
    pub(crate) fn connect(
        self: &Arc<Self>,
        id: u32,
        want: access::Rights,
        slot: StatusSlot,
    ) -> Result<Connection, Status> {
        let slot = Arc::new(slot, GFP_KERNEL_ACCOUNT).map_err(|_| Status::InsufficientMem)?;
        let node =
            RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT).map_err(|_| Status::InsufficientMem)?;
        let life = self.life.read();
        self.authorise(&life, id, want)?;
        let mut connections = self.connections.lock();
        let serial = connections.next;
        connections.next = serial.wrapping_add(1);
        connections
            .slots
            .insert(node.into_node(serial, slot.clone()));
        Ok(Connection {
            segment: self.clone(),
            slot,
            serial,
        })
    }

    /// Takes the memory back. See the module's documentation. Sleeps; must be called with no lock
    /// held.
    pub(crate) fn revoke(&self) {
        let backing = {
            let mut life = self.life.write();
            let old = core::mem::replace(&mut life.state, State::Dead);
            if let State::Published { id, .. } = old {
                self.registry.remove(id);
            }
            // Importers must be able to tell before the first entry goes away; the fence is in
            // `end()`.
            for slot in self.connections.lock().slots.values() {
                slot.end();
            }
            self.mapping.zap_all();
            life.backing.take()
        };
        drop(backing);
    }
}
