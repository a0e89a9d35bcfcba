// SPDX-License-Identifier: GPL-2.0

//! What the mappings of a revoked import turn into: zero-filled memory of the importing process.
//!
//! Pages are the kernel's own, charged to the memory cgroup of the process that touches them, and
//! kept per *view*: per import and address space. So a process finds again what it stored, in every
//! window on the import and after moving one; and no other process, a forked child included, ever
//! sees it.
//!
//! A view lives for as long as a mapping counts under it. Each mapping's private word names the
//! address space under which it counts. In a forked child that is at first still its parent's; the
//! child's first fault after the revocation moves the mapping to a view of its own.
//!
//! A view holds at most [`MAX_PAGES`] pages of its own, all views of one user together at most one
//! [`USER_SHARE`]th of the machine's memory, and all views one [`SHARE`]th, since the out-of-memory
//! killer does not see these pages as their process's. Beyond any of these, all further pages of the view are one and the same: stores do no
//! harm, and loads give what the process itself last stored to any of them.
//!
//! Most imports are mapped in one process, so there is room for one view without an allocation.
//!
//! Locks: `Views::inner` is taken inside the lock of the mapping, and nothing but the page-table lock
//! is taken inside it. Nothing is allocated under it.

use crate::kapi::fault::{Fault, Outcome};
use crate::kapi::page::{self, KernelPage};
use crate::kapi::vma::Vma;
use crate::limits::{Owned, Share, User};
use crate::stats::{Live, What};
use core::ptr;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::mm::Mm;
use kernel::new_mutex;
use kernel::prelude::*;
use kernel::rbtree::{RBTree, RBTreeNode, RBTreeNodeReservation};
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, Mutex};

/// Most pages of a view: 64 MiB.
const MAX_PAGES: u64 = 16_384;

/// All views together hold at most the machine's memory divided by this.
const SHARE: u64 = 32;

/// All views of one user together hold at most the machine's memory divided by this.
const USER_SHARE: u64 = 64;

/// Key of the page that stands for all those beyond the limits. No mapping has this offset.
const OVERFLOW: u64 = u64::MAX;

/// The views of one import.
#[pin_data]
pub(crate) struct Views {
    #[pin]
    inner: Mutex<Inner>,
}

/// The views by their keys. A key is in one place at most.
struct Inner {
    first: Option<View>,
    others: RBTree<usize, View>,
}

/// A view that is no more, to be dropped with the lock released.
enum Gone {
    First { _view: View },
    Other { _node: RBTreeNode<usize, View> },
}

/// The pages of one address space.
struct View {
    /// Keeps the address, which is the key, from being used again.
    mm: ARef<Mm>,
    /// Mappings that count under this view.
    mappings: u64,
    pages: RBTree<u64, TrashPage>,
    count: u64,
    _live: Live,
}

struct TrashPage {
    page: KernelPage,
    _share: Share,
    _live: Live,
}

/// The key of an address space.
fn key(mm: &Mm) -> usize {
    mm.as_raw() as usize
}

impl View {
    fn new(mm: &Mm) -> Self {
        Self {
            mm: mm.into(),
            mappings: 0,
            pages: RBTree::new(),
            count: 0,
            _live: Live::one(What::View),
        }
    }

    /// Whether the view may not have another page of its own.
    fn is_full(&self, user: &User) -> bool {
        self.count >= MAX_PAGES
            || user.number(Owned::ZeroPage) >= page::total() / USER_SHARE
            || What::TrashPage.live() >= page::total() / SHARE
    }

    /// The page to map at an offset, if there is one already. A view that once had to use the
    /// common page goes on using it, whatever is free later.
    fn page(&self, offset: u64) -> Option<&TrashPage> {
        self.pages
            .get(&offset)
            .or_else(|| self.pages.get(&OVERFLOW))
    }

    /// Adds a page for an offset, unless there is one.
    fn add(
        &mut self,
        user: &Arc<User>,
        offset: u64,
        page: KernelPage,
        node: RBTreeNodeReservation<u64, TrashPage>,
    ) {
        if self.page(offset).is_some() {
            return;
        }
        let offset = if self.is_full(user) { OVERFLOW } else { offset };
        self.count = self.count.saturating_add(1);
        let page = TrashPage {
            page,
            _share: Share::unlimited(user, Owned::ZeroPage),
            _live: Live::one(What::TrashPage),
        };
        self.pages.insert(node.into_node(offset, page));
    }
}

impl Inner {
    /// The view under a key.
    fn get(&self, at: usize) -> Option<&View> {
        match &self.first {
            Some(view) if key(&view.mm) == at => Some(view),
            _ => self.others.get(&at),
        }
    }

    /// The view under a key, to be changed.
    fn get_mut(&mut self, at: usize) -> Option<&mut View> {
        match &mut self.first {
            Some(view) if key(&view.mm) == at => Some(view),
            _ => self.others.get_mut(&at),
        }
    }

    /// Makes sure that there is a view for `mm`, if that takes no memory; returns whether there is.
    fn provide(&mut self, mm: &Mm) -> bool {
        if self.get(key(mm)).is_some() {
            return true;
        }
        if self.first.is_some() {
            return false;
        }
        self.first = Some(View::new(mm));
        true
    }

    /// Adds a view, unless there is one under its key: then that is given back.
    fn add(&mut self, at: usize, node: RBTreeNode<usize, View>) -> Option<RBTreeNode<usize, View>> {
        if self.get(at).is_some() {
            return Some(node);
        }
        self.others.insert(node)
    }

    /// Counts a mapping under a view.
    fn count(&mut self, at: usize) {
        if let Some(view) = self.get_mut(at) {
            view.mappings = view.mappings.saturating_add(1);
        }
    }

    /// Discounts a mapping; returns the view if that was its last.
    fn discount(&mut self, at: usize) -> Option<Gone> {
        let view = self.get_mut(at)?;
        view.mappings = view.mappings.saturating_sub(1);
        if view.mappings > 0 {
            return None;
        }
        match self.others.remove_node(&at) {
            Some(_node) => Some(Gone::Other { _node }),
            None => self.first.take().map(|_view| Gone::First { _view }),
        }
    }
}

impl Views {
    /// No views.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_mutex!(Inner { first: None, others: RBTree::new() }, "rsm_views"),
        })
    }

    /// Runs `then` with the lock held and a view for `mm` there.
    fn with_view<R>(&self, mm: &Mm, then: impl FnOnce(&mut Inner) -> R) -> Result<R> {
        let mut inner = self.inner.lock();
        let mut unused = None;
        if !inner.provide(mm) {
            drop(inner);
            let node = RBTreeNode::new(key(mm), View::new(mm), GFP_KERNEL_ACCOUNT)?;
            inner = self.inner.lock();
            unused = inner.add(key(mm), node);
        }
        let result = then(&mut inner);
        drop(inner);
        drop(unused);
        Ok(result)
    }

    /// Counts a new mapping, under the view of its address space.
    pub(crate) fn enter(&self, vma: Vma) -> Result {
        let at = key(vma.mm());
        self.with_view(vma.mm(), |inner| {
            inner.count(at);
            vma.set_private(ptr::without_provenance_mut(at));
        })
    }

    /// Counts a copy of a mapping: of a part that was split off, of one moved, or of a forked one.
    pub(crate) fn duplicate(&self, vma: Vma) {
        self.inner.lock().count(vma.private().addr());
    }

    /// Discounts a mapping whose entries are gone.
    pub(crate) fn leave(&self, vma: Vma) {
        let gone = self.inner.lock().discount(vma.private().addr());
        // Frees pages, with the lock released.
        drop(gone);
    }

    /// Serves a fault on a mapping of a revoked import of `user`'s. The page table must be in place.
    pub(crate) fn fault(&self, fault: Fault, user: &Arc<User>) -> Outcome {
        let vma = fault.vma();
        let mm = vma.mm();
        if vma.private().addr() != key(mm) && self.adopt(vma).is_err() {
            return Outcome::NoMemory;
        }
        let offset = fault.offset();
        if let Some(outcome) = self.insert(fault, mm, offset) {
            return outcome;
        }
        let (Ok(page), Ok(node)) = (
            KernelPage::new(),
            RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT),
        ) else {
            return Outcome::NoMemory;
        };
        if let Some(view) = self.inner.lock().get_mut(key(mm)) {
            view.add(user, offset, page, node);
        }
        self.insert(fault, mm, offset).unwrap_or(Outcome::Sigbus)
    }

    /// Maps the page for an offset if the view has it.
    fn insert(&self, fault: Fault, mm: &Mm, offset: u64) -> Option<Outcome> {
        let inner = self.inner.lock();
        let page = inner.get(key(mm))?.page(offset)?;
        // The page stays for as long as the view, which the mapping being faulted counts under.
        Some(fault.insert_page(&page.page))
    }

    /// Makes a mapping that counts under another view (its process was forked) count under that of
    /// its own address space.
    fn adopt(&self, vma: Vma) -> Result {
        let at = key(vma.mm());
        let gone = self.with_view(vma.mm(), |inner| {
            let old = vma.private().addr();
            if old == at {
                // Another thread's fault was faster.
                return None;
            }
            inner.count(at);
            vma.set_private(ptr::without_provenance_mut(at));
            inner.discount(old)
        })?;
        drop(gone);
        Ok(())
    }
}
