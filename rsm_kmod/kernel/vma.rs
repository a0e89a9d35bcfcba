// SPDX-License-Identifier: GPL-2.0

//! User mappings: what a driver may ask of a `struct vm_area_struct` and do to it, and the walk
//! over the caller's mappings before they are pinned.

use super::file::FileObject;
use super::mapped::{Mapped, VmOps};
use super::raw;
use crate::logic::status::Status;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::ffi::c_void;
use kernel::mm::{Mm, MmWithUser};
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

/// `VM_MAYSHARE`: mapped with MAP_SHARED, even where the file forbids writing. (The constant of
/// this name in `bindings` has another value.)
const VM_MAYSHARE: bindings::vm_flags_t = 0x80;

/// What the exporter must be allowed to do with memory that it exports.
pub(crate) const ACCESS: bindings::vm_flags_t = bindings::VM_READ | bindings::VM_WRITE;

/// Mappings of devices and bare page frames.
const NOT_MEMORY: bindings::vm_flags_t =
    bindings::VM_IO | bindings::VM_PFNMAP | bindings::VM_MIXEDMAP;

/// A mapping during a callback on it.
///
/// # Invariants
///
/// `vma` is valid, and locked at least for reading, for as long as this value is used.
#[derive(Clone, Copy)]
pub(crate) struct Vma {
    vma: NonNull<bindings::vm_area_struct>,
}

impl Vma {
    /// Wraps the argument of a callback.
    ///
    /// # Safety
    ///
    /// `vma` must be valid and stay locked while the result is used.
    pub(crate) unsafe fn from_raw(vma: *mut bindings::vm_area_struct) -> Self {
        // SAFETY: The caller says that `vma` is valid, so it is not null.
        let vma = unsafe { NonNull::new_unchecked(vma) };
        // INVARIANT: As the caller says.
        Self { vma }
    }

    fn raw(&self) -> *mut bindings::vm_area_struct {
        self.vma.as_ptr()
    }

    /// First address.
    pub(crate) fn start(&self) -> u64 {
        // SAFETY: Valid by the type invariant; this union member is always the active one.
        unsafe { (*self.raw()).__bindgen_anon_1.__bindgen_anon_1.vm_start as u64 }
    }

    /// First address beyond.
    pub(crate) fn end(&self) -> u64 {
        // SAFETY: As in `start()`.
        unsafe { (*self.raw()).__bindgen_anon_1.__bindgen_anon_1.vm_end as u64 }
    }

    /// Pages.
    pub(crate) fn pages(&self) -> u64 {
        self.end().wrapping_sub(self.start()) / PAGE_SIZE as u64
    }

    /// Page offset in the file at the first address.
    pub(crate) fn offset(&self) -> u64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).vm_pgoff as u64 }
    }

    /// `VM_*` flags.
    pub(crate) fn flags(&self) -> bindings::vm_flags_t {
        // SAFETY: Valid by the type invariant; both union members are the same word.
        unsafe { (*self.raw()).__bindgen_anon_2.vm_flags }
    }

    /// Whether it was made with MAP_SHARED, even of a file that is not open for writing.
    pub(crate) fn is_shared(&self) -> bool {
        self.flags() & VM_MAYSHARE != 0
    }

    /// Whether its pages come from memory: anonymous, or of a file that lives there. Their faults
    /// wait for no other file system.
    pub(crate) fn is_in_memory(&self) -> bool {
        let file = self.file();
        if file.is_null() {
            return !self.has_any(NOT_MEMORY);
        }
        // SAFETY: A mapping holds a reference to its file, which has an address space.
        self.has(bindings::VM_HUGETLB) || unsafe { raw::shmem_mapping((*file).f_mapping) }
    }

    /// Whether user space serves its faults.
    pub(crate) fn is_served_by_user(&self) -> bool {
        #[cfg(CONFIG_USERFAULTFD)]
        // SAFETY: Valid by the type invariant.
        unsafe {
            !(*self.raw()).vm_userfaultfd_ctx.ctx.is_null()
        }
        #[cfg(not(CONFIG_USERFAULTFD))]
        false
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has_any(&self, flags: bindings::vm_flags_t) -> bool {
        self.flags() & flags != 0
    }

    /// Whether all of `flags` are set.
    pub(crate) fn has(&self, flags: bindings::vm_flags_t) -> bool {
        self.flags() & flags == flags
    }

    /// The address space that the mapping belongs to.
    pub(crate) fn mm(&self) -> &Mm {
        // SAFETY: Valid by the type invariant; a mapping's address space outlives it.
        unsafe { Mm::from_raw((*self.raw()).vm_mm) }
    }

    /// The file behind the mapping; null for anonymous memory.
    pub(crate) fn file(&self) -> *mut bindings::file {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.raw()).vm_file }
    }

    /// Whether it is a mapping of a file of `object`, with the callbacks `ops`.
    pub(crate) fn is_of<T: Mapped>(&self, ops: &'static VmOps<T>, object: &T) -> bool {
        // SAFETY: Valid by the type invariant; a mapping with these callbacks has a file, whose
        // object is of type `T` and only compared.
        unsafe {
            (*self.raw()).vm_ops == ops.as_raw()
                && core::ptr::eq((*self.file()).private_data.cast::<T>(), object)
        }
    }

    /// The driver's word for this mapping, copied by the kernel when it is split, moved or forked.
    pub(crate) fn private(&self) -> *mut c_void {
        // SAFETY: Valid by the type invariant. Faults on one mapping may run together, hence
        // volatile; who may write is the driver's business.
        unsafe { (&raw const (*self.raw()).vm_private_data).read_volatile() }
    }

    /// Changes the driver's word.
    pub(crate) fn set_private(&self, value: *mut c_void) {
        // SAFETY: As in `private()`.
        unsafe { (&raw mut (*self.raw()).vm_private_data).write_volatile(value) };
    }

    /// Removes every page-table entry of the mapping.
    ///
    /// Only for mappings of page frames (`VM_PFNMAP`); others are left alone.
    pub(crate) fn zap(&self) {
        let size = self.end().wrapping_sub(self.start());
        // SAFETY: Valid and locked by the type invariant; the range is the mapping's own.
        unsafe {
            bindings::zap_special_vma_range(self.raw(), self.start() as usize, size as usize)
        };
    }

    /// The mapping of an address space that holds `at`, or else the next one.
    ///
    /// # Safety
    ///
    /// `mm` must be valid, with its mmap lock held, as long as the result is used.
    pub(crate) unsafe fn find(mm: *mut bindings::mm_struct, at: u64) -> Option<Self> {
        // SAFETY: As the caller says.
        let vma = NonNull::new(unsafe { bindings::find_vma(mm, at as usize) })?;
        // INVARIANT: `find_vma` returned a mapping of a locked address space.
        Some(Self { vma })
    }

    /// In the `->open` callback that fork makes for the child's copy of a mapping: the mapping of
    /// the forking process that is being copied.
    pub(crate) fn fork_origin(&self) -> Option<Self> {
        let current = kernel::current!();
        let mm = current.mm()?;
        if mm.as_raw() == self.mm().as_raw() {
            return None;
        }
        // SAFETY: Fork holds the mmap lock of the current task's address space for writing while
        // it copies mappings, and copies them from there.
        let origin = unsafe { Self::find(mm.as_raw(), self.start()) }?;
        (origin.start() == self.start() && origin.file() == self.file()).then_some(origin)
    }

    /// In an `->open` callback: whether this is a part being split off another mapping, which still
    /// covers it.
    pub(crate) fn is_split_off(&self) -> bool {
        let current = kernel::current!();
        let Some(mm) = current.mm() else { return false };
        if mm.as_raw() != self.mm().as_raw() {
            return false;
        }
        // SAFETY: Within one address space `->open` is called with its mmap lock held for writing.
        let found = unsafe { Self::find(mm.as_raw(), self.start()) };
        found.is_some_and(|vma| vma.covers(self))
    }

    /// Whether all of `other` lies in this mapping.
    fn covers(&self, other: &Self) -> bool {
        self.start() <= other.start() && other.end() <= self.end()
    }

    /// In the `->open` callback that mremap makes for the new place of a mapping: empties every
    /// mapping that it may be moving from, which are those of the same part of the file in the same
    /// address space. Does nothing in the callback for the new part of a split mapping, which that
    /// mapping still covers.
    pub(crate) fn zap_move_origins(&self) {
        let current = kernel::current!();
        let Some(mm) = current.mm() else { return };
        if mm.as_raw() != self.mm().as_raw() {
            return;
        }
        let mut at = 0;
        // SAFETY: Within one address space `->open` is called with its mmap lock held for writing.
        while let Some(vma) = unsafe { Self::find(mm.as_raw(), at) } {
            if vma.covers(self) {
                return;
            }
            let overlaps = vma.offset() < self.offset().wrapping_add(self.pages())
                && self.offset() < vma.offset().wrapping_add(vma.pages());
            if vma.file() == self.file() && overlaps {
                vma.zap();
            }
            at = vma.end();
        }
    }
}

/// A mapping of a file with objects of type `T` that is being made and is not visible to anybody
/// yet.
pub(crate) struct NewVma<'a, T> {
    vma: Vma,
    object: PhantomData<fn(&'a T)>,
}

impl<T: FileObject> NewVma<'_, T> {
    /// Wraps the argument of an `mmap` callback.
    ///
    /// # Safety
    ///
    /// `vma` must be that argument, for a file with objects of type `T`.
    pub(crate) unsafe fn from_raw(vma: *mut bindings::vm_area_struct) -> Self {
        Self {
            // SAFETY: As the caller says; a mapping being made is the caller's alone.
            vma: unsafe { Vma::from_raw(vma) },
            object: PhantomData,
        }
    }

    /// Sets and clears flags, and gives the mapping its callbacks.
    pub(crate) fn finish(
        self,
        set: bindings::vm_flags_t,
        clear: bindings::vm_flags_t,
        ops: &'static VmOps<T>,
    ) where
        T: Mapped,
    {
        // SAFETY: The mapping is valid and not visible to anybody yet; the callbacks are for files
        // with objects of type `T`, which its file is.
        unsafe {
            raw::rsm_helper_vm_flags_mod(self.vma.raw(), set, clear);
            (*self.vma.raw()).vm_ops = ops.as_raw();
        }
    }
}

impl<T> Deref for NewVma<'_, T> {
    type Target = Vma;

    fn deref(&self) -> &Vma {
        &self.vma
    }
}

/// Checks that `[addr, addr + pages)` of the caller's memory is of a kind that can be exported:
/// mapped throughout, no shared mapping of a regular file, no device or page-frame mapping
/// (`BAD_ADDR`), readable and writable (`PERM_DENIED`).
pub(crate) fn check_exportable(mm: &MmWithUser, addr: u64, pages: u64) -> Result<(), Status> {
    let guard = mm.mmap_read_lock();
    let end = pages
        .checked_mul(PAGE_SIZE as u64)
        .and_then(|bytes| addr.checked_add(bytes))
        .ok_or(Status::BadLength)?;
    let mut at = addr;
    let mut writable = true;
    while at < end {
        let found = guard.vma_lookup(at as usize).ok_or(Status::BadAddr)?;
        // SAFETY: Found under the mmap lock, which `guard` holds until the end.
        let vma = unsafe { Vma::from_raw(found.as_ptr()) };
        if !exportable_kind(vma) {
            return Err(Status::BadAddr);
        }
        writable &= vma.has(ACCESS);
        at = vma.end();
    }
    if !writable {
        return Err(Status::PermDenied);
    }
    Ok(())
}

/// Whether a mapping is of a kind that can be exported, whatever its protection.
fn exportable_kind(vma: Vma) -> bool {
    if vma.has_any(NOT_MEMORY) {
        return false;
    }
    let file = vma.file();
    if file.is_null() || !vma.is_shared() || vma.has(bindings::VM_HUGETLB) {
        return true;
    }
    // SAFETY: A mapping holds a reference to its file, which has an address space.
    unsafe { raw::shmem_mapping((*file).f_mapping) }
}
