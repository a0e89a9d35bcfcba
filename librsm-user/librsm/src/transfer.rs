// SPDX-License-Identifier: MIT OR Apache-2.0
//! Put and get. Once there is a mapping they find the handle's slot, compare, copy, and in
//! implicit mode read the connection's slot: no lock, no system call. The first one makes the
//! mapping beforehand, under the import's lock.

use std::ffi::{c_int, c_ulong, c_void};
use std::sync::atomic::Ordering;

use nix::libc::off_t;
use rsm::{Access, BarrierMode, Element, ImportSegment, Result, Status};

use crate::abi::rsm_memseg_import_handle_t;
use crate::import::Import;
use crate::result::{code, fail};

/// The import, mapped, if everything is good that is known before the segment is looked at.
///
/// # Safety
///
/// As for [`Import::of`].
#[inline(always)]
unsafe fn checked<'a, T: Element>(
    im_memseg: rsm_memseg_import_handle_t,
    offset: usize,
    data: *const T,
    count: usize,
    access: Access,
) -> Result<&'a Import> {
    if im_memseg.is_null() {
        return fail(Status::BadSegHndl);
    }
    if data.is_null() {
        return fail(Status::BadAddr);
    }
    if (offset | data.addr()) % size_of::<T>() != 0 {
        return fail(Status::BadMemAlignment);
    }
    // SAFETY: promised by the caller.
    let import = unsafe { Import::of(im_memseg)? };
    if import.barrier.load(Ordering::Relaxed).is_null() {
        check_mode(import, offset, count.saturating_mul(size_of::<T>()), access)?;
    }
    if import.segment.window_kind().is_none() {
        let len = count.saturating_mul(size_of::<T>());
        import.map_first(|segment| segment.check_transfer(access, offset, len))?;
    }
    Ok(import)
}

/// In implicit mode a transfer needs a barrier, and says so when nothing else is wrong.
#[cold]
fn check_mode(import: &Import, offset: usize, len: usize, access: Access) -> Result<()> {
    if import.segment.mode() == BarrierMode::Explicit {
        return Ok(());
    }
    import.segment.check_transfer(access, offset, len)?;
    fail(Status::BarrierUninitialized)
}

/// # Safety
///
/// `from` must be valid for reads of that many elements, and `put` a put of the crate.
#[inline(always)]
unsafe fn put<T: Element>(
    im_memseg: rsm_memseg_import_handle_t,
    offset: off_t,
    from: *const T,
    count: usize,
    put: unsafe fn(&ImportSegment, usize, *const T, usize) -> Result<()>,
) -> c_int {
    // A negative one is beyond the end of any segment.
    let offset = offset as usize;
    let work = || {
        // SAFETY: the caller does not disconnect it meanwhile, and vouches for `from`.
        unsafe {
            let import = checked(im_memseg, offset, from, count, Access::Write)?;
            put(&import.segment, offset, from, count)
        }
    };
    code(work())
}

/// # Safety
///
/// `into` must be valid for writes of that many elements, and `get` a get of the crate.
#[inline(always)]
unsafe fn get<T: Element>(
    im_memseg: rsm_memseg_import_handle_t,
    offset: off_t,
    into: *mut T,
    count: usize,
    get: unsafe fn(&ImportSegment, usize, *mut T, usize) -> Result<()>,
) -> c_int {
    let offset = offset as usize;
    let work = || {
        // SAFETY: the caller does not disconnect it meanwhile, and vouches for `into`.
        unsafe {
            let import = checked(im_memseg, offset, into, count, Access::Read)?;
            get(&import.segment, offset, into, count)
        }
    };
    code(work())
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_put(
    im_memseg: rsm_memseg_import_handle_t,
    offset: off_t,
    src_addr: *mut c_void,
    length: usize,
) -> c_int {
    // SAFETY: the caller's memory.
    unsafe {
        put(
            im_memseg,
            offset,
            src_addr.cast_const().cast(),
            length,
            ImportSegment::put_bytes,
        )
    }
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_import_get(
    im_memseg: rsm_memseg_import_handle_t,
    offset: off_t,
    dst_addr: *mut c_void,
    length: usize,
) -> c_int {
    // SAFETY: the caller's memory.
    unsafe {
        get(
            im_memseg,
            offset,
            dst_addr.cast(),
            length,
            ImportSegment::get_bytes,
        )
    }
}

macro_rules! sized {
    ($($put:ident $get:ident $type:ident;)*) => {$(
        #[no_mangle]
        pub unsafe extern "C" fn $put(
            im_memseg: rsm_memseg_import_handle_t,
            offset: off_t,
            datap: *mut $type,
            rep_cnt: c_ulong,
        ) -> c_int {
            // SAFETY: the caller's memory.
            unsafe { put(im_memseg, offset, datap.cast_const(), rep_cnt as usize, ImportSegment::put_raw) }
        }

        #[no_mangle]
        pub unsafe extern "C" fn $get(
            im_memseg: rsm_memseg_import_handle_t,
            offset: off_t,
            datap: *mut $type,
            rep_cnt: c_ulong,
        ) -> c_int {
            // SAFETY: the caller's memory.
            unsafe { get(im_memseg, offset, datap, rep_cnt as usize, ImportSegment::get_raw) }
        }
    )*};
}

sized! {
    rsm_memseg_import_put8 rsm_memseg_import_get8 u8;
    rsm_memseg_import_put16 rsm_memseg_import_get16 u16;
    rsm_memseg_import_put32 rsm_memseg_import_get32 u32;
    rsm_memseg_import_put64 rsm_memseg_import_get64 u64;
}
