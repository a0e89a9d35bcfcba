// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's side.

use std::ffi::{c_int, c_uint, c_void};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc::c_longlong;
use rsm::{
    AccessEntry, ExportOptions, ExportSegment, ForeignMemory, Result, SegmentId, Signal, Status,
};

use crate::abi::{
    rsm_memseg_export_handle_t, rsm_memseg_id_t, rsmapi_access_entry_t, rsmapi_controller_handle_t,
    RSM_ALLOW_REBIND,
};
use crate::controller;
use crate::handle::{self, Object, Place};
use crate::poll::References;
use crate::result::{entry, fail};

const _: () = assert!(size_of::<rsmapi_access_entry_t>() == size_of::<AccessEntry>());

/// An export.
pub(crate) struct Export {
    /// Locked while it is changed.
    segment: Mutex<ExportSegment<ForeignMemory>>,
    /// To be used without the lock: a wait may take for ever.
    pub(crate) signal: Signal,
    pub(crate) references: References,
}

impl Object for Export {
    const KIND: u64 = 3;
}

impl Export {
    /// # Safety
    ///
    /// As for [`handle::get`].
    unsafe fn of<'a>(memseg: rsm_memseg_export_handle_t) -> Result<&'a Self> {
        // SAFETY: promised by the caller.
        unsafe { handle::get(memseg.cast()) }.ok_or(Status::BadSegHndl.into())
    }

    fn segment(&self) -> MutexGuard<'_, ExportSegment<ForeignMemory>> {
        self.segment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An access list that no segment takes, for it is too long.
const TOO_LONG: u32 = u32::MAX;

/// Why a segment cannot be republished, whatever the list: it is dead, or not published.
/// Changes nothing.
fn check_published(segment: &ExportSegment<ForeignMemory>) -> Result<()> {
    match segment.republish_raw(ptr::null(), TOO_LONG) {
        Err(error) if matches!(error.status(), Status::BadSegHndl | Status::SegNotPublished) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Fails if the segment is dead.
fn check_alive(segment: &ExportSegment<ForeignMemory>) -> Result<()> {
    match check_published(segment) {
        Err(error) if error.status() == Status::BadSegHndl => Err(error),
        _ => Ok(()),
    }
}

/// The caller's memory.
fn memory(address: *mut c_void, length: usize) -> Result<ForeignMemory> {
    let base = NonNull::new(address.cast()).ok_or(Status::BadAddr)?;
    // SAFETY: C has no references; that the memory may be shared is what the caller asks for.
    Ok(unsafe { ForeignMemory::new(base, length) })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_create(
    controller: rsmapi_controller_handle_t,
    memseg: *mut rsm_memseg_export_handle_t,
    vaddr: *mut c_void,
    length: usize,
    flags: c_uint,
) -> c_int {
    entry(|| {
        let controller = controller::of_handle(controller)?;
        if memseg.is_null() {
            return fail(Status::BadSegHndl);
        }
        // SAFETY: the caller passes a place for it.
        unsafe { memseg.write(ptr::null_mut()) };
        let memory = memory(vaddr, length)?;
        // The driver says so, too, but memory of our own comes in between.
        if length == 0 {
            return fail(Status::BadLength);
        }
        if (vaddr.addr() | length) % controller.page_size() != 0 {
            return fail(Status::BadMemAlignment);
        }
        let place = Place::new()?;
        let segment = ExportOptions::new()
            .allow_rebind(flags & RSM_ALLOW_REBIND != 0)
            .create(controller, memory)
            .map_err(|failure| controller::reason(controller, failure.error))?;
        let handle = place.fill(Export {
            signal: segment.signal().clone(),
            segment: Mutex::new(segment),
            references: References::none(),
        });
        // SAFETY: as above.
        unsafe { memseg.write(handle.cast()) };
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_destroy(memseg: rsm_memseg_export_handle_t) -> c_int {
    entry(|| {
        // SAFETY: destroying a handle that is in use is the caller's to avoid.
        let export = unsafe {
            if Export::of(memseg)?.references.are_there() {
                return fail(Status::PollfdInUse);
            }
            handle::remove::<Export>(memseg.cast()).ok_or(Status::BadSegHndl)?
        };
        let segment = export.segment.into_inner();
        match segment.unwrap_or_else(PoisonError::into_inner).destroy() {
            Ok(_) => Ok(()),
            // A child's copy is gone, and that is all it can do.
            Err(error) if error.status() == Status::NotCreator => Ok(()),
            Err(error) => Err(error),
        }
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_rebind(
    memseg: rsm_memseg_export_handle_t,
    vaddr: *mut c_void,
    _off: c_longlong,
    length: usize,
) -> c_int {
    entry(|| {
        if memseg.is_null() {
            return fail(Status::BadSegHndl);
        }
        let memory = memory(vaddr, length)?;
        // SAFETY: the caller does not destroy it meanwhile.
        let export = unsafe { Export::of(memseg)? };
        export.segment().rebind(memory)?;
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_publish(
    memseg: rsm_memseg_export_handle_t,
    segment_id: *mut rsm_memseg_id_t,
    access_list: *mut rsmapi_access_entry_t,
    access_list_length: c_uint,
) -> c_int {
    entry(|| {
        if segment_id.is_null() {
            return fail(Status::BadSegid);
        }
        // SAFETY: the caller does not destroy it meanwhile.
        let export = unsafe { Export::of(memseg)? };
        if access_list.is_null() && access_list_length > 0 {
            return fail(Status::BadAcl);
        }
        // SAFETY: the caller passes an id.
        let id = match unsafe { segment_id.read() } {
            0 => None,
            id => Some(SegmentId::new(id)),
        };
        let segment = export.segment();
        match segment.publish_raw(id, access_list.cast(), access_list_length) {
            Ok(id) => {
                // SAFETY: as above.
                unsafe { segment_id.write(id.get()) };
                Ok(())
            }
            // The driver looks at the arguments first.
            Err(error) => Err(check_alive(&segment).err().unwrap_or(error)),
        }
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_unpublish(memseg: rsm_memseg_export_handle_t) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let export = unsafe { Export::of(memseg)? };
        export.segment().unpublish()
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_export_republish(
    memseg: rsm_memseg_export_handle_t,
    access_list: *mut rsmapi_access_entry_t,
    access_list_length: c_uint,
) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let export = unsafe { Export::of(memseg)? };
        let segment = export.segment();
        if access_list.is_null() && access_list_length > 0 {
            check_published(&segment)?;
            return fail(Status::BadAcl);
        }
        segment.republish_raw(access_list.cast(), access_list_length)
    })
}
