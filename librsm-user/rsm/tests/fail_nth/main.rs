// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call on the module with its first, second, … last allocation or user copy failing.
//!
//! After each failure everything is as it was before the call, and the same call works. What
//! gives something back does not fail for want of memory.
//!
//! Only the debug kernel lets things fail on request.

#[path = "../common/mod.rs"]
mod common;

mod accounts;
mod controller;
mod events;
mod export;
mod faults;
mod giving_back;
mod import;
mod injection;
mod load;
mod looking;
mod mapping;
mod process;
mod state;
mod sweep;

use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use common::memory::{Map, READ, WRITE};
use common::raw::{self, Connection, Failure};

/// Passes a test at once on a kernel that cannot let things fail.
fn skipped() -> bool {
    let skipped = !common::debug_kernel();
    if skipped {
        println!("skipped: not the debug kernel");
    }
    skipped
}

/// Connects for reading and writing with one command, where [`raw::connect`] takes two.
fn connect(controller: &File, node: u32, id: u32) -> Result<Connection, Failure> {
    let mut argument = rsm_import_connect {
        node,
        segment_id: id,
        perm: RSM_PERM_READ | RSM_PERM_WRITE,
        fd: -1,
        ..Default::default()
    };
    raw::run(controller, &mut argument)?;
    Ok(Connection {
        // SAFETY: the kernel has just made it for us.
        fd: unsafe { OwnedFd::from_raw_fd(argument.fd) },
        length: argument.length,
        generation: argument.generation,
        slot: argument.status_slot,
    })
}

/// Places far from everything else, where not even a page table is.
const APART: [usize; 2] = [0x0100_0000_0000, 0x0200_0000_0000];

/// Maps all of a descriptor at a place [`APART`].
fn map_apart(fd: RawFd, len: usize, protection: i32) -> Result<Map, Errno> {
    let flags = libc::MAP_SHARED | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a new mapping where there is none.
    let base = unsafe { libc::mmap(APART[0] as *mut _, len, protection, flags, fd, 0) };
    match base {
        libc::MAP_FAILED => Err(Errno::last()),
        // SAFETY: just made.
        base => Ok(unsafe { Map::adopt(base.cast(), len) }),
    }
}

/// A window on all of a segment at a place [`APART`].
#[track_caller]
fn window_apart(import: &Connection) -> Map {
    use std::os::fd::AsRawFd;
    let len = import.length as usize;
    map_apart(import.as_raw_fd(), len, READ | WRITE).expect("map")
}

/// Runs a system call that returns 0, or -1 and an error.
fn check(result: i32) -> Result<(), Errno> {
    Errno::result(result).map(drop)
}
