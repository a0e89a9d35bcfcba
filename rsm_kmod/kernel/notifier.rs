// SPDX-License-Identifier: GPL-2.0

//! Being told when a range of an address space changes.
//!
//! The callbacks come with the locks of whoever makes the change: the mmap lock, reverse-map locks,
//! or none. They must not take any of ours that is held while page-table entries are removed or
//! memory is allocated; see `watch.rs`.
//!
//! C header: `include/linux/mmu_notifier.h`.

use super::vma::Vma;
use super::{raw, vma};
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::bindings;
use kernel::error::to_result;
use kernel::ffi::c_ulong;
use kernel::mm::Mm;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, ArcBorrow};
use kernel::types::Opaque;

/// What happens to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unmapped or moved away.
    Unmapped,
    /// The address space ends: no user is left, and when the callback returns its page tables are
    /// torn down. Comes with no lock held.
    Released,
    /// A new protection for the mappings, which have it already.
    Protection,
    /// Entries are written-protected or looked at; the pages stay.
    Harmless,
    /// Entries are removed, and may come back with the same pages or with others.
    Cleared,
}

/// A change that is about to be made.
pub(crate) struct Change<'a> {
    range: NonNull<bindings::mmu_notifier_range>,
    lifetime: PhantomData<&'a bindings::mmu_notifier_range>,
}

impl Change<'_> {
    fn raw(&self) -> &bindings::mmu_notifier_range {
        // SAFETY: Valid for the length of the callback, which `'a` is.
        unsafe { self.range.as_ref() }
    }

    /// What happens.
    pub(crate) fn kind(&self) -> Kind {
        match self.raw().event {
            bindings::mmu_notifier_event_MMU_NOTIFY_UNMAP => Kind::Unmapped,
            bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE => Kind::Released,
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_VMA => Kind::Protection,
            bindings::mmu_notifier_event_MMU_NOTIFY_PROTECTION_PAGE
            | bindings::mmu_notifier_event_MMU_NOTIFY_SOFT_DIRTY => Kind::Harmless,
            _ => Kind::Cleared,
        }
    }

    /// First address.
    pub(crate) fn start(&self) -> u64 {
        self.raw().start as u64
    }

    /// First address beyond.
    pub(crate) fn end(&self) -> u64 {
        self.raw().end as u64
    }

    /// Whether the callback may sleep.
    pub(crate) fn may_sleep(&self) -> bool {
        self.raw().flags & bindings::MMU_NOTIFIER_RANGE_BLOCKABLE != 0
    }

    /// On a change of protection: whether any of `[start, end)` is not mapped both readable and
    /// writable now.
    pub(crate) fn access_lost(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            // SAFETY: The address space is valid; who changes the protection of mappings holds its
            // mmap lock until after this callback.
            let Some(vma) = (unsafe { Vma::find(self.raw().mm, at) }) else {
                return true;
            };
            if vma.start() > at || !vma.has(vma::ACCESS) {
                return true;
            }
            at = vma.end();
        }
        false
    }
}

/// Who is told.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// A change is about to be made somewhere in the range. Returns whether it has been dealt with;
    /// only if it must not sleep may it say no.
    fn changing(this: ArcBorrow<'_, Self>, change: &Change<'_>) -> bool;
}

/// A watch on a range of an address space, for as long as there is its [`Registration`].
///
/// # Invariants
///
/// `raw` has been inserted into `mm`; `watcher` was set before that.
#[pin_data]
pub(crate) struct Notifier<W: Watcher> {
    watcher: Arc<W>,
    mm: ARef<Mm>,
    #[pin]
    raw: Opaque<bindings::mmu_interval_notifier>,
}

// SAFETY: A notifier may be removed from any thread; the rest is `Send` and `Sync`.
unsafe impl<W: Watcher> Send for Notifier<W> {}
// SAFETY: Through `&self` only the kernel's own synchronised functions are called on `raw`.
unsafe impl<W: Watcher> Sync for Notifier<W> {}

impl<W: Watcher> Notifier<W> {
    const OPS: bindings::mmu_interval_notifier_ops = {
        let mut ops: bindings::mmu_interval_notifier_ops = pin_init::zeroed();
        ops.invalidate = Some(Self::invalidate);
        ops
    };

    fn new(mm: &Mm, addr: u64, length: u64, watcher: Arc<W>) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            watcher,
            mm: mm.into(),
            raw <- Opaque::try_ffi_init(move |slot| {
                // SAFETY: `slot` stays where it is until the notifier is removed, the address space
                // is valid, and the table of callbacks is static. The callback finds `watcher`,
                // which has been initialised before.
                to_result(unsafe {
                    bindings::mmu_interval_notifier_insert(
                        slot,
                        mm.as_raw(),
                        addr as c_ulong,
                        length as c_ulong,
                        &Self::OPS,
                    )
                })
            }),
        }? Error)
    }

    /// Waits until the changes that the watcher has been told of have been made, and those that were
    /// under way when the notifier was inserted. No lock may be held.
    pub(crate) fn settle(&self) {
        // SAFETY: Inserted by the type invariant. It may have been removed since, but its number
        // stays, and so does the address space that it is compared with. What is returned is not
        // needed: the watcher notes what it is told.
        let _ = unsafe { bindings::mmu_interval_read_begin(self.raw.get()) };
    }

    /// # Safety
    ///
    /// Only for the kernel to call, on the `raw` of an inserted notifier.
    unsafe extern "C" fn invalidate(
        notifier: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        sequence: c_ulong,
    ) -> bool {
        // SAFETY: As every callback must; the kernel says with which number.
        unsafe { raw::rsm_helper_mmu_interval_set_seq(notifier, sequence) };
        // SAFETY: `notifier` is embedded in a `Self`, which is not dropped before this returns: its
        // registration keeps it, and waits for this when it goes.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(notifier), Self, raw) };
        let change = Change {
            // SAFETY: The kernel passes a valid range.
            range: unsafe { NonNull::new_unchecked(range.cast_mut()) },
            lifetime: PhantomData,
        };
        W::changing(this.watcher.as_arc_borrow(), &change)
    }
}

/// Keeps a notifier inserted. Dropping it waits for running callbacks, and for all changes of the
/// address space that are being made: never in a callback, and with no lock held that a callback, or
/// one who makes changes, may need.
///
/// # Invariants
///
/// `notifier` is inserted.
pub(crate) struct Registration<W: Watcher> {
    notifier: Arc<Notifier<W>>,
}

impl<W: Watcher> Registration<W> {
    /// Watches `length` bytes from `addr` on in `mm`. No lock may be held.
    ///
    /// Callbacks come from now on, but changes that are under way already may not be told: see
    /// [`settle`](Notifier::settle).
    pub(crate) fn new(mm: &Mm, addr: u64, length: u64, watcher: Arc<W>) -> Result<Self> {
        let notifier = Notifier::new(mm, addr, length, watcher);
        // INVARIANT: Just inserted.
        Ok(Self {
            notifier: Arc::pin_init(notifier, GFP_KERNEL_ACCOUNT)?,
        })
    }

    /// The notifier.
    pub(crate) fn notifier(&self) -> &Arc<Notifier<W>> {
        &self.notifier
    }
}

impl<W: Watcher> Drop for Registration<W> {
    fn drop(&mut self) {
        // SAFETY: Inserted by the type invariant, and removed nowhere else.
        unsafe { bindings::mmu_interval_notifier_remove(self.notifier.raw.get()) };
    }
}
