// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scatter-gather, and handles of local memory.

use std::ffi::{c_char, c_int, c_ulong};
use std::slice;

use rsm::{Access, Error, GetEntry, Post, PutEntry, Result, ScatterError, Status, MAX_ENTRIES};

use crate::abi::{
    rsm_iovec_t, rsm_localmemory_handle_t, rsm_scat_gath_t, rsmapi_controller_handle_t,
    RSM_HANDLE_TYPE, RSM_IMPLICIT_SIGPOST, RSM_SIGPOST_NO_ACCUMULATE, RSM_VA_TYPE,
};
use crate::controller;
use crate::handle::{self, Object, Place};
use crate::import::Import;
use crate::result::{entry, fail};

/// Memory that entries name by a handle.
struct LocalMemory {
    base: usize,
    length: usize,
}

impl Object for LocalMemory {
    const KIND: u64 = 7;
}

/// What a request is made of, once it has been checked as a whole.
struct Request<'a> {
    import: &'a Import,
    entries: &'a [rsm_iovec_t],
    post: Option<Post>,
}

impl<'a> Request<'a> {
    /// # Safety
    ///
    /// `sg_io` must be null or a request, with as many entries as it says.
    unsafe fn of(sg_io: *mut rsm_scat_gath_t) -> Result<Self> {
        // SAFETY: promised by the caller.
        let request = *unsafe { sg_io.as_ref() }.ok_or(Status::BadSgio)?;
        // SAFETY: the caller does not disconnect it meanwhile.
        let import: &'a Import = unsafe { Import::of(request.remote_handle)? };
        let count = request.io_request_count as usize;
        if !(1..=MAX_ENTRIES).contains(&count) {
            return fail(Status::BadSgio);
        }
        if import.segment.window_kind().is_none() && !import.segment.is_live() {
            // SAFETY: promised by the caller.
            return unsafe { fail_all(sg_io, Status::ConnAborted) };
        }
        if request.iovec.is_null() {
            // SAFETY: promised by the caller.
            return unsafe { fail_all(sg_io, Status::BadAddr) };
        }
        // Without any rights there is nothing to map, and the first entry says what is wrong.
        if import.segment.window_kind().is_none() && import.segment.access() != Access::None {
            if let Err(error) = import.map_first(|_| Ok(())) {
                // SAFETY: promised by the caller.
                return unsafe { fail_all(sg_io, error) };
            }
        }
        let post = match request.flags & RSM_SIGPOST_NO_ACCUMULATE {
            0 => Post::Accumulate,
            _ => Post::NoAccumulate,
        };
        Ok(Self {
            import,
            // SAFETY: promised by the caller.
            entries: unsafe { slice::from_raw_parts(request.iovec, count) },
            post: (request.flags & RSM_IMPLICIT_SIGPOST != 0).then_some(post),
        })
    }
}

/// Where the local memory of an entry is.
fn local(entry: &rsm_iovec_t) -> Result<*mut u8> {
    // SAFETY: both are pointers.
    let (handle, vaddr) = unsafe { (entry.local.handle, entry.local.vaddr) };
    match entry.io_type as u32 {
        RSM_VA_TYPE if vaddr.is_null() => fail(Status::BadAddr),
        RSM_VA_TYPE => Ok(vaddr.cast::<u8>().wrapping_add(entry.local_offset)),
        RSM_HANDLE_TYPE => {
            // SAFETY: the caller does not free it meanwhile.
            let memory: Option<&LocalMemory> = unsafe { handle::get(handle.cast()) };
            let memory = memory.ok_or(Status::BadSgio)?;
            match entry.local_offset.checked_add(entry.transfer_length) {
                Some(end) if end <= memory.length => {
                    let start = memory.base + entry.local_offset;
                    Ok(std::ptr::with_exposed_provenance_mut(start))
                }
                _ => fail(Status::BadOffset),
            }
        }
        _ => fail(Status::BadSgio),
    }
}

/// A failure before the first entry: all are left.
///
/// # Safety
///
/// `sg_io` must be a request.
unsafe fn fail_all<T>(sg_io: *mut rsm_scat_gath_t, error: impl Into<Error>) -> Result<T> {
    // SAFETY: promised by the caller.
    unsafe { (*sg_io).io_residual_count = (*sg_io).io_request_count };
    Err(error.into())
}

/// Stores how many entries are left.
///
/// # Safety
///
/// `sg_io` must be a request.
unsafe fn conclude(sg_io: *mut rsm_scat_gath_t, result: Result<(), ScatterError>) -> Result<()> {
    let residual = result.as_ref().err().map_or(0, |failure| failure.residual);
    // SAFETY: promised by the caller.
    unsafe { (*sg_io).io_residual_count = residual as c_ulong };
    Ok(result?)
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_putv(sg_io: *mut rsm_scat_gath_t) -> c_int {
    entry(|| {
        // SAFETY: the caller passes a request, and vouches for the memory in its entries.
        unsafe {
            let request = Request::of(sg_io)?;
            let entries = request.entries.iter().map(|entry| {
                let (len, at) = (entry.transfer_length, entry.remote_offset);
                Ok(PutEntry::from_raw(local(entry)?, len, at))
            });
            conclude(
                sg_io,
                request.import.segment.putv_raw(entries, request.post),
            )
        }
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_getv(sg_io: *mut rsm_scat_gath_t) -> c_int {
    entry(|| {
        // SAFETY: as above.
        unsafe {
            let request = Request::of(sg_io)?;
            let entries = request.entries.iter().map(|entry| {
                let (len, at) = (entry.transfer_length, entry.remote_offset);
                Ok(GetEntry::from_raw(local(entry)?, len, at))
            });
            conclude(
                sg_io,
                request.import.segment.getv_raw(entries, request.post),
            )
        }
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_create_localmemory_handle(
    controller: rsmapi_controller_handle_t,
    l_handle: *mut rsm_localmemory_handle_t,
    local_vaddr: *mut c_char,
    length: usize,
) -> c_int {
    entry(|| {
        // Without the driver, which knows its unit, there is no controller either.
        let page_size = controller::driver().map_or(4096, rsm::Controller::page_size);
        if local_vaddr.is_null() || local_vaddr.addr() % page_size != 0 {
            return fail(Status::BadAddr);
        }
        controller::of_handle(controller)?;
        if l_handle.is_null() {
            return fail(Status::BadLocalmemHndl);
        }
        if length == 0 {
            return fail(Status::BadLength);
        }
        let base = local_vaddr.expose_provenance();
        if base.checked_add(length).is_none() {
            return fail(Status::BadLength);
        }
        let handle = Place::new()?.fill(LocalMemory { base, length });
        // SAFETY: the caller passes a place for it.
        unsafe { l_handle.write(handle.cast()) };
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_free_localmemory_handle(
    controller: rsmapi_controller_handle_t,
    l_handle: rsm_localmemory_handle_t,
) -> c_int {
    entry(|| {
        controller::of_handle(controller)?;
        // SAFETY: freeing a handle that is in use is the caller's to avoid.
        match unsafe { handle::remove::<LocalMemory>(l_handle.cast()) } {
            Some(_) => Ok(()),
            None => fail(Status::BadLocalmemHndl),
        }
    })
}
