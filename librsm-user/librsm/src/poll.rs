// SPDX-License-Identifier: MIT OR Apache-2.0
//! Poll descriptors, and waiting for many segments.

use std::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use rsm::Status;

use crate::abi::{nfds_t, pollfd};
use crate::chunks::Chunks;
use crate::result::{entry, fail};
use crate::signal::{patience, Segment};

const _: () = assert!(size_of::<pollfd>() == size_of::<libc::pollfd>());

/// The event of a segment.
const EVENT: i16 = libc::POLLRDNORM;

/// For each descriptor the handle of the segment that it was given out for.
static HANDLES: Chunks<AtomicU64> = Chunks::new();

/// Number of times that a segment's descriptor was given out and not released.
pub(crate) struct References {
    count: AtomicU32,
}

impl References {
    pub(crate) const fn none() -> Self {
        Self {
            count: AtomicU32::new(0),
        }
    }

    pub(crate) fn are_there(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_get_pollfd(memseg: *mut c_void, poll_fd: *mut pollfd) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let segment = unsafe { Segment::of(memseg)? };
        if poll_fd.is_null() {
            return fail(Status::BadAddr);
        }
        let fd = segment.signal.as_raw_fd();
        let handle = HANDLES
            .get_or_make(fd as usize)
            .ok_or(Status::InsufficientMem)?;
        handle.store(memseg.addr() as u64, Ordering::Relaxed);
        segment.references.count.fetch_add(1, Ordering::AcqRel);
        // SAFETY: the caller passes a place for them.
        unsafe {
            (*poll_fd).fd = fd;
            (*poll_fd).events = EVENT;
        }
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn rsm_memseg_release_pollfd(memseg: *mut c_void) -> c_int {
    entry(|| {
        // SAFETY: the caller does not destroy it meanwhile.
        let count = unsafe { &Segment::of(memseg)?.references.count };
        let less = |count: u32| count.checked_sub(1);
        // One that was never given out is no mistake.
        let _ = count.fetch_update(Ordering::AcqRel, Ordering::Relaxed, less);
        Ok(())
    })
}

/// The segment that a descriptor was given out for, if it is not released.
///
/// # Safety
///
/// As for [`Segment::of`].
unsafe fn segment_of<'a>(fd: c_int) -> Option<Segment<'a>> {
    let handle = HANDLES.get(fd.try_into().ok()?)?.load(Ordering::Relaxed);
    // SAFETY: promised by the caller.
    let segment = unsafe { Segment::of(ptr::without_provenance(handle as usize)) }.ok()?;
    // The number may be another segment's by now.
    (segment.references.are_there() && segment.signal.as_raw_fd() == fd).then_some(segment)
}

#[no_mangle]
pub unsafe extern "C" fn rsm_intr_signal_wait_pollfd(
    fds: *mut pollfd,
    nfds: nfds_t,
    timeout: c_int,
    numfdsp: *mut c_int,
) -> c_int {
    entry(|| {
        // SAFETY: the caller passes a place for it, or none.
        let set = |number: c_int| unsafe {
            if !numfdsp.is_null() {
                numfdsp.write(number);
            }
        };
        set(0);
        let started = Instant::now();
        let time = patience(timeout);
        let mut left = timeout;
        loop {
            // SAFETY: poll() says so if they cannot be accessed.
            if unsafe { libc::poll(fds.cast(), nfds, left) } < 0 {
                return fail(failed_poll(Errno::last()));
            }
            // SAFETY: poll() has accepted them.
            let number = unsafe { take_events(fds, nfds as usize) };
            if number > 0 {
                set(number);
                return Ok(());
            }
            // Time is up, or somebody else was faster.
            left = match time {
                None => -1,
                Some(time) => match time.saturating_sub(started.elapsed()) {
                    Duration::ZERO => return fail(Status::Timeout),
                    rest => rest.as_nanos().div_ceil(1_000_000) as c_int,
                },
            };
        }
    })
}

/// Takes an event for each entry that has nothing but one of a segment's, and clears those
/// whose event is gone. Returns how many entries have something.
///
/// # Safety
///
/// There must be that many.
unsafe fn take_events(fds: *mut pollfd, nfds: usize) -> c_int {
    let mut number = 0;
    for place in 0..nfds {
        // SAFETY: promised by the caller.
        let entry = unsafe { &mut *fds.add(place) };
        if entry.revents == EVENT {
            // SAFETY: the caller of the function does not destroy it meanwhile.
            if let Some(segment) = unsafe { segment_of(entry.fd) } {
                if !segment.signal.try_wait().unwrap_or(false) {
                    entry.revents = 0;
                }
            }
        }
        number += c_int::from(entry.revents != 0);
    }
    number
}

fn failed_poll(errno: Errno) -> Status {
    match errno {
        Errno::EAGAIN => Status::InsufficientResources,
        Errno::ENOMEM => Status::InsufficientMem,
        Errno::EFAULT => Status::BadAddr,
        Errno::EINTR => Status::Interrupted,
        _ => Status::BadArgsErrors,
    }
}
