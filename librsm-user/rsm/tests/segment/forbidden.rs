// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an importer's mapping cannot do, so that taking it back is complete: nobody gets a
//! reference to its pages.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::uio::{process_vm_readv, process_vm_writev, RemoteIoVec};
use nix::sys::wait::waitpid;
use nix::unistd::{getpid, pipe};

use crate::common::books::Books;
use crate::common::process::{spawn, Steps};
use crate::common::raw::{self, failure, PAGE};
use crate::{Pair, NEW, OLD};

/// Runs `part` on a live mapping and on a revoked one.
fn live_and_revoked(part: impl Fn(&Pair, &str)) {
    let books = Books::open();
    let pair = Pair::new(4);
    pair.window.assert_marked(OLD, 0);
    part(&pair, "live");
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.assert_zero();
    part(&pair, "revoked");
    pair.memory.assert_marked(NEW, 0);
    drop(pair);
    books.balance();
}

#[test]
fn process_shared_futexes() {
    live_and_revoked(|pair, state| {
        let word = pair.window.at(64);
        let futex = |operation: i32| {
            // SAFETY: a futex call on our own mapping, with a time-out.
            let result = unsafe {
                let soon = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 1_000_000,
                };
                libc::syscall(
                    libc::SYS_futex,
                    word,
                    operation,
                    0,
                    &raw const soon,
                    ptr::null::<u32>(),
                    0,
                )
            };
            Errno::result(result)
        };
        for operation in [libc::FUTEX_WAIT, libc::FUTEX_WAKE] {
            assert_eq!(
                futex(operation),
                Err(Errno::EFAULT),
                "{state}: futex {operation}"
            );
        }
    });
}

#[test]
fn exporting_it_again() {
    live_and_revoked(|pair, state| {
        let seen = raw::create(&pair.controller, pair.window.addr(), PAGE as u64).map(drop);
        let expected = failure(Errno::EFAULT, rsm_sys::RSM_STATUS_BAD_ADDR);
        assert_eq!(seen, Err(expected), "{state}");
    });
}

#[test]
fn vmsplice_into_a_pipe() {
    live_and_revoked(|pair, state| {
        let (_out, into) = pipe().expect("pipe");
        let part = libc::iovec {
            iov_base: pair.window.at(0).cast(),
            iov_len: PAGE,
        };
        // SAFETY: reads our own mapping.
        let result = unsafe { libc::vmsplice(into.as_raw_fd(), &part, 1, 0) };
        assert_eq!(Errno::result(result), Err(Errno::EFAULT), "{state}");
    });
}

/// Registered buffers are pinned for as long as the ring lives, as for O_DIRECT or RDMA.
#[test]
fn io_uring_buffers() {
    live_and_revoked(|pair, state| {
        const REGISTER_BUFFERS: u32 = 0;
        let mut parameters = [0u32; 30];
        // SAFETY: the kernel fills in the parameters.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
        assert!(ring >= 0, "io_uring_setup: {}", Errno::last());
        let ring = ring as i32;
        let part = libc::iovec {
            iov_base: pair.window.at(0).cast(),
            iov_len: PAGE,
        };
        // SAFETY: the ring is not used for anything else.
        let result = unsafe {
            let result = libc::syscall(
                libc::SYS_io_uring_register,
                ring,
                REGISTER_BUFFERS,
                &part,
                1,
            );
            let errno = Errno::result(result);
            libc::close(ring);
            errno
        };
        assert_eq!(result, Err(Errno::EFAULT), "{state}");
    });
}

#[test]
fn reading_and_writing_from_another_process() {
    live_and_revoked(|pair, state| {
        let owner = getpid();
        let remote = || {
            [RemoteIoVec {
                base: pair.window.at(0) as usize,
                len: 8,
            }]
        };
        let child = spawn(|| {
            let mut bytes = [0; 8];
            let read = process_vm_readv(owner, &mut [IoSliceMut::new(&mut bytes)], &remote());
            assert_eq!(read, Err(Errno::EFAULT), "{state}: process_vm_readv");
            let written = process_vm_writev(owner, &[IoSlice::new(&bytes)], &remote());
            assert_eq!(written, Err(Errno::EFAULT), "{state}: process_vm_writev");
        });
        child.join();
    });
}

#[test]
fn proc_mem() {
    live_and_revoked(|pair, state| {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/proc/self/mem")
            .expect("mem");
        let mut bytes = [0; 8];
        let read = file.read_at(&mut bytes, pair.window.addr());
        assert!(read.is_err(), "{state}: read {read:?} {bytes:x?}");
        let written = file.write_at(&[0xff; 8], pair.window.addr());
        assert!(written.is_err(), "{state}: wrote {written:?}");
    });
}

#[test]
fn debuggers() {
    live_and_revoked(|pair, state| {
        let steps = Steps::new();
        let child = spawn(|| {
            // Touched here too, so that there is something to see.
            pair.window.touch(0);
            steps.reach(0);
            steps.await_step(1);
        });
        steps.await_step(0);
        ptrace::attach(child.pid).expect("attach");
        waitpid(child.pid, None).expect("wait");
        let peeked = ptrace::read(child.pid, pair.window.at(0).cast());
        assert_eq!(peeked, Err(Errno::EIO), "{state}: peek");
        let poked = ptrace::write(child.pid, pair.window.at(0).cast(), 1);
        assert_eq!(poked, Err(Errno::EIO), "{state}: poke");
        ptrace::detach(child.pid, None::<Signal>).expect("detach");
        steps.reach(1);
        child.join();
    });
}
