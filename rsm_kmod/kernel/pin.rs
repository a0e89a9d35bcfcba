// SPDX-License-Identifier: GPL-2.0

//! Long-term pins on a range of the caller's memory, kept as extents.

use super::extents::Extents;
use super::{caller, raw};
use crate::logic::extent::{self, Extent};
use crate::logic::status::Status;
use core::ptr;
use kernel::alloc::KVec;
use kernel::bindings;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

// Only then do page structures lie in the order of their frames, as `Pinned::take()` needs it.
#[cfg(not(CONFIG_SPARSEMEM_VMEMMAP))]
compile_error!("page structures must lie in one array");

/// Pages pinned per call: as many pointers as fit in a page.
const BATCH: usize = PAGE_SIZE / size_of::<*mut bindings::page>();

/// Pages unpinned before others get the processor.
const UNPIN_BATCH: u64 = 4096;

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
            pinned.take(batch.get(..got).unwrap_or(&[]))?;
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

    /// Takes over freshly pinned pages. On failure those not taken are unpinned.
    fn take(&mut self, batch: &[*mut bindings::page]) -> Result<(), Status> {
        let mut rest = batch;
        // Page structures lie in the order of their frames: neighbours describe neighbours.
        for run in batch.chunk_by(|&page, &next| page.wrapping_add(1) == next) {
            let Some(&page) = run.first() else { continue };
            // SAFETY: `page` is pinned, hence valid.
            let pfn = unsafe { raw::rsm_helper_page_to_pfn(page) } as u64;
            if !extent::continues(self.extents.last(), self.pages, pfn) {
                let entry = Extent {
                    page: self.pages,
                    pfn,
                };
                if self.extents.push(entry).is_err() {
                    // SAFETY: The pages of `rest` were pinned and belong to no extent yet.
                    unsafe { bindings::unpin_user_pages(rest.as_ptr().cast_mut(), rest.len()) };
                    return Err(Status::InsufficientMem);
                }
            }
            // INVARIANT: The pages of `run` are pinned, and either continue the last extent or are
            // one.
            self.pages = self.pages.wrapping_add(run.len() as u64);
            rest = rest.get(run.len()..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// The frames, in order.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for index in 0..self.extents.len() {
            let Some(mut run) = extent::run_at(&self.extents, self.pages, index) else {
                return;
            };
            while run.pages > 0 {
                let pages = run.pages.min(UNPIN_BATCH);
                // SAFETY: By the type invariant these frames are contiguous and pinned by this
                // value, which ends here and comes to each of them once.
                unsafe {
                    let first = raw::rsm_helper_pfn_to_page(run.pfn as usize);
                    bindings::unpin_user_page_range_dirty_lock(first, pages as usize, true);
                    raw::rsm_helper_cond_resched();
                }
                run.pfn = run.pfn.wrapping_add(pages);
                run.pages = run.pages.wrapping_sub(pages);
            }
        }
    }
}
