// SPDX-License-Identifier: MIT OR Apache-2.0
//! Barriers: objects of the caller's. `seg` is the import's handle, and `privdata` says
//! whether the barrier is open.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::Ordering;

use rsm::{Result, Status};

use crate::abi::{rsm_barrier_type_t, rsm_memseg_import_handle_t, rsmapi_barrier_t};
use crate::import::Import;
use crate::result::{code, fail};

const CLOSED: *mut c_void = ptr::null_mut();
const OPEN: *mut c_void = ptr::without_provenance_mut(1);

/// The import of a barrier.
///
/// # Safety
///
/// `barrier` must be null or a barrier; the import must not be disconnected meanwhile.
#[inline]
unsafe fn import_of<'a>(barrier: *const rsmapi_barrier_t) -> Result<&'a Import> {
    if barrier.is_null() {
        return fail(Status::BadBarrierPtr);
    }
    // SAFETY: promised by the caller.
    match unsafe { Import::of((*barrier).seg.cast()) } {
        // Of an import that is gone, or never initialised.
        Err(_) => fail(Status::BarrierUninitialized),
        import => import,
    }
}

/// # Safety
///
/// `barrier` must be a barrier.
#[inline]
unsafe fn check_open(barrier: *const rsmapi_barrier_t) -> Result<()> {
    // SAFETY: promised by the caller.
    if unsafe { (*barrier).privdata } == OPEN {
        Ok(())
    } else {
        fail(Status::BarrierNotOpened)
    }
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_init_barrier(
    im_memseg: rsm_memseg_import_handle_t,
    _type: rsm_barrier_type_t,
    barrier: *mut rsmapi_barrier_t,
) -> c_int {
    let work = || {
        // SAFETY: the caller does not disconnect it meanwhile.
        let import = unsafe { Import::of(im_memseg)? };
        if barrier.is_null() {
            return fail(Status::BadBarrierPtr);
        }
        let new = rsmapi_barrier_t {
            seg: im_memseg.cast(),
            gnum: 0,
            privdata: CLOSED,
        };
        // SAFETY: the caller passes a place for it.
        unsafe { barrier.write(new) };
        import.barrier.store(barrier, Ordering::Relaxed);
        Ok(())
    };
    code(work())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_open_barrier(barrier: *mut rsmapi_barrier_t) -> c_int {
    let work = || {
        // SAFETY: the caller passes a barrier.
        unsafe {
            import_of(barrier)?;
            (*barrier).privdata = OPEN;
        }
        Ok(())
    };
    code(work())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_order_barrier(barrier: *mut rsmapi_barrier_t) -> c_int {
    let work = || {
        // SAFETY: the caller passes a barrier.
        unsafe {
            import_of(barrier)?.segment.check()?;
            check_open(barrier)
        }
    };
    code(work())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_close_barrier(barrier: *mut rsmapi_barrier_t) -> c_int {
    let work = || {
        // SAFETY: the caller passes a barrier.
        unsafe {
            let verdict = import_of(barrier)?.segment.check().and(check_open(barrier));
            (*barrier).privdata = CLOSED;
            verdict
        }
    };
    code(work())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_destroy_barrier(
    barrier: *mut rsmapi_barrier_t,
) -> c_int {
    let work = || {
        // SAFETY: the caller passes a barrier.
        let import = unsafe { import_of(barrier)? };
        let none = ptr::null_mut();
        // Another one may be current.
        let _ =
            import
                .barrier
                .compare_exchange(barrier, none, Ordering::Relaxed, Ordering::Relaxed);
        let cleared = rsmapi_barrier_t {
            seg: ptr::null_mut(),
            gnum: 0,
            privdata: CLOSED,
        };
        // SAFETY: as above.
        unsafe { barrier.write(cleared) };
        Ok(())
    };
    code(work())
}
