// SPDX-License-Identifier: MIT OR Apache-2.0
//! The importer's side: connections, mappings, modes.

use std::ffi::{c_int, c_void};
use std::num::NonZeroUsize;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc::off_t;
use rsm::{Access, BarrierMode, ImportSegment, NodeId, Result, SegmentId, Status, WindowKind};

use crate::abi::{
    rsm_attribute_t, rsm_barrier_mode_t, rsm_memseg_id_t, rsm_memseg_import_handle_t,
    rsm_node_id_t, rsm_permission_t, rsmapi_barrier_t, rsmapi_controller_handle_t,
    RSM_BARRIER_MODE_EXPLICIT, RSM_BARRIER_MODE_IMPLICIT, RSM_MAP_FIXED, RSM_PERM_READ,
    RSM_PERM_WRITE,
};
use crate::controller;
use crate::handle::{self, Object, Place};
use crate::poll::References;
use crate::result::{entry, fail};

const RIGHTS: rsm_permission_t = RSM_PERM_READ | RSM_PERM_WRITE;

/// An import.
pub(crate) struct Import {
    pub(crate) segment: ImportSegment,
    /// Locked while a mapping is made or taken away.
    mapping: Mutex<()>,
    /// The current barrier, or null; only its address counts.
    pub(crate) barrier: AtomicPtr<rsmapi_barrier_t>,
    pub(crate) references: References,
}

impl Object for Import {
    const KIND: u64 = 5;
}

impl Import {
    /// # Safety
    ///
    /// As for [`handle::get`].
    #[inline]
    pub(crate) unsafe fn of<'a>(im_memseg: rsm_memseg_import_handle_t) -> Result<&'a Self> {
        // SAFETY: promised by the caller.
        match unsafe { handle::get(im_memseg.cast()) } {
            Some(import) => Ok(import),
            None => fail(Status::BadSegHndl),
        }
    }

    /// Nobody makes or takes away a mapping meanwhile.
    fn lock_mapping(&self) -> MutexGuard<'_, ()> {
        self.mapping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the mapping for a transfer that finds none, if `check` has nothing against it. Who
    /// maps explicitly at the same time must know who was first before it replaces what is
    /// at a fixed address.
    ///
    /// The transfer itself comes when nothing is locked any more: a fault in the caller's memory
    /// may end in a handler that never returns.
    #[cold]
    pub(crate) fn map_first(&self, check: impl FnOnce(&ImportSegment) -> Result<()>) -> Result<()> {
        let _locked = self.lock_mapping();
        check(&self.segment)?;
        self.segment.window().map(drop)
    }
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_connect(
    controller: rsmapi_controller_handle_t,
    node_id: rsm_node_id_t,
    segment_id: rsm_memseg_id_t,
    perm: rsm_permission_t,
    im_memseg: *mut rsm_memseg_import_handle_t,
) -> c_int {
    entry(|| {
        let controller = controller::of_handle(controller)?;
        if im_memseg.is_null() {
            return fail(Status::BadSegHndl);
        }
        // SAFETY: the caller passes a place for it.
        unsafe { im_memseg.write(ptr::null_mut()) };
        let place = Place::new()?;
        let access = Access::from_permission(perm).ok_or(Status::PermDenied)?;
        let (node, id) = (NodeId::new(node_id), SegmentId::new(segment_id));
        let handle = place.fill(Import {
            segment: ImportSegment::connect(controller, node, id, access)
                .map_err(|error| controller::reason(controller, error))?,
            mapping: Mutex::new(()),
            barrier: AtomicPtr::new(ptr::null_mut()),
            references: References::none(),
        });
        // SAFETY: as above.
        unsafe { im_memseg.write(handle.cast()) };
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_disconnect(
    im_memseg: rsm_memseg_import_handle_t,
) -> c_int {
    entry(|| {
        // SAFETY: disconnecting a handle that is in use is the caller's to avoid.
        unsafe {
            let import = Import::of(im_memseg)?;
            if import.segment.window_kind() == Some(WindowKind::Explicit) {
                return fail(Status::SegStillMapped);
            }
            if import.references.are_there() {
                return fail(Status::PollfdInUse);
            }
            drop(handle::remove::<Import>(im_memseg.cast()).ok_or(Status::BadSegHndl)?);
        }
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_map(
    im_memseg: rsm_memseg_import_handle_t,
    address: *mut *mut c_void,
    attr: rsm_attribute_t,
    perm: rsm_permission_t,
    offset: off_t,
    length: usize,
) -> c_int {
    entry(|| {
        if im_memseg.is_null() {
            return fail(Status::BadSegHndl);
        }
        if address.is_null() {
            return fail(Status::BadAddr);
        }
        // SAFETY: the caller does not disconnect it meanwhile.
        let import = unsafe { Import::of(im_memseg)? };
        let _locked = import.lock_mapping();
        let segment = &import.segment;
        if segment.window_kind().is_some() {
            return fail(Status::SegAlreadyMapped);
        }
        if perm > RIGHTS {
            return fail(Status::BadPerms);
        }
        let access = Access::from_permission(perm & RIGHTS).ok_or(Status::BadPerms)?;
        let offset = usize::try_from(offset).or(fail(Status::BadLength))?;
        match offset.checked_add(length) {
            Some(end) if length > 0 && end <= segment.len() => {}
            _ => return fail(Status::BadLength),
        }
        // SAFETY: the caller passes an address if it says so.
        let fixed = (attr & RSM_MAP_FIXED != 0).then(|| unsafe { address.read() }.addr());
        if (offset | fixed.unwrap_or(0)) % controller::driver()?.page_size() != 0 {
            return fail(Status::BadMemAlignment);
        }
        // Before what is mapped there is lost.
        if !segment.is_live() {
            return fail(Status::ConnAborted);
        }
        if !segment.access().permits(access) {
            return fail(Status::BadPerms);
        }
        let window = match fixed.map(NonZeroUsize::new) {
            None => segment.map_window(offset, length, access)?,
            // SAFETY: the caller gives the range away.
            Some(Some(at)) => unsafe { segment.map_window_at(at, offset, length, access)? },
            Some(None) => return fail(Status::MapFailed),
        };
        let start = window.as_ptr();
        segment.set_window(window)?;
        // SAFETY: the caller passes a place for it.
        unsafe { address.write(start.cast()) };
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_unmap(im_memseg: rsm_memseg_import_handle_t) -> c_int {
    entry(|| {
        // SAFETY: the caller does not disconnect it meanwhile.
        let import = unsafe { Import::of(im_memseg)? };
        let _locked = import.lock_mapping();
        // SAFETY: nobody else looks at it but transfers, which are the caller's to avoid.
        match unsafe { import.segment.take_shared_window() } {
            Some(_) => Ok(()),
            None => fail(Status::SegNotMapped),
        }
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_set_mode(
    im_memseg: rsm_memseg_import_handle_t,
    mode: rsm_barrier_mode_t,
) -> c_int {
    entry(|| {
        // SAFETY: the caller does not disconnect it meanwhile.
        let import = unsafe { Import::of(im_memseg)? };
        import.segment.set_mode(match mode {
            RSM_BARRIER_MODE_EXPLICIT => BarrierMode::Explicit,
            RSM_BARRIER_MODE_IMPLICIT => BarrierMode::Implicit,
            _ => return fail(Status::BadMode),
        });
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_get_mode(
    im_memseg: rsm_memseg_import_handle_t,
    mode: *mut rsm_barrier_mode_t,
) -> c_int {
    entry(|| {
        // SAFETY: the caller does not disconnect it meanwhile.
        let import = unsafe { Import::of(im_memseg)? };
        if mode.is_null() {
            return fail(Status::BadAddr);
        }
        // SAFETY: the caller passes a place for it.
        unsafe { mode.write(import.segment.mode() as rsm_barrier_mode_t) };
        Ok(())
    })
}
