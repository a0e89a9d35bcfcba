// SPDX-License-Identifier: GPL-2.0

//! Which pages an address space has in a range now, without waiting for user space.

use super::raw;
use super::vma::Vma;
use core::ptr;
use kernel::bindings;
use kernel::ffi::{c_int, c_ulong};
use kernel::mm::{Mm, MmWithUser, MmWithUserAsync};
use kernel::page::PAGE_SIZE;
use kernel::sync::aref::ARef;
use kernel::types::ScopeGuard;

/// Most pages that are looked at in one go.
pub(crate) const BATCH: usize = 64;

/// Memory that is mapped somewhere, by where its pages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The process's own.
    Anonymous,
    /// A file in memory, which others may have mapped, too.
    Shared,
    /// The same, but user space serves its faults (userfaultfd).
    Served,
    /// Anything else: a file at first, and the process's own from then on; or no memory at all.
    Other,
}

/// The kind of memory at an address, given what is mapped at or after it.
fn kind_at(vma: Option<Vma>, addr: u64) -> Kind {
    let Some(vma) = vma.filter(|vma| vma.start() <= addr) else {
        return Kind::Other;
    };
    match (vma.is_in_memory(), vma.is_served_by_user()) {
        (true, false) if vma.is_shared() => Kind::Shared,
        (true, true) if vma.is_shared() => Kind::Served,
        (true, false) if vma.file().is_null() => Kind::Anonymous,
        _ => Kind::Other,
    }
}

/// What was seen from an address on.
pub(crate) enum Seen {
    /// So many pages, whose frames have been stored.
    Pages(usize),
    /// No page at the address itself, where memory of this kind is mapped.
    Absent(Kind),
    /// Somebody changes the mappings.
    Busy,
}

/// Looks at up to `frames.len()` pages from `addr` on.
///
/// Waits for nothing: what is not there is not brought in. Takes no part in the use of the address
/// space, which would put off its end.
///
/// # Safety
///
/// The address space must stand: its page tables must not be torn down meanwhile.
pub(crate) unsafe fn look(mm: &Mm, addr: u64, frames: &mut [u64; BATCH], want: usize) -> Seen {
    // SAFETY: `mm` is valid.
    if !unsafe { bindings::mmap_read_trylock(mm.as_raw()) } {
        return Seen::Busy;
    }
    // SAFETY: Just locked.
    let guard = ScopeGuard::new(|| unsafe { bindings::mmap_read_unlock(mm.as_raw()) });
    let mut pages = [ptr::null_mut::<bindings::page>(); BATCH];
    // SAFETY: The address space stands, says the caller, and is locked for reading; `pages` has room
    // for what is asked.
    let got = unsafe {
        bindings::get_user_pages_remote(
            mm.as_raw(),
            addr as c_ulong,
            want.min(BATCH) as c_ulong,
            bindings::FOLL_NOFAULT,
            pages.as_mut_ptr(),
            ptr::null_mut::<c_int>(),
        )
    };
    let got = usize::try_from(got).unwrap_or(0);
    if got == 0 {
        // SAFETY: As above; the mapping is not used after the lock is released.
        let kind = kind_at(unsafe { Vma::find(mm.as_raw(), addr) }, addr);
        drop(guard);
        return Seen::Absent(kind);
    }
    drop(guard);
    for (frame, &page) in frames.iter_mut().zip(pages.iter()).take(got) {
        // SAFETY: The page was returned with a reference, which is given up here.
        unsafe {
            *frame = raw::rsm_helper_page_to_pfn(page) as u64;
            raw::rsm_helper_put_page(page);
        }
    }
    Seen::Pages(got)
}

/// What came of fetching a page.
pub(crate) enum Fetched {
    /// Its frame.
    Page(u64),
    /// It cannot be had, or it is memory of another kind now.
    Failed,
    /// Somebody changes the mappings.
    Busy,
}

/// Fetches the page at `addr`, which is brought in if need be, if the memory there is of kind `kind`:
/// [`Anonymous`](Kind::Anonymous) or [`Shared`](Kind::Shared). Others' faults may be served by user
/// space, for which this must not wait.
///
/// The kernel lets only users of an address space bring pages in, so this is one, for a moment.
pub(crate) fn fetch(mm: &Mm, addr: u64, kind: Kind) -> Fetched {
    let Some(mm) = mm.mmget_not_zero() else {
        return Fetched::Failed;
    };
    // Should this be the last use, the address space is not torn down here: that may wait for the
    // caller.
    let mm: ARef<MmWithUserAsync> = MmWithUser::into_mmput_async(mm);
    let Some(guard) = mm.mmap_read_trylock() else {
        return Fetched::Busy;
    };
    // SAFETY: The address space is held and locked for reading; the mapping is not used after that.
    if kind_at(unsafe { Vma::find(mm.as_raw(), addr) }, addr) != kind {
        return Fetched::Failed;
    }
    let mut page = ptr::null_mut::<bindings::page>();
    // SAFETY: As in `look()`, with room for one page. Without a place to say so in, the lock is not
    // released meanwhile.
    let got = unsafe {
        bindings::get_user_pages_remote(
            mm.as_raw(),
            addr as c_ulong,
            1,
            0,
            &raw mut page,
            ptr::null_mut::<c_int>(),
        )
    };
    drop(guard);
    if got != 1 {
        return Fetched::Failed;
    }
    // SAFETY: The page was returned with a reference, which is given up here.
    unsafe {
        let frame = raw::rsm_helper_page_to_pfn(page) as u64;
        raw::rsm_helper_put_page(page);
        Fetched::Page(frame)
    }
}

/// Whether the page at `pfn` belongs to no file and no anonymous memory any more: the file was
/// truncated there.
///
/// The caller must hold a pin on it.
pub(crate) fn is_detached(pfn: u64) -> bool {
    // SAFETY: The frame is pinned, so it has a page.
    unsafe { raw::rsm_helper_page_detached(pfn as usize) }
}

/// How many bytes a number of pages has; for addresses inside a range that has been checked.
pub(crate) fn bytes(pages: u64) -> u64 {
    pages.wrapping_mul(PAGE_SIZE as u64)
}
