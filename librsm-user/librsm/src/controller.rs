// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controllers: there is one, so a handle is nothing but the number of times that it was
//! made anew.
//!
//! The driver is opened when it is first needed, and stays open: a process that
//! releases its controller and gets it again has the same descriptor. It belongs to the IPC
//! namespace that the process was in when it was opened.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::os::fd::AsFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rsm::{Controller, Error, Result, Status};

use crate::abi::{rsmapi_controller_attr_t, rsmapi_controller_handle_t};
use crate::handle::{self, CONTROLLER};
use crate::result::{entry, fail};
use crate::room::Room;

/// The open driver, or null.
static DRIVER: AtomicPtr<Controller> = AtomicPtr::new(ptr::null_mut());

/// The driver, opened if it is not.
pub(crate) fn driver() -> Result<&'static Controller> {
    let mut driver = DRIVER.load(Ordering::Acquire);
    if driver.is_null() {
        let room = Room::new()?;
        let new = Box::into_raw(room.fill(Controller::open()?));
        let old = ptr::null_mut();
        driver = match DRIVER.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: made above, and not published.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
    }
    // SAFETY: a box that is never freed.
    Ok(unsafe { &*driver })
}

/// References to the controller; above 32 bits the number of times that there were none
/// before.
static REFERENCES: AtomicU64 = AtomicU64::new(0);

const fn count(references: u64) -> u32 {
    references as u32
}

const fn generation(references: u64) -> u64 {
    references >> 32
}

/// One reference more. Returns what there are now; `None` if there are too many.
fn one_more() -> Option<u64> {
    let more = |old| match count(old) {
        0 => Some(((generation(old) + 1) << 32) | 1),
        u32::MAX => None,
        _ => Some(old + 1),
    };
    let old = REFERENCES.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more);
    old.ok().and_then(more)
}

/// The generation in a handle, if it is one of a controller, be it released or not.
fn generation_in(controller: rsmapi_controller_handle_t) -> Option<u64> {
    let latest = generation(REFERENCES.load(Ordering::Acquire));
    handle::generation(controller.cast(), CONTROLLER)
        .filter(|generation| (1..=latest).contains(generation))
}

/// Is there a reference to this controller?
fn is_held(controller: rsmapi_controller_handle_t) -> bool {
    let references = REFERENCES.load(Ordering::Acquire);
    count(references) > 0 && generation_in(controller) == Some(generation(references))
}

/// The driver of the controller with this handle.
pub(crate) fn of_handle(controller: rsmapi_controller_handle_t) -> Result<&'static Controller> {
    if is_held(controller) {
        driver()
    } else {
        fail(Status::BadCtlrHndl)
    }
}

/// Why making a segment has failed. That there is no descriptor comes before what is found out
/// about memory and publications, of which the driver speaks first.
pub(crate) fn reason(controller: &Controller, error: Error) -> Error {
    let comes_later = matches!(
        error.status(),
        Status::BadAddr
            | Status::PermDenied
            | Status::InsufficientMem
            | Status::CtlrNotPresent
            | Status::SegNotPublished
            | Status::SegNotPublishedToNode
    );
    if comes_later && controller.as_fd().try_clone_to_owned().is_err() {
        return Error::Rsm(Status::InsufficientResources);
    }
    error
}

#[no_mangle]
pub unsafe extern "C" fn rsm_get_controller(
    name: *mut c_char,
    controller: *mut rsmapi_controller_handle_t,
) -> c_int {
    entry(|| {
        if controller.is_null() {
            return fail(Status::BadCtlrHndl);
        }
        // SAFETY: the caller passes a string.
        let is_known = name.is_null() || unsafe { is_name(name) };
        if !is_known {
            return fail(Status::CtlrNotPresent);
        }
        driver()?;
        let Some(references) = one_more() else {
            return fail(Status::InsufficientResources);
        };
        let handle: *mut c_void = handle::compose(CONTROLLER, 0, generation(references));
        // SAFETY: the caller passes a place for it.
        unsafe { controller.write(handle.cast()) };
        Ok(())
    })
}

/// # Safety
///
/// `name` must be a string.
unsafe fn is_name(name: *const c_char) -> bool {
    // SAFETY: promised by the caller.
    let name = unsafe { CStr::from_ptr(name) };
    name.to_str().is_ok_and(Controller::is_name)
}

#[no_mangle]
pub unsafe extern "C" fn rsm_get_controller_attr(
    controller: rsmapi_controller_handle_t,
    attr: *mut rsmapi_controller_attr_t,
) -> c_int {
    entry(|| {
        if generation_in(controller).is_none() {
            return fail(Status::BadCtlrHndl);
        }
        if attr.is_null() {
            return fail(Status::BadAddr);
        }
        if !is_held(controller) {
            return fail(Status::CtlrNotPresent);
        }
        let attributes = driver()?.attributes()?;
        // Without a limit: unspecified.
        let limit = |value: Option<u64>| value.unwrap_or(0);
        let attributes = rsmapi_controller_attr_t {
            attr_direct_access_sizes: attributes.direct_access_sizes.bits(),
            attr_atomic_sizes: attributes.atomic_sizes.bits(),
            attr_page_size: attributes.page_size as usize,
            attr_max_export_segment_size: limit(attributes.max_export_segment_size) as usize,
            attr_tot_export_segment_size: limit(attributes.total_export_segment_size) as usize,
            attr_max_export_segments: limit(attributes.max_export_segments),
            attr_max_import_map_size: limit(attributes.max_import_map_size) as usize,
            attr_tot_import_map_size: limit(attributes.total_import_map_size) as usize,
            attr_max_import_segments: limit(attributes.max_import_segments),
        };
        // SAFETY: the caller passes a place for them.
        unsafe { attr.write(attributes) };
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_release_controller(controller: rsmapi_controller_handle_t) -> c_int {
    entry(|| {
        let wanted = handle::generation(controller.cast(), CONTROLLER);
        let less = |old| (count(old) > 0 && wanted == Some(generation(old))).then(|| old - 1);
        match REFERENCES.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less) {
            Ok(_) => Ok(()),
            Err(_) => fail(Status::BadCtlrHndl),
        }
    })
}
