// SPDX-License-Identifier: GPL-2.0

//! Watching the exporter's memory: what the process does to it behind the module's back.
//!
//! # States
//!
//! They are those of `core/watching.rs`. A watch that cannot be armed any more is given up with its
//! memory, which is bound again from the start.
//!
//! The memory is pinned while its watch forms, so whatever happens from before the first look at the
//! mappings is noted. `off()` is called with the segment's life lock held for writing and after its
//! mappings have been emptied: who sees `Off` knows that nobody reaches the memory any more.
//!
//! # Changes and what is done
//!
//! | change | done | waited for |
//! |---|---|---|
//! | unmapped, moved, address space ends | segment dies | yes |
//! | protection changed, and reading or writing is gone | segment dies | yes |
//! | protection changed otherwise (NUMA hints, write protection) | nothing | |
//! | write-protected, soft-dirty | nothing | |
//! | taken by the out-of-memory killer | segment dies | no |
//! | entries cleared otherwise | looks whether other pages are there, or none; if so, segment dies | no |
//!
//! A change comes under locks that must not be held while entries are removed (those of the reverse
//! maps, and the notifier's own order), so the callback leaves the work to `ENDING` and waits for
//! its completion. Cleared entries come under the tightest of locks and mean nothing most of the
//! time (reclaim, page merging, a huge page being split), so they are looked at in `LOOKING`, when
//! the change is over: the callback comes before it is made. A page that is absent is fetched where
//! that does not take waiting for user space, and otherwise looked for again for some time.
//!
//! What a look waits for, the changes under way, the exporter's threads can keep from ending. So can
//! they what the removal of a watch waits for. A user's looks wait in line, and so do removals, unless
//! it is the process itself that waits: whoever else closes the last descriptor of a segment has nothing
//! to do with what its exporter is about.
//!
//! An address space ends when its last user goes. A look must not be one, or a process that exits
//! while its memory is looked at would leave the segment alive for that time. So page tables are
//! looked at with `standing` locked, which the callback that comes before they are torn down, and the
//! end of the registration, after which there is no such callback, have to lock too.
//!
//! Locks: `state` and `registration` are leaves. `REMOVING` takes none. `LOOKING` takes `standing`,
//! under it the mmap lock if it is free, and, after it has released both, the life lock; `ENDING` takes
//! the life lock, never the mmap lock, which the one who waits may hold.

use crate::kapi::notifier::{self, Change, Registration, Watcher};
use crate::kapi::present::{self, Fetched, Kind, Seen};
use crate::kapi::queue::{QueueCell, Running};
use crate::kapi::{caller, time};
use crate::limits::User;
use crate::line::{InLine, Place};
use crate::logic::span::Span;
use crate::logic::status::Status;
use crate::logic::watching::State;
use crate::segment::Segment;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::mm::Mm;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::{Arc, ArcBorrow, Completion, Mutex, SpinLock};
use kernel::workqueue::{impl_has_work, Work, WorkItem};
use kernel::{new_mutex, new_spinlock, new_work};

/// Where segments die. Somebody waits for it, maybe in memory reclaim.
static ENDING: QueueCell = QueueCell::new();

/// Where pages are looked at.
static LOOKING: QueueCell = QueueCell::new();

/// Where watches are removed.
static REMOVING: QueueCell = QueueCell::new();

/// How often, and how many milliseconds apart, a page that is absent is looked for. Migration takes
/// pages away for moments.
const LOOKS: u32 = 10;
const PAUSE: u32 = 10;

/// The queues, which run while the module is loaded.
pub(crate) struct Queues {
    _removing: Running,
    _looking: Running,
    _ending: Running,
}

impl Queues {
    /// Starts them.
    pub(crate) fn start() -> Result<Self> {
        Ok(Self {
            _ending: ENDING.start(c"rsm_ending", true)?,
            _looking: LOOKING.start(c"rsm_looking", false)?,
            _removing: REMOVING.start(c"rsm_removing", false)?,
        })
    }
}

/// What a comparison of the exporter's pages with the pinned ones comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// They are the same.
    Same,
    /// There are none.
    Absent,
    /// They are others.
    Different,
    /// They cannot be looked at now.
    Busy,
    /// The memory is not the segment's any more.
    Over,
}

/// A watch on the memory of one binding.
#[pin_data]
pub(crate) struct Watch {
    mm: ARef<Mm>,
    addr: u64,
    pages: u64,
    /// Who exports it.
    user: Arc<User>,
    #[pin]
    state: SpinLock<State<Arc<Segment>>>,
    /// Whether the address space stands, for certain: while this is locked, its page tables are not
    /// torn down.
    #[pin]
    standing: Mutex<bool>,
    /// What tells of changes, until the watch is removed.
    #[pin]
    registration: SpinLock<Option<Registration<Watch>>>,
    /// Done when the segment is dead.
    #[pin]
    ended: Completion,
    /// How often pages that are absent have been looked for.
    looks: Atomic<u32>,
    #[pin]
    ending: Work<Watch, 0>,
    #[pin]
    looking: Work<Watch, 1>,
    #[pin]
    removing: Work<Watch, 2>,
    #[pin]
    look_place: Place<Watch>,
    #[pin]
    removal_place: Place<Watch>,
}

impl_has_work! {
    impl HasWork<Self, 0> for Watch { self.ending }
}
impl_has_work! {
    impl HasWork<Self, 1> for Watch { self.looking }
}
impl_has_work! {
    impl HasWork<Self, 2> for Watch { self.removing }
}

impl InLine<1> for Watch {
    fn place(&self) -> &Place<Self> {
        &self.look_place
    }

    fn start(this: Arc<Self>) {
        if let Some(queue) = LOOKING.get() {
            // It is not queued: it has a place in line until it runs.
            let _ = queue.enqueue::<_, 1>(this);
        }
    }
}

impl InLine<2> for Watch {
    fn place(&self) -> &Place<Self> {
        &self.removal_place
    }

    fn start(this: Arc<Self>) {
        if let Some(queue) = REMOVING.get() {
            // Dropped once, so queued once.
            let _ = queue.enqueue::<_, 2>(this);
        }
    }
}

/// A registered watch, which is removed when this is dropped: with no lock held.
pub(crate) struct Watching {
    watch: Arc<Watch>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        let stood = self.watch.falls();
        if !stood || caller::is_mm(&self.watch.mm) {
            self.watch.remove();
        } else {
            self.watch.user.removals().join(self.watch.clone());
        }
    }
}

impl Watching {
    /// Watches `pages` pages from `addr` on. When this returns every change is noted. No lock may
    /// be held.
    pub(crate) fn new(mm: &Mm, addr: u64, pages: u64, user: &Arc<User>) -> Result<Self, Status> {
        let watch = Arc::pin_init(
            pin_init!(Watch {
                mm: mm.into(),
                addr,
                pages,
                user: user.clone(),
                state <- new_spinlock!(State::default(), "rsm_watch"),
                standing <- new_mutex!(true, "rsm_watch_standing"),
                registration <- new_spinlock!(None, "rsm_watch_registration"),
                ended <- Completion::new(),
                looks: Atomic::new(0),
                ending <- new_work!("rsm_ending"),
                looking <- new_work!("rsm_looking"),
                removing <- new_work!("rsm_removing"),
                look_place <- Place::new(),
                removal_place <- Place::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
        .map_err(|_| Status::InsufficientMem)?;
        let length = present::bytes(pages);
        let registration = Registration::new(mm, addr, length, watch.clone());
        let registration = registration.map_err(|errno| {
            // A process's first takes all locks of its mappings, unless a signal comes.
            if errno == EINTR {
                Status::Interrupted
            } else {
                Status::InsufficientMem
            }
        })?;
        registration.notifier().settle();
        *watch.registration.lock() = Some(registration);
        Ok(Self { watch })
    }

    /// The watch.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }
}

impl Watch {
    /// First address.
    pub(crate) fn addr(&self) -> u64 {
        self.addr
    }

    /// The memory is about to stand behind `segment`. Fails if it is not what was pinned any more.
    pub(crate) fn arm(self: &Arc<Self>, segment: &Arc<Segment>) -> bool {
        let armed = self.state.lock().arm(segment, self.pages);
        if armed == Some(true) {
            self.look();
        }
        armed.is_some()
    }

    /// No segment stands on the memory any more, and nobody reaches it.
    pub(crate) fn off(&self) {
        let old = self.state.lock().off();
        // The caller has a reference to the segment, so this is not the last.
        drop(old);
    }

    /// The end of the address space is not told after this, or has just been. Returns whether it
    /// stood.
    fn falls(&self) -> bool {
        core::mem::replace(&mut *self.standing.lock(), false)
    }

    /// Ends what tells of changes. Waits for those that are being made.
    fn remove(&self) {
        let registration = self.registration.lock().take();
        // It refers to the watch, so this cuts a cycle.
        drop(registration);
    }

    fn segment(&self) -> Option<Arc<Segment>> {
        self.state.lock().segment()
    }

    /// Leaves the end of the segment to the queue.
    fn end(self: Arc<Self>) {
        if let Some(queue) = ENDING.get() {
            // If it is queued already, that will do.
            let _ = queue.enqueue::<_, 0>(self);
        }
    }

    /// Leaves a look at the pages to the queue.
    fn look(self: &Arc<Self>) {
        self.user.looks().join(self.clone());
    }

    /// The part of a change that concerns the memory, in addresses.
    fn part(&self, change: &Change<'_>) -> (u64, u64) {
        let end = self.addr.wrapping_add(present::bytes(self.pages));
        (change.start().max(self.addr), change.end().min(end))
    }

    /// Waits until the changes that have been told are made; false if nobody watches any more.
    fn settle(&self) -> bool {
        let notifier = {
            let registration = self.registration.lock();
            registration.as_ref().map(|it| it.notifier().clone())
        };
        match notifier {
            Some(notifier) => {
                notifier.settle();
                true
            }
            None => false,
        }
    }

    /// What there is to look at, which is not there to be looked at any more then.
    fn take_cleared(&self) -> Option<(Arc<Segment>, Span)> {
        self.state.lock().take_cleared()
    }

    /// Puts pages among those to be looked at; false if there is no need to.
    fn add_cleared(&self, more: Span) -> bool {
        self.state.lock().clear(more)
    }

    /// Looks at the pages from `addr` on, unless the address space has ended.
    fn look_at(&self, addr: u64, frames: &mut [u64; present::BATCH], want: usize) -> Option<Seen> {
        let standing = self.standing.lock();
        if !*standing {
            return None;
        }
        // SAFETY: It stands, as long as the lock is held.
        let seen = unsafe { present::look(&self.mm, addr, frames, want) };
        drop(standing);
        Some(seen)
    }

    /// Compares what the exporter has at `span` with what is pinned. Returns where that ended, too:
    /// everything before is the same.
    fn compare(self: &Arc<Self>, segment: &Segment, span: Span) -> (Comparison, u64) {
        let mut frames = [0; present::BATCH];
        let mut page = span.first();
        while page < span.end() {
            let want = usize::try_from(span.end() - page).unwrap_or(usize::MAX);
            let addr = self.addr.wrapping_add(present::bytes(page));
            let (result, seen) = match self.look_at(addr, &mut frames, want) {
                // That is told by itself.
                None => (Comparison::Over, 1),
                Some(Seen::Pages(count)) => {
                    let frames = frames.get(..count).unwrap_or(&[]);
                    (segment.compare(self, page, frames), count as u64)
                }
                Some(Seen::Absent(kind)) => (self.compare_absent(segment, page, addr, kind), 1),
                Some(Seen::Busy) => (Comparison::Busy, 1),
            };
            if result != Comparison::Same {
                return (result, page);
            }
            page = page.saturating_add(seen);
        }
        (Comparison::Same, page)
    }

    /// Compares a page that the exporter does not have now with the pinned one.
    ///
    /// If it can be had without waiting for user space, it is fetched: pages that are being migrated
    /// come back as they were, those that are gone come back as others.
    ///
    /// A file's pages are taken out of mappings before they are taken out of the file. So a page
    /// that is the file's still may be about to go, which nobody would be told of. Fetched, it is in
    /// the mapping again, and must be taken out again first: that is told.
    fn compare_absent(
        self: &Arc<Self>,
        segment: &Segment,
        page: u64,
        addr: u64,
        kind: Kind,
    ) -> Comparison {
        match kind {
            Kind::Anonymous => (),
            Kind::Shared => match segment.compare_absent(self, page) {
                Comparison::Same => (),
                other => return other,
            },
            // Whoever serves the faults will decide; if the file has the page, that is all there is
            // to be known.
            Kind::Served => return segment.compare_absent(self, page),
            Kind::Other => return Comparison::Absent,
        }
        match present::fetch(&self.mm, addr, kind) {
            Fetched::Page(frame) => segment.compare(self, page, &[frame]),
            Fetched::Failed => Comparison::Absent,
            Fetched::Busy => Comparison::Busy,
        }
    }

    /// One look at what there is to look at. Looked at again, it stands in line behind the others.
    fn look_once(self: &Arc<Self>) {
        let Some((segment, span)) = self.take_cleared() else {
            return;
        };
        if !self.settle() {
            return;
        }
        let (result, page) = self.compare(&segment, span);
        let before = match page > span.first() {
            true => 0,
            false => self.looks.load(Relaxed),
        };
        let again = match result {
            Comparison::Over => return,
            Comparison::Same => {
                self.looks.store(0, Relaxed);
                return;
            }
            Comparison::Busy => true,
            Comparison::Absent => {
                self.looks.store(before.wrapping_add(1), Relaxed);
                before < LOOKS
            }
            Comparison::Different => false,
        };
        if again {
            time::pause(PAUSE);
            if self.add_cleared(Span::new(page, span.end())) {
                self.look();
            }
        } else {
            let ended = segment.lose(self);
            self.ended.complete_all();
            drop(ended);
        }
    }
}

impl Watcher for Watch {
    fn changing(this: ArcBorrow<'_, Self>, change: &Change<'_>) -> bool {
        let (start, end) = this.part(change);
        match change.kind() {
            notifier::Kind::Harmless => return true,
            notifier::Kind::Protection if !change.access_lost(start, end) => return true,
            // The out-of-memory killer takes the memory of a process that it has ended. The end
            // need not be waited for, since the pages are pinned.
            notifier::Kind::Cleared if !change.may_sleep() => {
                if this.add_cleared(Span::new(0, this.pages)) {
                    Arc::from(this).end();
                }
                return true;
            }
            notifier::Kind::Cleared => {
                let first = start.wrapping_sub(this.addr) / PAGE_SIZE as u64;
                let last = end.wrapping_sub(this.addr).div_ceil(PAGE_SIZE as u64);
                if this.add_cleared(Span::new(first, last)) {
                    Arc::from(this).look();
                }
                return true;
            }
            notifier::Kind::Released => {
                this.falls();
            }
            notifier::Kind::Unmapped | notifier::Kind::Protection => (),
        }
        let dies = this.state.lock().lose();
        if !dies {
            return true;
        }
        Arc::from(this).end();
        if change.may_sleep() {
            this.ended.wait_for_completion();
        }
        change.may_sleep()
    }
}

impl WorkItem<0> for Watch {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let segment = this.segment();
        let ended = segment.as_ref().and_then(|segment| segment.lose(&this));
        this.ended.complete_all();
        // Those who are told may be many: nobody waits for that.
        drop(ended);
    }
}

impl WorkItem<1> for Watch {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.look_place.begun();
        this.look_once();
        this.user.looks().leave();
    }
}

impl WorkItem<2> for Watch {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.removal_place.begun();
        this.remove();
        this.user.removals().leave();
    }
}
