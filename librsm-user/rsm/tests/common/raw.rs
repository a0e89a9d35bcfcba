// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commands as system calls, without the library's help.

use std::ffi::c_void;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

pub const PAGE: usize = 4096;

/// What a failed command says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    pub errno: Errno,
    /// The `status` member; [`UNTOUCHED`] if the kernel has not stored one.
    pub status: u32,
}

/// A value for `status` that no command stores.
pub const UNTOUCHED: u32 = 0xDEAD_BEEF;

pub const fn failure(errno: Errno, status: rsm_status) -> Failure {
    Failure { errno, status }
}

/// `_IOC(direction, RSM_IOC_MAGIC, number, size)`.
pub const fn ioc(direction: u32, magic: u32, number: u32, size: usize) -> u64 {
    ((direction << 30) | ((size as u32) << 16) | (magic << 8) | number) as u64
}

/// `_IOWR(RSM_IOC_MAGIC, number, size)`.
pub const fn command(number: u32, size: usize) -> u64 {
    ioc(3, RSM_IOC_MAGIC, number, size)
}

/// A bare `ioctl(2)`.
pub fn ioctl(fd: RawFd, command: u64, argument: *mut c_void) -> Result<(), Errno> {
    // SAFETY: the kernel checks the argument; tests pass bad ones on purpose.
    let result = unsafe { libc::ioctl(fd, command, argument) };
    match result {
        0 => Ok(()),
        -1 => Err(Errno::last()),
        other => panic!("ioctl {command:#x} returned {other}"),
    }
}

/// A structure with a command number.
pub trait Command: Copy {
    const NUMBER: u32;
    fn size(&mut self) -> &mut u32;
    fn status(&mut self) -> &mut u32;
}

macro_rules! commands {
    ($($type:ident $number:ident;)*) => {$(
        impl Command for $type {
            const NUMBER: u32 = $number;
            fn size(&mut self) -> &mut u32 {
                &mut self.size
            }
            fn status(&mut self) -> &mut u32 {
                &mut self.status
            }
        }
    )*};
}

commands! {
    rsm_query RSM_CMD_QUERY;
    rsm_attributes RSM_CMD_ATTRIBUTES;
    rsm_topology RSM_CMD_TOPOLOGY;
    rsm_export_create RSM_CMD_EXPORT_CREATE;
    rsm_export_publish RSM_CMD_EXPORT_PUBLISH;
    rsm_export_destroy RSM_CMD_EXPORT_DESTROY;
    rsm_export_unpublish RSM_CMD_EXPORT_UNPUBLISH;
    rsm_export_republish RSM_CMD_EXPORT_REPUBLISH;
    rsm_export_rebind RSM_CMD_EXPORT_REBIND;
    rsm_import_connect RSM_CMD_IMPORT_CONNECT;
    rsm_import_prefault RSM_CMD_IMPORT_PREFAULT;
    rsm_event_post RSM_CMD_EVENT_POST;
    rsm_event_wait RSM_CMD_EVENT_WAIT;
}

/// Runs a well-formed command. On failure nothing but `status` may have changed.
#[track_caller]
pub fn run<C: Command + PartialEq + std::fmt::Debug>(
    fd: &impl AsRawFd,
    argument: &mut C,
) -> Result<(), Failure> {
    *argument.size() = size_of::<C>() as u32;
    *argument.status() = UNTOUCHED;
    let before = *argument;
    let number = command(C::NUMBER, size_of::<C>());
    match ioctl(fd.as_raw_fd(), number, (&raw mut *argument).cast()) {
        Ok(()) => {
            assert_eq!(
                *argument.status(),
                RSM_STATUS_SUCCESS,
                "status of a success"
            );
            Ok(())
        }
        Err(errno) => {
            let status = *argument.status();
            let mut expected = before;
            *expected.status() = status;
            assert_eq!(
                *argument, expected,
                "a failed command changed its structure"
            );
            Err(Failure { errno, status })
        }
    }
}

#[track_caller]
pub fn controller() -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open("/dev/rsm")
        .expect("cannot open /dev/rsm")
}

pub fn local_node(controller: &File) -> u32 {
    let mut query = rsm_query::default();
    run(controller, &mut query).expect("query");
    query.local_node
}

fn descriptor(fd: i32) -> OwnedFd {
    assert!(fd >= 0, "descriptor {fd} from a successful command");
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

pub fn attributes(controller: &File) -> rsm_attributes {
    let mut attributes = rsm_attributes::default();
    run(controller, &mut attributes).expect("attributes");
    attributes
}

pub fn topology(controller: &File) -> rsm_topology {
    let mut topology = rsm_topology::default();
    run(controller, &mut topology).expect("topology");
    topology
}

#[track_caller]
pub fn create(controller: &File, addr: u64, length: u64) -> Result<OwnedFd, Failure> {
    create_with(controller, addr, length, 0)
}

#[track_caller]
pub fn create_with(
    controller: &File,
    addr: u64,
    length: u64,
    flags: u32,
) -> Result<OwnedFd, Failure> {
    let mut argument = rsm_export_create {
        addr,
        length,
        flags,
        fd: -1,
        ..Default::default()
    };
    run(controller, &mut argument)?;
    Ok(descriptor(argument.fd))
}

pub fn publish(segment: &OwnedFd, id: u32, acl: &[rsm_access_entry]) -> Result<u32, Failure> {
    let mut argument = rsm_export_publish {
        segment_id: id,
        acl: acl.as_ptr() as u64,
        acl_len: acl.len() as u32,
        ..Default::default()
    };
    run(segment, &mut argument)?;
    Ok(argument.segment_id)
}

/// Publishes to the local node under an id of the kernel's choice.
pub fn publish_mode(controller: &File, segment: &OwnedFd, perm: u32) -> Result<u32, Failure> {
    let node = local_node(controller);
    publish(segment, 0, &[rsm_access_entry { node, perm }])
}

pub fn destroy(segment: &OwnedFd) -> Result<(), Failure> {
    run(segment, &mut rsm_export_destroy::default())
}

#[track_caller]
pub fn unpublish(segment: &OwnedFd) -> Result<(), Failure> {
    run(segment, &mut rsm_export_unpublish::default())
}

#[track_caller]
pub fn republish(segment: &OwnedFd, acl: &[rsm_access_entry]) -> Result<(), Failure> {
    let mut argument = rsm_export_republish {
        acl: acl.as_ptr() as u64,
        acl_len: acl.len() as u32,
        ..Default::default()
    };
    run(segment, &mut argument)
}

/// Replaces the access list by one of a mode for the local node.
#[track_caller]
pub fn republish_mode(controller: &File, segment: &OwnedFd, perm: u32) -> Result<(), Failure> {
    let node = local_node(controller);
    republish(segment, &[rsm_access_entry { node, perm }])
}

#[track_caller]
pub fn rebind(segment: &OwnedFd, addr: u64, length: u64) -> Result<(), Failure> {
    let mut argument = rsm_export_rebind {
        addr,
        length,
        ..Default::default()
    };
    run(segment, &mut argument)
}

/// A connection as the kernel describes it.
#[derive(Debug)]
pub struct Connection {
    pub fd: OwnedFd,
    pub length: u64,
    pub generation: u64,
    pub slot: u32,
}

#[track_caller]
pub fn connect(controller: &File, id: u32, perm: u32) -> Result<Connection, Failure> {
    connect_with(controller, id, perm, 0)
}

#[track_caller]
pub fn connect_with(
    controller: &File,
    id: u32,
    perm: u32,
    flags: u32,
) -> Result<Connection, Failure> {
    let mut argument = rsm_import_connect {
        node: local_node(controller),
        segment_id: id,
        perm,
        flags,
        fd: -1,
        ..Default::default()
    };
    run(controller, &mut argument)?;
    Ok(Connection {
        fd: descriptor(argument.fd),
        length: argument.length,
        generation: argument.generation,
        slot: argument.status_slot,
    })
}

impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[track_caller]
pub fn prefault(import: &impl AsRawFd, addr: u64, length: u64) -> Result<(), Failure> {
    let mut argument = rsm_import_prefault {
        addr,
        length,
        ..Default::default()
    };
    run(import, &mut argument)
}

#[track_caller]
pub fn post(segment: &impl AsRawFd, flags: u32) -> Result<(), Failure> {
    let mut argument = rsm_event_post {
        flags,
        ..Default::default()
    };
    run(segment, &mut argument)
}

#[track_caller]
pub fn wait(segment: &impl AsRawFd, timeout_ms: i32) -> Result<(), Failure> {
    let mut argument = rsm_event_wait {
        timeout_ms,
        ..Default::default()
    };
    run(segment, &mut argument)
}
