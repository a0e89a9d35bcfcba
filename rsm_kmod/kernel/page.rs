// SPDX-License-Identifier: GPL-2.0

//! Zeroed kernel pages that are handed to user mappings.

use super::raw;
use core::ptr::NonNull;
use kernel::alloc::AllocError;
use kernel::bindings;
use kernel::sync::atomic::Atomic;

/// A page of the kernel's own, zeroed when allocated and charged to the memory cgroup of the task
/// that allocated it.
///
/// # Invariants
///
/// `page` is an order-0 page; this value owns one reference to it.
pub(crate) struct KernelPage {
    page: NonNull<bindings::page>,
}

// SAFETY: A page belongs to no thread.
unsafe impl Send for KernelPage {}
// SAFETY: `&self` gives out the frame number and atomics only.
unsafe impl Sync for KernelPage {}

impl KernelPage {
    /// Allocates a zeroed page. May sleep.
    pub(crate) fn new() -> Result<Self, AllocError> {
        let flags = bindings::GFP_KERNEL_ACCOUNT | bindings::__GFP_ZERO;
        // SAFETY: May be called in any sleepable context.
        let page = unsafe { bindings::alloc_pages(flags, 0) };
        // INVARIANT: A fresh order-0 page with the one reference that the allocator gives.
        Ok(Self {
            page: NonNull::new(page).ok_or(AllocError)?,
        })
    }

    /// The page's frame number.
    pub(crate) fn pfn(&self) -> u64 {
        // SAFETY: `page` is valid by the type invariant.
        unsafe { raw::rsm_helper_page_to_pfn(self.page.as_ptr()) as u64 }
    }

    /// The page with a further reference, for the page-fault code to map.
    pub(crate) fn get(&self) -> *mut bindings::page {
        // SAFETY: `page` is valid by the type invariant.
        unsafe { raw::rsm_helper_get_page(self.page.as_ptr()) };
        self.page.as_ptr()
    }

    /// The page as an array of 64-bit counters; `None` beyond its end.
    pub(crate) fn counter(&self, index: usize) -> Option<&Atomic<u64>> {
        const COUNTERS: usize = kernel::page::PAGE_SIZE / size_of::<u64>();
        if index >= COUNTERS {
            return None;
        }
        // SAFETY: `page` is valid and, being allocated without `__GFP_HIGHMEM`, in the direct map.
        let base = unsafe { raw::rsm_helper_page_address(self.page.as_ptr()) }.cast::<u64>();
        // SAFETY: `index` lies inside the page, which is aligned, initialised (zeroed), lives as
        // long as `self`, and is only ever accessed through these atomics on the kernel's side.
        // User space maps it read-only.
        Some(unsafe { Atomic::from_ptr(base.add(index)) })
    }
}

impl Drop for KernelPage {
    fn drop(&mut self) {
        // SAFETY: Gives up the reference that the type invariant says is owned.
        unsafe { bindings::__free_pages(self.page.as_ptr(), 0) };
    }
}

/// Pages of memory that the machine has.
pub(crate) fn total() -> u64 {
    // SAFETY: Reads a counter.
    unsafe { raw::rsm_helper_totalram_pages() as u64 }
}
