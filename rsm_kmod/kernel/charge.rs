// SPDX-License-Identifier: GPL-2.0

//! Locked-memory accounting, as io_uring and iommufd do it: the user's `locked_vm` against
//! RLIMIT_MEMLOCK, and the address space's `pinned_vm` for show.
//!
//! Both are plain atomics. `account_locked_vm()` is not used: it takes the mmap lock for writing,
//! which forced destruction must not.

use super::caller;
use kernel::bindings;
use kernel::cred::Credential;
use kernel::mm::Mm;
use kernel::page::PAGE_SIZE;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::{Atomic, Relaxed};

/// Pages charged to a user and an address space; credited when dropped.
///
/// # Invariants
///
/// `pages` have been added to `pinned_vm` of `mm`, and to `locked_vm` of the user of `cred` unless
/// `cred` is `None` (the charging task was exempt).
pub(crate) struct Charge {
    cred: Option<ARef<Credential>>,
    mm: ARef<Mm>,
    pages: u64,
}

/// The limit does not allow the charge.
pub(crate) struct OverLimit;

/// The counter of the user that `cred` belongs to.
fn locked_vm(cred: &Credential) -> &Atomic<i64> {
    // SAFETY: Credentials hold a reference to their user; the counter lives in it and is only ever
    // accessed atomically.
    unsafe { Atomic::from_ptr(&raw mut (*(*cred.as_ptr()).user).locked_vm.counter) }
}

/// The counter of pinned pages of `mm`.
fn pinned_vm(mm: &Mm) -> &Atomic<i64> {
    // SAFETY: `mm` is valid (`mm_count` is held); the counter is only ever accessed atomically.
    unsafe { Atomic::from_ptr(&raw mut (*mm.as_raw()).__bindgen_anon_1.pinned_vm.counter) }
}

impl Charge {
    /// Charges `pages` to the calling task's user and to its address space `mm`.
    pub(crate) fn new(mm: ARef<Mm>, pages: u64) -> Result<Self, OverLimit> {
        let add = i64::try_from(pages).map_err(|_| OverLimit)?;
        let cred = if caller::capable(bindings::CAP_IPC_LOCK) {
            None
        } else {
            let limit = caller::memlock_limit() / PAGE_SIZE as u64;
            let cred = caller::credentials();
            let counter = locked_vm(&cred);
            let mut old = counter.load(Relaxed);
            loop {
                let new = old.checked_add(add).ok_or(OverLimit)?;
                if u64::try_from(new).map_err(|_| OverLimit)? > limit {
                    return Err(OverLimit);
                }
                match counter.cmpxchg(old, new, Relaxed) {
                    Ok(_) => break,
                    Err(seen) => old = seen,
                }
            }
            Some(cred)
        };
        pinned_vm(&mm).add(add, Relaxed);
        // INVARIANT: Both counters have been raised.
        Ok(Self { cred, mm, pages })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // `new()` made sure that the value fits.
        let sub = (self.pages as i64).wrapping_neg();
        if let Some(cred) = &self.cred {
            locked_vm(cred).add(sub, Relaxed);
        }
        pinned_vm(&self.mm).add(sub, Relaxed);
    }
}
