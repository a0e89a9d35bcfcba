// SPDX-License-Identifier: GPL-2.0

//! A page fault being handled, and the ways to fill in page-table entries for page frames.
//!
//! Faults come under the mmap lock or under the lock of the mapping alone; nothing here depends on
//! which.

use super::vma::Vma;
use super::{page::KernelPage, raw};
use crate::logic::extent::{self, Extent, Window};
use core::ptr::{self, NonNull};
use kernel::bindings;
use kernel::ffi::{c_int, c_uint, c_ulong, c_void};
use kernel::page::PAGE_SIZE;

/// What a fault handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Entries are in place (or somebody else's are); try the access again.
    Done,
    /// A page for the fault code to map.
    Page(NonNull<bindings::page>),
    /// No entry of this size here; try smaller ones.
    Fallback,
    /// Out of memory: let the kernel's out-of-memory handling run, then try again.
    NoMemory,
    /// The access cannot be served.
    Sigbus,
}

impl Outcome {
    /// The outcome as the kernel wants it, storing a page where one is returned.
    pub(crate) fn into_raw(self, fault: Fault) -> bindings::vm_fault_t {
        match self {
            Outcome::Done => bindings::vm_fault_reason_VM_FAULT_NOPAGE,
            Outcome::Page(page) => {
                // SAFETY: `fault` is valid by its type invariant.
                unsafe { (*fault.raw()).page = page.as_ptr() };
                0
            }
            Outcome::Fallback => bindings::vm_fault_reason_VM_FAULT_FALLBACK,
            Outcome::NoMemory => bindings::vm_fault_reason_VM_FAULT_OOM,
            Outcome::Sigbus => bindings::vm_fault_reason_VM_FAULT_SIGBUS,
        }
    }
}

/// A fault in progress.
///
/// # Invariants
///
/// `vmf` is the argument of a running fault callback.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    vmf: NonNull<bindings::vm_fault>,
}

impl Fault {
    /// Wraps the argument of a callback.
    ///
    /// # Safety
    ///
    /// `vmf` must be the argument of a fault callback that is running.
    pub(crate) unsafe fn from_raw(vmf: *mut bindings::vm_fault) -> Self {
        // SAFETY: The caller says that `vmf` is valid, so it is not null.
        let vmf = unsafe { NonNull::new_unchecked(vmf) };
        // INVARIANT: As the caller says.
        Self { vmf }
    }

    fn raw(&self) -> *mut bindings::vm_fault {
        self.vmf.as_ptr()
    }

    fn raw_vma(&self) -> *mut bindings::vm_area_struct {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).__bindgen_anon_1.vma }
    }

    fn raw_mm(&self) -> *mut bindings::mm_struct {
        // SAFETY: A fault's mapping is valid and belongs to an address space.
        unsafe { (*self.raw_vma()).vm_mm }
    }

    fn pmd(&self) -> *mut bindings::pmd_t {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).pmd }
    }

    /// The mapping that was touched.
    pub(crate) fn vma(&self) -> Vma {
        // SAFETY: The mapping is locked while its fault is handled.
        unsafe { Vma::from_raw(self.raw_vma()) }
    }

    /// The address that was touched, rounded down to a page.
    pub(crate) fn addr(&self) -> u64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).__bindgen_anon_1.address as u64 }
    }

    /// The page offset in the file that was touched.
    pub(crate) fn offset(&self) -> u64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).__bindgen_anon_1.pgoff as u64 }
    }

    /// Whether no page table and no huge entry covers the address.
    pub(crate) fn pmd_is_empty(&self) -> bool {
        // SAFETY: The fault code has set `pmd` before it calls any handler.
        unsafe { raw::rsm_helper_pmd_none(self.pmd()) }
    }

    /// Puts the page table that the fault code allocated in place, so that nothing has to be
    /// allocated later under a lock.
    ///
    /// Returns whether there is a page table now; `false` means that a huge entry got there first.
    pub(crate) fn install_table(&self) -> bool {
        let (mm, pmd) = (self.raw_mm(), self.pmd());
        if self.pmd_is_empty() {
            // SAFETY: `pmd` belongs to `mm`, which the fault keeps alive; the table being
            // installed was allocated for it, is empty, and passes from `vmf` to the page tables
            // under the lock that serialises this. The barrier makes its zeroes visible before
            // it can be found, as in the kernel's own pmd_install().
            unsafe {
                let lock = raw::rsm_helper_pmd_lock(mm, pmd);
                let table = (*self.raw()).prealloc_pte;
                if raw::rsm_helper_pmd_none(pmd) && !table.is_null() {
                    raw::rsm_helper_mm_inc_nr_ptes(mm);
                    raw::rsm_helper_smp_wmb();
                    raw::rsm_helper_pmd_populate(mm, pmd, table);
                    (*self.raw()).prealloc_pte = ptr::null_mut();
                }
                bindings::spin_unlock(lock);
            }
        }
        // SAFETY: As in `pmd_is_empty()`.
        unsafe { !raw::rsm_helper_pmd_leaf(pmd) && !raw::rsm_helper_pmd_none(pmd) }
    }

    /// Fills the empty entries of `window`, which holds the fault's address, with the frames that
    /// `extents` gives for it, in one pass over the page table. Allocates nothing.
    ///
    /// The page table must be in place ([`Fault::install_table`]).
    pub(crate) fn insert_window(&self, extents: &[Extent], total: u64, window: Window) -> Outcome {
        let mut fill = Fill {
            // SAFETY: The mapping is locked while its fault is handled.
            prot: unsafe { (*self.raw_vma()).vm_page_prot },
            mm: self.raw_mm(),
            runs: extent::runs_from(extents, total, window.page),
            pfn: 0,
            left: 0,
        };
        // SAFETY: The window lies in the fault's mapping and in one page table, which exists and
        // stays (only the mapping's removal, excluded by its lock, would free it). No huge entry
        // can appear over an existing table. `fill` outlives the call.
        let errno = unsafe {
            bindings::apply_to_page_range(
                self.raw_mm(),
                window.addr as usize,
                window.bytes as usize,
                Some(Fill::entry),
                (&raw mut fill).cast(),
            )
        };
        if errno == 0 {
            Outcome::Done
        } else {
            Outcome::Sigbus
        }
    }

    /// Maps the 2 MiB from frame `pfn` on with one entry.
    #[cfg(not(CONFIG_TRANSPARENT_HUGEPAGE))]
    pub(crate) fn insert_huge(&self, _pfn: u64) -> Outcome {
        Outcome::Fallback
    }

    /// Maps the 2 MiB from frame `pfn` on with one entry.
    #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
    pub(crate) fn insert_huge(&self, pfn: u64) -> Outcome {
        // SAFETY: `vmf` is valid; the mapping is a shared mapping of page frames (checked when it
        // was made), so that none of the callee's assertions can fail.
        match unsafe { bindings::vmf_insert_pfn_pmd(self.raw(), pfn as c_ulong, false) } {
            bindings::vm_fault_reason_VM_FAULT_NOPAGE => Outcome::Done,
            bindings::vm_fault_reason_VM_FAULT_OOM => Outcome::NoMemory,
            _ => Outcome::Fallback,
        }
    }

    /// Maps one page of the kernel's own at the fault's address.
    pub(crate) fn insert_page(&self, page: &KernelPage) -> Outcome {
        // SAFETY: As in `insert_huge()`.
        let result = unsafe {
            bindings::vmf_insert_pfn(
                self.raw_vma(),
                self.addr() as c_ulong,
                page.pfn() as c_ulong,
            )
        };
        match result {
            bindings::vm_fault_reason_VM_FAULT_NOPAGE => Outcome::Done,
            bindings::vm_fault_reason_VM_FAULT_OOM => Outcome::NoMemory,
            _ => Outcome::Sigbus,
        }
    }
}

/// State of one [`Fault::insert_window`] pass.
struct Fill<'a> {
    mm: *mut bindings::mm_struct,
    prot: bindings::pgprot_t,
    /// What comes after the current run.
    runs: extent::Runs<'a>,
    /// Frame for the next entry, where `left` is not 0.
    pfn: u64,
    /// Pages left in the current run.
    left: u64,
}

impl Fill<'_> {
    /// Fills one entry.
    ///
    /// # Safety
    ///
    /// Only for `apply_to_page_range()` to call, with the page table locked, and with `data` being
    /// the `Fill` of the running [`Fault::insert_window`].
    unsafe extern "C" fn entry(
        pte: *mut bindings::pte_t,
        addr: c_ulong,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: `data` is the `Fill` that `insert_window()` passed, used by nobody else.
        let fill = unsafe { &mut *data.cast::<Self>() };
        if fill.left == 0 {
            match fill.runs.next() {
                Some(run) => {
                    fill.pfn = run.pfn;
                    fill.left = run.pages;
                }
                // Beyond the end of the segment: a mapping never reaches there.
                None => return 0,
            }
        }
        // SAFETY: The page table is locked, and `pte` is the entry for `addr` in it. Only empty
        // entries are filled, with ordinary write-back memory that is pinned while the caller
        // holds the segment's life lock.
        unsafe {
            if raw::rsm_helper_pte_none(pte) {
                raw::rsm_helper_set_special_pte(fill.mm, addr, pte, fill.pfn as c_ulong, fill.prot);
            }
        }
        fill.pfn = fill.pfn.wrapping_add(1);
        fill.left = fill.left.wrapping_sub(1);
        0
    }
}

/// Whether the kernel checks page tables in a way that 2 MiB entries over anonymous memory would
/// trip (`PAGE_TABLE_CHECK` switched on: it skips special 4 KiB entries but not special 2 MiB ones).
pub(crate) fn small_entries_only() -> bool {
    #[cfg(CONFIG_PAGE_TABLE_CHECK)]
    // SAFETY: Reads a static key.
    unsafe {
        raw::rsm_helper_page_table_check_on()
    }
    #[cfg(not(CONFIG_PAGE_TABLE_CHECK))]
    false
}

/// The order of a 2 MiB fault.
pub(crate) const HUGE_ORDER: c_uint =
    (extent::HUGE_PAGES * PAGE_SIZE as u64).trailing_zeros() - (PAGE_SIZE as u64).trailing_zeros();
