// SPDX-License-Identifier: GPL-2.0

//! The callbacks of user mappings of our files.

use super::fault::{Fault, Outcome};
use super::file::{object, FileObject};
use super::vma::Vma;
use core::marker::PhantomData;
use kernel::bindings;
use kernel::error::from_result;
use kernel::ffi::{c_int, c_uint, c_ulong};
use kernel::prelude::*;

/// An object whose file can be mapped, and what happens on the mapping.
///
/// Mappings keep their file open and so their object alive.
pub(crate) trait Mapped: FileObject {
    /// Whether [`copied`](Mapped::copied) and [`removed`](Mapped::removed) are wanted.
    const TRACKED: bool = false;
    /// Whether [`huge_fault`](Mapped::huge_fault) is there.
    const HUGE: bool = false;

    /// A mapping is to be split in two. Only asked where `TRACKED` is set.
    fn may_split(&self) -> Result {
        Ok(())
    }

    /// A mapping was copied: a part of it split off, moved, or forked. The mmap lock of the address
    /// space it was copied from is held for writing, and no entries have been copied yet.
    fn copied(&self, _vma: Vma) {}

    /// A mapping is going away; its entries have been removed.
    fn removed(&self, _vma: Vma) {}

    /// A page is wanted.
    fn fault(&self, fault: Fault) -> Outcome;

    /// An entry for 2^`order` pages is wanted.
    fn huge_fault(&self, _fault: Fault, _order: u32) -> Outcome {
        Outcome::Fallback
    }
}

/// The table of callbacks for mappings of files with objects of type `T`.
#[repr(transparent)]
pub(crate) struct VmOps<T> {
    ops: bindings::vm_operations_struct,
    object: PhantomData<fn(&T)>,
}

// SAFETY: The table is never changed.
unsafe impl<T> Sync for VmOps<T> {}

impl<T: Mapped> VmOps<T> {
    /// Builds the table.
    pub(crate) const fn new() -> Self {
        let mut ops: bindings::vm_operations_struct = pin_init::zeroed();
        ops.fault = Some(fault::<T>);
        ops.map_pages = Some(map_pages);
        if T::TRACKED {
            ops.open = Some(open::<T>);
            ops.close = Some(close::<T>);
            ops.may_split = Some(may_split::<T>);
        }
        if T::HUGE && cfg!(CONFIG_TRANSPARENT_HUGEPAGE) {
            ops.huge_fault = Some(huge_fault::<T>);
        }
        Self {
            ops,
            object: PhantomData,
        }
    }

    /// The table as the kernel wants it.
    pub(crate) const fn as_raw(&'static self) -> *const bindings::vm_operations_struct {
        &raw const self.ops
    }
}

/// # Safety
///
/// Only for the kernel to call, on the new copy of a mapping with these callbacks.
unsafe extern "C" fn open<T: Mapped>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: As the caller says.
    let vma = unsafe { Vma::from_raw(vma) };
    // SAFETY: The mapping keeps its file open; its objects have type `T`.
    if let Some(object) = unsafe { object::<T>(vma.file()) } {
        object.copied(vma);
    }
}

/// # Safety
///
/// Only for the kernel to call, on a mapping with these callbacks.
unsafe extern "C" fn may_split<T: Mapped>(
    vma: *mut bindings::vm_area_struct,
    _addr: c_ulong,
) -> c_int {
    // SAFETY: As the caller says.
    let vma = unsafe { Vma::from_raw(vma) };
    from_result(|| {
        // SAFETY: The mapping keeps its file open; its objects have type `T`.
        if let Some(object) = unsafe { object::<T>(vma.file()) } {
            object.may_split()?;
        }
        Ok(0)
    })
}

/// # Safety
///
/// Only for the kernel to call, on a mapping with these callbacks that is going away.
unsafe extern "C" fn close<T: Mapped>(vma: *mut bindings::vm_area_struct) {
    // SAFETY: As the caller says.
    let vma = unsafe { Vma::from_raw(vma) };
    // SAFETY: The mapping keeps its file open; its objects have type `T`.
    if let Some(object) = unsafe { object::<T>(vma.file()) } {
        object.removed(vma);
    }
}

/// # Safety
///
/// Only for the kernel to call, for a fault on a mapping with these callbacks.
unsafe extern "C" fn fault<T: Mapped>(vmf: *mut bindings::vm_fault) -> bindings::vm_fault_t {
    // SAFETY: As the caller says.
    let fault = unsafe { Fault::from_raw(vmf) };
    // SAFETY: The mapping keeps its file open; its objects have type `T`.
    match unsafe { object::<T>(fault.vma().file()) } {
        Some(object) => object.fault(fault),
        None => Outcome::Sigbus,
    }
    .into_raw(fault)
}

/// What the kernel calls before `fault`, to have pages mapped that are at hand. It must not sleep, so
/// nothing is. That it is there tells the kernel that `fault` may come under the lock of the mapping
/// alone: without it each fault is begun under that, given up, and begun anew under the mmap lock.
///
/// # Safety
///
/// None is needed; the type is the kernel's.
unsafe extern "C" fn map_pages(
    _vmf: *mut bindings::vm_fault,
    _first: c_ulong,
    _last: c_ulong,
) -> bindings::vm_fault_t {
    0
}

/// # Safety
///
/// Only for the kernel to call, for a fault on a mapping with these callbacks.
unsafe extern "C" fn huge_fault<T: Mapped>(
    vmf: *mut bindings::vm_fault,
    order: c_uint,
) -> bindings::vm_fault_t {
    // SAFETY: As the caller says.
    let fault = unsafe { Fault::from_raw(vmf) };
    // SAFETY: The mapping keeps its file open; its objects have type `T`.
    match unsafe { object::<T>(fault.vma().file()) } {
        Some(object) => object.huge_fault(fault, order),
        None => Outcome::Fallback,
    }
    .into_raw(fault)
}
