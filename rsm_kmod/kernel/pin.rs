// SPDX-License-Identifier: GPL-2.0

//! Long-term pins on a range of the caller's memory, kept as extents.

use super::extents::Extents;
use super::{caller, raw};
use crate::logic::extent::{Batch, Extent};
use crate::logic::status::Status;
use core::mem::size_of;
use core::ptr;
use kernel::alloc::KVec;
use kernel::bindings;
use kernel::ffi::c_ulong;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

// Only then do page structures lie in the order of their frames, as `Pinned::take()` needs it.
#[cfg(not(CONFIG_SPARSEMEM_VMEMMAP))]
compile_error!("page structures must lie in one array");

/// Pages pinned per call: as many pointers as fit in a page.
const BATCH: usize = PAGE_SIZE / size_of::<*mut bindings::page>();

/// Extents, or pages of one, unpinned before others get the processor.
const UNPIN_BATCH: usize = 1024;

/// Pinned user memory. Unpinned, and marked dirty, when dropped, which may sleep.
///
/// # Invariants
///
/// Each of the `pages` frames that `extents` describes holds one `FOLL_PIN` reference owned by this
/// value; frames of one extent are physically contiguous.
pub(crate) struct Pinned {
    extents: Extents,
    pages: u64,
}

impl Pinned {
    /// Pins `pages` pages of the caller's memory from `addr` on, for reading and writing.
    ///
    /// Page faults are taken as needed and may wait without bound on whoever serves them, so the
    /// caller must hold no lock. A fatal signal ends the wait between batches.
    pub(crate) fn new(addr: u64, pages: u64) -> Result<Self, Status> {
        let mut pinned = Self {
            extents: Extents::new(),
            pages: 0,
        };
        let mut batch = KVec::<*mut bindings::page>::from_elem(ptr::null_mut(), BATCH, GFP_KERNEL)
            .map_err(|_| Status::InsufficientMem)?;
        while pinned.pages < pages {
            if caller::killed() {
                return Err(Status::Interrupted);
            }
            let want = (pages - pinned.pages).min(BATCH as u64);
            let start = addr
                .checked_add(pinned.pages.wrapping_mul(PAGE_SIZE as u64))
                .ok_or(Status::BadLength)?;
            // SAFETY: `batch` has room for `want` pointers.
            let got = unsafe {
                bindings::pin_user_pages_fast(
                    start as usize,
                    want as kernel::ffi::c_int,
                    bindings::FOLL_WRITE | bindings::FOLL_LONGTERM,
                    batch.as_mut_ptr(),
                )
            };
            let got = match usize::try_from(got) {
                Ok(0) => return Err(Status::BadAddr),
                Ok(got) => got,
                Err(_) => return Err(Self::failure(got)),
            };
            pinned.take(batch.get(..got).unwrap_or(&[]), pages)?;
        }
        pinned.extents.trim();
        Ok(pinned)
    }

    /// The code for a failed pin.
    fn failure(errno: kernel::ffi::c_int) -> Status {
        match Error::from_errno(errno) {
            EFAULT => Status::BadAddr,
            EINTR => Status::Interrupted,
            e if e == kernel::error::code::ERESTARTSYS => Status::Interrupted,
            e if e == EAGAIN && caller::killed() => Status::Interrupted,
            _ => Status::InsufficientMem,
        }
    }

    /// Takes over freshly pinned pages, of `total` that there will be. On failure those not taken are
    /// unpinned.
    fn take(&mut self, pages: &[*mut bindings::page], total: u64) -> Result<(), Status> {
        let Some(&first) = pages.first() else {
            return Ok(());
        };
        // SAFETY: `first` is pinned, hence valid.
        let pfn = unsafe { raw::rsm_helper_page_to_pfn(first) } as u64;
        // Page structures lie in one array, in the order of their frames.
        let mut batch = Batch::new(self.extents.last(), self.pages, pages, pfn);
        let result = self.extents.append(&mut batch, total);
        // INVARIANT: The pages taken are pinned, and either continue the last extent or are in new
        // ones.
        self.pages = batch.pages();
        result.map_err(|_| {
            let rest = batch.rest();
            // SAFETY: The pages of `rest` were pinned and belong to no extent yet.
            unsafe { bindings::unpin_user_pages(rest.as_ptr().cast_mut(), rest.len()) };
            Status::InsufficientMem
        })
    }

    /// The frames, in order.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut end = self.pages;
        for extents in self.extents.rchunks(UNPIN_BATCH) {
            for extent in extents.iter().rev() {
                let pages = end.wrapping_sub(extent.page);
                // SAFETY: By the type invariant the frames are contiguous and pinned by this value,
                // which ends here and comes to each of them once.
                unsafe { unpin(extent.pfn, pages) };
                end = extent.page;
            }
            // SAFETY: May be called wherever sleeping is allowed.
            unsafe { raw::rsm_helper_cond_resched() };
        }
    }
}

/// Unpins frames and marks them dirty. May sleep.
///
/// # Safety
///
/// `pages` frames from `pfn` on must be pinned, and those pins are given up.
unsafe fn unpin(mut pfn: u64, mut pages: u64) {
    if pages == 1 {
        // SAFETY: As the caller says.
        unsafe { raw::rsm_helper_unpin_dirty_one(pfn as c_ulong) };
        return;
    }
    while pages > 0 {
        let some = pages.min(UNPIN_BATCH as u64);
        // SAFETY: As the caller says; what has been unpinned is not come to again.
        unsafe {
            raw::rsm_helper_unpin_dirty(pfn as c_ulong, some as c_ulong);
            raw::rsm_helper_cond_resched();
        }
        pfn = pfn.wrapping_add(some);
        pages = pages.wrapping_sub(some);
    }
}
