// SPDX-License-Identifier: GPL-2.0

//! Segments: pinned memory that can be published, mapped by others, and taken back.
//!
//! # Life of a segment
//!
//! The states are those of `core/life.rs`; a segment dies when it is revoked or lost.
//!
//! | what | who | state after | connections | memory |
//! |---|---|---|---|---|
//! | unpublish | the creator | Bound | ended, mappings emptied | stays |
//! | rebind | the creator | stays | stay, mappings emptied | new |
//! | revoke | the creator, or the last close | Dead | ended, mappings emptied | given back |
//! | lose | the watch on the memory | Dead | ended, mappings emptied | given back |
//!
//! # Locks, outermost first
//!
//! 1. `mmap_lock` or the lock of one mapping (held by the page-fault code around a fault, and by
//!    those who change the exporter's mappings)
//! 2. `Segment::life`
//! 3. `Segment::connections`, the names' array lock, `i_mmap_rwsem` and page-table locks (inside
//!    the zap), `StatusTable::inner`, `Watch::state`: never one inside another, but that
//!    `Events::state` is taken inside `connections`, and by itself
//!
//! Nothing is allocated, and no user memory is touched, while `life` is held: an importer in a tight
//! memory cgroup must not be able to hold up a revocation. Pins are taken and dropped, and watches
//! set and removed, with no lock held at all.
//!
//! # Why nobody reaches the memory after `revoke`
//!
//! An entry for a frame of the segment is made only by a fault that holds `life` for reading and has
//! seen the connection live. `revoke` holds it for writing from before the connections end until
//! every entry of every mapping is gone. So an entry is either made before, and removed, or its
//! fault comes after, and sees that the connection is not live. Copies of entries that the kernel
//! makes itself are the other way in: see `mapping.rs` for fork and mremap. The frames are unpinned
//! after that. `Documentation/revocation.md` has the whole argument.

mod describe;

use crate::backing::{Backing, Memory};
use crate::connection::{Connection, Connections, Ended, Peer, Room};
use crate::events::Events;
use crate::interconnect::Interconnect;
use crate::kapi::caller::{self, Owner};
use crate::kapi::file::SharedMapping;
use crate::kapi::present;
use crate::kapi::rwsem::{ReadGuard, RwSem};
use crate::kapi::time::Instant;
use crate::kapi::trace::{self, Reason};
use crate::limits::{self, Share, Ticket, User};
use crate::logic::life::State;
use crate::logic::status::Status;
use crate::logic::{access, extent, range, segid};
use crate::names::Names;
use crate::roll::Roll;
use crate::stats::{self, Happened, Live, What};
use crate::table::Handle;
use crate::watch::{Comparison, Watch};
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::mm::Mm;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::{Arc, Mutex};
use kernel::{new_mutex, static_lock_class};

/// Numbers of segments, for those who look.
static NUMBERS: Atomic<u64> = Atomic::new(1);

/// How often memory that changes while it is being pinned is tried again.
const ATTEMPTS: u32 = 16;

/// What the life lock guards.
pub(crate) struct Life {
    state: State,
    /// `None` before the memory is bound, and after a revocation.
    backing: Option<Backing>,
}

impl Life {
    /// The memory, unless the segment is dead.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        self.backing.as_ref().and_then(Backing::memory)
    }

    /// The memory, if `watch` is the watch on it.
    fn watched(&self, watch: &Arc<Watch>) -> Option<&Memory> {
        let backing = self.backing.as_ref()?;
        if Arc::ptr_eq(backing.watch(), watch) {
            backing.memory()
        } else {
            None
        }
    }
}

/// A segment. See the module's documentation.
#[pin_data]
pub(crate) struct Segment {
    number: u64,
    #[pin]
    life: RwSem<Life>,
    #[pin]
    connections: Mutex<Connections>,
    #[pin]
    events: Events,
    /// Address space of all mappings. Files of imports refer to it, and hold a reference to the
    /// segment.
    mapping: SharedMapping,
    names: Arc<Handle<Names>>,
    interconnect: &'static dyn Interconnect,
    roll: Arc<Roll>,
    creator: ARef<Mm>,
    /// Process that made the segment.
    pid: u32,
    owner: Owner,
    default_mode: u32,
    pages: u64,
    rebindable: bool,
    /// See [`extent::phase`].
    phase: Atomic<u64>,
    share: Share,
    _ticket: Ticket,
    _live: Live,
}

/// What a new segment is to be.
pub(crate) struct Plan {
    /// First address of its memory.
    pub(crate) addr: u64,
    /// Length in pages.
    pub(crate) pages: u64,
    /// Whether it may be given other memory.
    pub(crate) rebindable: bool,
    /// Through which it is reached.
    pub(crate) interconnect: &'static dyn Interconnect,
    /// Where it is listed.
    pub(crate) roll: Arc<Roll>,
    /// It, in its user's account.
    pub(crate) share: Share,
    /// It, in the machine's.
    pub(crate) ticket: Ticket,
}

impl Segment {
    /// Makes a segment, not published. The caller is its creator and owner. No lock may be held.
    pub(crate) fn new(
        plan: Plan,
        mapping: SharedMapping,
        names: Arc<Handle<Names>>,
    ) -> Result<Arc<Self>, Status> {
        let creator = caller::mm().ok_or(Status::BadAddr)?;
        let addr = plan.addr;
        let segment = Arc::pin_init(
            pin_init!(Self {
                number: NUMBERS.fetch_add(1, Relaxed),
                life <- RwSem::new(
                    Life { state: State::default(), backing: None },
                    c"rsm_life",
                    static_lock_class!(),
                ),
                connections <- new_mutex!(Connections::new(), "rsm_connections"),
                events <- Events::new(),
                mapping,
                names,
                interconnect: plan.interconnect,
                roll: plan.roll,
                creator,
                pid: caller::process_id(),
                owner: Owner::current(),
                default_mode: access::default_mode(caller::umask()),
                pages: plan.pages,
                rebindable: plan.rebindable,
                phase: Atomic::new(0),
                share: plan.share,
                _ticket: plan.ticket,
                _live: Live::one(What::Segment),
            }),
            GFP_KERNEL_ACCOUNT,
        )
        .map_err(|_| Status::InsufficientMem)?;
        segment.bind(addr)?;
        Happened::Create.count();
        trace::create(segment.number, addr, segment.pages);
        Ok(segment)
    }

    /// Puts the caller's memory at `addr` behind the segment, in place of what there was. No lock
    /// may be held.
    fn bind(self: &Arc<Self>, addr: u64) -> Result<(), Status> {
        for _ in 0..ATTEMPTS {
            let backing = Backing::new(addr, self.pages, self.share.user())?;
            let phase = backing
                .memory()
                .map_or(0, |memory| extent::phase(memory.extents(), self.pages));
            let old = {
                let mut life = self.life.write();
                if let Err(failure) = life.state.check_alive() {
                    drop(life);
                    return Err(failure);
                }
                if !backing.watch().arm(self) {
                    // The process has changed its mappings meanwhile.
                    drop(life);
                    continue;
                }
                // Whoever reads the segment has entries for the old frames; they must be gone
                // before a fault finds the new ones.
                self.mapping.zap_all();
                self.phase.store(phase, Relaxed);
                let old = life.backing.replace(backing);
                if let Some(old) = &old {
                    old.watch().off();
                }
                old
            };
            drop(old);
            return Ok(());
        }
        Err(Status::InsufficientMem)
    }

    /// The segment's number: of no use but to tell it from others.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Puts the segment on the roll, until [`strike`](Segment::strike).
    pub(crate) fn enrol(self: &Arc<Self>) -> Result {
        self.roll.add(self)
    }

    /// Takes the segment off the roll.
    pub(crate) fn strike(&self) {
        self.roll.remove(self);
    }

    /// Length in pages.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    /// See [`extent::phase`].
    pub(crate) fn phase(&self) -> u64 {
        self.phase.load(Relaxed)
    }

    /// In whose account it is.
    pub(crate) fn user(&self) -> &User {
        self.share.user()
    }

    /// The address space that mappings of the segment belong to.
    pub(crate) fn mapping(&self) -> &SharedMapping {
        &self.mapping
    }

    /// The interconnect it is reached through.
    pub(crate) fn interconnect(&self) -> &'static dyn Interconnect {
        self.interconnect
    }

    /// The exporter's events.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// The live connections.
    pub(crate) fn connections(&self) -> &Mutex<Connections> {
        &self.connections
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
        self.life.read().state.check_not_published()
    }

    /// Fails unless the segment is published.
    pub(crate) fn check_published(&self) -> Result<(), Status> {
        self.life.read().state.check_published()
    }

    /// Fails unless there is a publication whose access list can be replaced.
    pub(crate) fn check_republishable(&self) -> Result<(), Status> {
        self.life.read().state.check_republishable()
    }

    /// Publishes the segment under the requested or an assigned id, which is returned.
    pub(crate) fn publish(
        self: &Arc<Self>,
        request: segid::Request,
        acl: Option<u32>,
    ) -> Result<u32, Status> {
        let ready = || self.life.read().state.check_publishable();
        let id = self.names.insert(self, request, ready)?;
        // From here on the id resolves to this segment, but nobody can connect until the state says
        // so.
        let published = self.life.write().state.publish(id, acl);
        match published {
            Ok(()) => {
                Happened::Publish.count();
                trace::publish(self.number, id);
                Ok(id)
            }
            Err(failure) => {
                self.names.remove(id);
                Err(failure)
            }
        }
    }

    /// Replaces the access list, for connections from now on.
    pub(crate) fn republish(&self, acl: Option<u32>) -> Result<(), Status> {
        self.life.write().state.republish(acl)
    }

    /// Takes the segment back from its importers; if an id is given, only from those of that
    /// publication. Sleeps; must be called with no lock held.
    pub(crate) fn unpublish(&self, only: Option<u32>) -> Result<(), Status> {
        let ended = {
            let mut life = self.life.write();
            let id = life.state.unpublish(only)?;
            self.withdraw(Some(id), Reason::Unpublish)
        };
        Happened::Unpublish.count();
        drop(ended);
        Ok(())
    }

    /// Puts the caller's memory at `addr` behind the segment.
    pub(crate) fn rebind(self: &Arc<Self>, addr: u64, length: u64) -> Result<(), Status> {
        if !self.rebindable {
            return Err(Status::RebindNotAllowed);
        }
        self.check_creator()?;
        if length != self.pages.saturating_mul(PAGE_SIZE as u64) {
            return Err(Status::BadLength);
        }
        {
            let life = self.life.read();
            match &life.backing {
                Some(backing) if backing.memory().is_some() => {
                    if backing.watch().addr() == addr {
                        return Ok(());
                    }
                }
                _ => return Err(Status::BadSegHndl),
            }
        }
        // The contract has one code for both here.
        range::export_pages(addr, length, PAGE_SIZE as u64).map_err(|_| Status::BadAddr)?;
        self.bind(addr)?;
        Happened::Rebind.count();
        trace::rebind(self.number, addr);
        Ok(())
    }

    /// Fails unless the caller may connect to publication `id` with the rights `want`.
    fn authorise(&self, life: &Life, id: u32, want: access::Rights) -> Result<(), Status> {
        let mode = life.state.mode(id, self.default_mode)?;
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

    /// Connects `peer` to publication `id`. The connection ends when the publication does or the
    /// result is dropped.
    pub(crate) fn connect(
        self: &Arc<Self>,
        id: u32,
        want: access::Rights,
        peer: Arc<Peer>,
    ) -> Result<Connection, Status> {
        let mut room = None;
        let serial = loop {
            let added = self.add_connection(id, want, &peer, &mut room)?;
            match added {
                Some(serial) => break serial,
                None => {
                    room = Some(Room::new(GFP_KERNEL_ACCOUNT).map_err(|_| Status::InsufficientMem)?)
                }
            }
        };
        Happened::Connect.count();
        Ok(Connection::new(self.clone(), id, peer, serial))
    }

    /// Adds a connection, and returns its serial number; `None` if there is no room for it.
    fn add_connection(
        &self,
        id: u32,
        want: access::Rights,
        peer: &Arc<Peer>,
        room: &mut Option<Room>,
    ) -> Result<Option<u64>, Status> {
        let life = self.life.read();
        self.authorise(&life, id, want)?;
        let mut connections = self.connections.lock();
        if !limits::allows_import(connections.count()) {
            return Err(Status::InsufficientResources);
        }
        Ok(connections.add(peer, room))
    }

    /// Posts an event to every importer.
    pub(crate) fn post_to_importers(&self, accumulate: bool) {
        // One after the other, so that nobody waits for the lock as long as all of them take.
        let end = self.connections.lock().next();
        let mut next = 0;
        while let Some((serial, peer)) = self.connection_from(next) {
            if serial >= end {
                return;
            }
            peer.events().post(accumulate, || true);
            next = serial.saturating_add(1);
        }
    }

    /// The first live connection whose serial number is at least `serial`.
    fn connection_from(&self, serial: u64) -> Option<(u64, Arc<Peer>)> {
        self.connections.lock().at_or_after(serial)
    }

    /// Ends every connection, and empties all mappings, after the publication under `id`, if there
    /// was one, has ended. Called with `life` held for writing since then. What is returned is to be
    /// dropped with no lock held.
    fn withdraw(&self, id: Option<u32>, reason: Reason) -> Ended {
        let begin = Instant::now();
        if let Some(id) = id {
            self.names.remove(id);
        }
        // Importers must be able to tell before the first entry goes away; the fence is in `end()`.
        let (ended, imports) = {
            let mut connections = self.connections.lock();
            let imports = connections.count();
            (connections.end_all(), imports)
        };
        // Importers that saw their connection live have counted their event by then.
        self.events.settle();
        self.mapping.zap_all();
        if id.is_some() {
            let elapsed = begin.elapsed();
            stats::note_revoke(elapsed);
            trace::revoke(self.number, reason, imports, elapsed);
        }
        ended
    }

    /// Takes the memory back. See the module's documentation. Sleeps; must be called with no lock
    /// held.
    pub(crate) fn revoke(&self) {
        let (ended, mut backing) = {
            let mut life = self.life.write();
            let id = life.state.die();
            let ended = self.withdraw(id, Reason::Destroy);
            let backing = life.backing.take();
            if let Some(backing) = &backing {
                backing.watch().off();
            }
            (ended, backing)
        };
        // Pins first: removing the watch may wait.
        if let Some(memory) = backing.as_mut().and_then(Backing::take_memory) {
            drop(memory);
            Happened::Destroy.count();
            trace::destroy(self.number);
        }
        drop((ended, backing));
    }

    /// The memory that `watch` watches is going away, or has. Sleeps; the caller may hold whatever
    /// changes of mappings are made under, but no lock of ours.
    ///
    /// What is returned is to be dropped when nobody waits any more.
    pub(crate) fn lose(&self, watch: &Arc<Watch>) -> Option<Ended> {
        let (ended, memory) = {
            let mut life = self.life.write();
            // Otherwise it stands behind the segment no more.
            life.watched(watch)?;
            let id = life.state.die();
            let ended = self.withdraw(id, Reason::Lose);
            watch.off();
            let memory = life.backing.as_mut().and_then(Backing::take_memory);
            (ended, memory)
        };
        drop(memory);
        Happened::Lose.count();
        trace::destroy(self.number);
        Some(ended)
    }

    /// Whether the pages from `page` on that `watch` watches are in `frames`.
    pub(crate) fn compare(&self, watch: &Arc<Watch>, page: u64, frames: &[u64]) -> Comparison {
        let life = self.life.read();
        let Some(memory) = life.watched(watch) else {
            return Comparison::Over;
        };
        let mut pages = page..;
        for (&frame, page) in frames.iter().zip(&mut pages) {
            match extent::locate(memory.extents(), self.pages, page) {
                Some(run) if run.pfn == frame => (),
                _ => return Comparison::Different,
            }
        }
        Comparison::Same
    }

    /// What it means that the exporter has no page in a shared mapping at `page`: the file still
    /// has the page that `watch` watches, or not.
    pub(crate) fn compare_absent(&self, watch: &Arc<Watch>, page: u64) -> Comparison {
        let life = self.life.read();
        let Some(memory) = life.watched(watch) else {
            return Comparison::Over;
        };
        match extent::locate(memory.extents(), self.pages, page) {
            Some(run) if !present::is_detached(run.pfn) => Comparison::Same,
            _ => Comparison::Different,
        }
    }
}
