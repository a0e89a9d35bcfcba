// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much memory may a user still lock?
//!
//! The kernel charges pinned memory to the user (`user_struct.locked_vm`) and
//! shows the charge nowhere. io_uring takes from the same account, so the
//! largest buffer that an ordinary process of the user can register tells how
//! much is left: all of its limit, unless somebody kept a charge.

use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult};

/// The users that our tests run as.
pub const USERS: &[u32] = &[0, 1000, 1001, 1002, 65534];

/// The limit that the probe gives itself, in pages; fits an exit status.
const LIMIT: usize = 200;
const PAGE: usize = 4096;

/// Exit status of a probe on a kernel without io_uring.
const UNKNOWN: i32 = 255;

/// Pages that a process of this user can lock; `None` if it cannot be found out.
pub fn available(user: u32) -> Option<i64> {
    // SAFETY: process 1 has one thread, so the child may do whatever it likes.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let pages = probe(user).map_or(UNKNOWN, |pages| pages as i32);
            // SAFETY: _exit only ends the child; nothing of process 1's is run twice.
            unsafe { libc::_exit(pages) }
        }
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(WaitStatus::Exited(_, pages)) if pages != UNKNOWN => Some(pages.into()),
            _ => None,
        },
        Err(_) => None,
    }
}

/// Becomes the user, without privileges, and finds the largest buffer.
fn probe(user: u32) -> Option<usize> {
    become_user(user)?;
    let ring = io_uring()?;
    // SAFETY: a new private mapping; nothing else knows its address.
    let buffer = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            LIMIT * PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if buffer == libc::MAP_FAILED {
        return None;
    }
    // A huge page would be charged whole.
    // SAFETY: `buffer` is the mapping made above.
    unsafe { libc::madvise(buffer, LIMIT * PAGE, libc::MADV_NOHUGEPAGE) };
    // The ring itself may be charged too: that shifts both measurements alike.
    let limit = libc::rlimit {
        rlim_cur: (LIMIT * PAGE) as u64,
        rlim_max: (LIMIT * PAGE) as u64,
    };
    // SAFETY: `limit` is a valid structure for the call's duration.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) } != 0 {
        return None;
    }
    let (mut fits, mut too_large) = (0, LIMIT + 1);
    while too_large - fits > 1 {
        let pages = (fits + too_large) / 2;
        match can_register(ring, buffer, pages)? {
            true => fits = pages,
            false => too_large = pages,
        }
    }
    Some(fits)
}

/// Gives up every privilege for good. Capabilities would lift the limit.
fn become_user(user: u32) -> Option<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let no_capabilities = [0u32; 6];
    // SAFETY: plain system calls; capset reads the two structures, which have
    // the sizes that version 3 of its interface demands. No libc wrapper is
    // used for the ids because it would try to reach other threads.
    unsafe {
        let done = libc::syscall(libc::SYS_setresgid, user, user, user) == 0
            && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
            && libc::syscall(libc::SYS_capset, &header, no_capabilities.as_ptr()) == 0;
        done.then_some(())
    }
}

fn io_uring() -> Option<i64> {
    let mut parameters = [0u8; 120];
    // SAFETY: struct io_uring_params has 120 bytes, all of which may be zero.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    (ring >= 0).then_some(ring)
}

/// Registers a buffer of so many pages and takes it back. `None` on a failure
/// that says nothing about the limit.
fn can_register(ring: i64, buffer: *mut libc::c_void, pages: usize) -> Option<bool> {
    const REGISTER_BUFFERS: u32 = 0;
    const UNREGISTER_BUFFERS: u32 = 1;
    let vector = libc::iovec {
        iov_base: buffer,
        iov_len: pages * PAGE,
    };
    // SAFETY: `vector` describes at most LIMIT pages of the mapping `buffer`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            REGISTER_BUFFERS,
            &vector,
            1,
        )
    };
    if result == 0 {
        // SAFETY: takes no pointer.
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, UNREGISTER_BUFFERS, 0, 0) };
        return Some(true);
    }
    match nix::errno::Errno::last() {
        nix::errno::Errno::ENOMEM => Some(false),
        _ => None,
    }
}
