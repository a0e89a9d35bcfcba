// SPDX-License-Identifier: GPL-2.0

//! Making the entries of a mapping before they are needed.

use super::caller;
use super::vma::{self, Vma};
use crate::logic::extent::HUGE_PAGES;
use crate::logic::status::Status;
use kernel::bindings;
use kernel::ffi::{c_uint, c_ulong};
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

/// Bytes that one fault fills at most, from a multiple of it on.
const STEP: u64 = HUGE_PAGES * PAGE_SIZE as u64;

/// Fails unless `[addr, end)` of the caller's memory is mapped throughout by mappings that `is_ours`
/// holds of (`BAD_ADDR`), with some access (`PERM_DENIED`).
pub(crate) fn check(addr: u64, end: u64, is_ours: impl Fn(Vma) -> bool) -> Result<(), Status> {
    let current = kernel::current!();
    let guard = current.mm().ok_or(Status::BadAddr)?.mmap_read_lock();
    let mut at = addr;
    let mut accessible = true;
    while at < end {
        let found = guard.vma_lookup(at as usize).ok_or(Status::BadAddr)?;
        // SAFETY: Found under the mmap lock, which `guard` holds until the end.
        let vma = unsafe { Vma::from_raw(found.as_ptr()) };
        if !is_ours(vma) {
            return Err(Status::BadAddr);
        }
        accessible &= vma.flags() & vma::ACCESS != 0;
        at = vma.end();
    }
    if accessible {
        Ok(())
    } else {
        Err(Status::PermDenied)
    }
}

/// Takes the faults that touching `[addr, end)` of the caller's memory would take.
///
/// `check` is asked about each mapping in the range, with the mmap lock held, before it is touched.
pub(crate) fn prefault(
    addr: u64,
    end: u64,
    check: impl Fn(Vma) -> Result<(), Status>,
) -> Result<(), Status> {
    let current = kernel::current!();
    let mm = current.mm().ok_or(Status::BadAddr)?;
    let mut at = addr;
    while at < end {
        if caller::killed() {
            return Err(Status::Interrupted);
        }
        let guard = mm.mmap_read_lock();
        let found = guard.vma_lookup(at as usize).ok_or(Status::BadAddr)?;
        // SAFETY: Found under the mmap lock, and not used after it may have been released.
        let vma = unsafe { Vma::from_raw(found.as_ptr()) };
        check(vma)?;
        let writable = vma.has(bindings::VM_WRITE);
        if !writable && !vma.has(bindings::VM_READ) {
            return Err(Status::PermDenied);
        }
        let flags = if writable {
            bindings::fault_flag_FAULT_FLAG_WRITE
        } else {
            0
        };
        let next = (at & !(STEP - 1)).saturating_add(STEP).min(vma.end());
        let mut unlocked = false;
        // SAFETY: The caller's address space, with the mmap lock held for reading, as it is again
        // when the function returns.
        let errno = unsafe {
            bindings::fixup_user_fault(
                mm.as_raw(),
                at as c_ulong,
                flags as c_uint,
                &raw mut unlocked,
            )
        };
        drop(guard);
        match errno {
            0 => at = next,
            _ => return Err(failure(errno)),
        }
    }
    Ok(())
}

/// The code for a fault that failed.
fn failure(errno: kernel::ffi::c_int) -> Status {
    match Error::from_errno(errno) {
        ENOMEM => Status::InsufficientMem,
        EINTR => Status::Interrupted,
        _ => Status::BadAddr,
    }
}
