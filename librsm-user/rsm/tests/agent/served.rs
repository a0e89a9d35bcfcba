// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory whose page faults user space serves (userfaultfd), slowly or never, while a segment is
//! made of it.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::backing::{memfd, shared_file};
use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{asleep_in, spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::common::wait_until;
use crate::{Pair, OLD};

/// Serves the faults of a mapping.
pub struct Server {
    fd: OwnedFd,
}

impl Server {
    const API: u64 = 0xc018_aa3f;
    const REGISTER: u64 = 0xc020_aa00;
    const ZEROPAGE: u64 = 0xc020_aa04;
    const MODE_MISSING: u64 = 1 << 0;

    pub fn of(map: &Map) -> Self {
        // SAFETY: makes a descriptor of ours.
        let fd = unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            assert!(fd >= 0, "userfaultfd: {}", Errno::last());
            OwnedFd::from_raw_fd(fd as i32)
        };
        let server = Self { fd };
        // `struct uffdio_api`, `uffdio_register`: start, length, mode, what can be done.
        server.call(Self::API, &mut [0xaa, 0, 0]);
        let (start, len) = (map.addr(), map.len as u64);
        server.call(Self::REGISTER, &mut [start, len, Self::MODE_MISSING, 0]);
        server
    }

    /// Waits until somebody waits for a page.
    pub fn await_fault(&self) {
        // `struct uffd_msg`.
        let mut message = [0; 32];
        let read = nix::unistd::read(&self.fd, &mut message);
        assert_eq!(read, Ok(message.len()), "userfaultfd");
    }

    /// Gives one page, of zeroes.
    pub fn serve(&self, addr: u64) {
        // `struct uffdio_zeropage`: start, length, mode, how much was done.
        self.call(Self::ZEROPAGE, &mut [addr, PAGE as u64, 0, 0]);
    }

    fn call<const N: usize>(&self, request: u64, argument: &mut [u64; N]) {
        let argument = argument.as_mut_ptr().cast::<c_void>();
        // SAFETY: the structure that belongs to the request.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, argument) };
        assert_eq!(result, 0, "userfaultfd {request:#x}: {}", Errno::last());
    }
}

const PAGES: usize = 4;

fn anonymous() -> Map {
    Map::anonymous(PAGES * PAGE)
}

fn file() -> Map {
    shared_file(&memfd(PAGES * PAGE))
}

/// Does what an exporter does that nobody waits for.
fn assert_others_go_on() {
    let pair = Pair::new(1);
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.assert_zero();
}

/// Who waits for a page that never comes can be killed, and leaves nothing.
#[test]
fn never() {
    for memory in [anonymous, file] {
        for rebinds in [false, true] {
            let books = Books::open();
            let steps = Steps::new();
            let process = spawn(|| {
                let map = memory();
                let _server = Server::of(&map);
                let (addr, len) = (map.addr(), map.len as u64);
                if rebinds {
                    let pair = Pair::with(anonymous(), RSM_EXPORT_ALLOW_REBIND, 0);
                    steps.reach(0);
                    let _ = raw::rebind(&pair.export, addr, len);
                } else {
                    let controller = raw::controller();
                    steps.reach(0);
                    let _ = raw::create(&controller, addr, len);
                }
                unreachable!("the pages have come");
            });
            process.await_step(&steps, 0);
            let pid = process.pid;
            wait_until("it waits", 150, || asleep_in(pid, libc::SYS_ioctl));
            assert_others_go_on();
            assert!(!process.has_ended());
            process.kill();
            books.balance();
        }
    }
}

/// One page after the other, each when the exporter is waiting for it.
#[test]
fn slowly() {
    for memory in [anonymous, file] {
        let books = Books::open();
        let map = memory();
        let server = Server::of(&map);
        let controller = raw::controller();
        let (addr, len) = (map.addr(), map.len as u64);
        let export = std::thread::scope(|scope| {
            let exporter = scope.spawn(|| raw::create(&controller, addr, len));
            for page in 0..PAGES as u64 {
                assert_others_go_on();
                assert!(!exporter.is_finished(), "page {page} has not come");
                server.serve(addr + page * PAGE as u64);
            }
            exporter.join().expect("no panic")
        });
        let export = export.expect("create");
        map.assert_zero();
        raw::publish(&export, 0, &[]).expect("publish");
        drop((export, controller, server, map));
        books.balance();
    }
}
