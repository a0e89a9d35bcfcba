// SPDX-License-Identifier: MIT OR Apache-2.0
//! The general format: command numbers, pointers, what is stored.

use std::os::fd::AsRawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::raw::{self, command, ioc, ioctl, PAGE, UNTOUCHED};
use crate::{Kinds, COMMANDS};

#[test]
fn numbers_of_other_commands() {
    let kinds = Kinds::new();
    let books = Books::amid();
    // Longer than any structure; its size member does not matter, it is not looked at.
    let mut argument = [0u64; 64];
    for (kind, fd) in kinds.all() {
        for number in 0..=255 {
            if COMMANDS
                .iter()
                .any(|c| c.1 == number && c.3.contains(&kind))
            {
                continue;
            }
            for size in [0, 4, 16, 32, 48, 511] {
                let result = ioctl(fd, command(number, size), argument.as_mut_ptr().cast());
                assert_eq!(
                    result,
                    Err(Errno::ENOTTY),
                    "{kind}: number {number:#x} size {size}"
                );
            }
        }
    }
    books.balance();
}

#[test]
fn numbers_with_another_magic_or_direction() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let mut argument = [0u32; 64];
    for (name, number, size, _) in COMMANDS {
        argument[0] = size as u32;
        for (kind, fd) in kinds.all() {
            for (direction, magic) in [
                (0, RSM_IOC_MAGIC),
                (1, RSM_IOC_MAGIC),
                (2, RSM_IOC_MAGIC),
                (3, RSM_IOC_MAGIC - 1),
                (3, RSM_IOC_MAGIC + 1),
                (3, 0),
            ] {
                let command = ioc(direction, magic, number, size);
                let result = ioctl(fd, command, argument.as_mut_ptr().cast());
                assert_eq!(result, Err(Errno::ENOTTY), "{name} on {kind}: {command:#x}");
            }
        }
    }
    books.balance();
}

#[test]
fn descriptors_of_another_kind() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    for (name, number, size, kinds_of_fd) in COMMANDS {
        let mut argument = [0u32; 64];
        argument[0] = size as u32;
        argument[1] = UNTOUCHED;
        for (kind, fd) in kinds
            .all()
            .into_iter()
            .chain([("/dev/null", null.as_raw_fd())])
        {
            if kinds_of_fd.contains(&kind) {
                continue;
            }
            let result = ioctl(fd, command(number, size), argument.as_mut_ptr().cast());
            assert_eq!(result, Err(Errno::ENOTTY), "{name} on {kind}");
            assert_eq!(argument[1], UNTOUCHED, "{name} on {kind}: status stored");
        }
        let result = ioctl(-1, command(number, size), argument.as_mut_ptr().cast());
        assert_eq!(result, Err(Errno::EBADF), "{name} on no descriptor");
    }
    drop(null);
    books.balance();
}

#[test]
fn unreadable_structures() {
    let kinds = Kinds::new();
    let books = Books::amid();
    // The last of two pages is a hole.
    let memory = Map::anonymous(2 * PAGE);
    // SAFETY: of our own mapping; what is left is unmapped by address later on.
    unsafe { libc::munmap(memory.at(PAGE).cast(), PAGE) };
    for (name, number, size, kinds_of_fd) in COMMANDS {
        let all = kinds.all();
        let fd = all.iter().find(|(kind, _)| *kind == kinds_of_fd[0]);
        let fd = fd.expect("a descriptor of its kind").1;
        for (what, address) in [
            ("null", ptr::null_mut()),
            ("a hole", memory.at(PAGE)),
            ("the end of a page", memory.at(PAGE - 8)),
            ("the kernel's half", 0xffff_8000_0000_0000_usize as *mut u8),
            ("the end of everything", usize::MAX as *mut u8),
            ("the end of user space", 0x7fff_ffff_fff8_usize as *mut u8),
        ] {
            if what == "the end of a page" {
                memory.store(PAGE - 8, size as u64);
            }
            let result = ioctl(fd, command(number, size), address.cast());
            assert_eq!(result, Err(Errno::EFAULT), "{name}: structure at {what}");
        }
    }
    drop(memory);
    books.balance();
    raw::destroy(&kinds.export).expect("the segment is as it was");
}

#[test]
fn tail_in_a_hole() {
    let kinds = Kinds::new();
    let books = Books::amid();
    let memory = Map::anonymous(2 * PAGE);
    let size = size_of::<rsm_query>();
    let at = PAGE - size;
    // SAFETY: of our own mapping.
    unsafe { libc::munmap(memory.at(PAGE).cast(), PAGE) };
    memory.store(at, (size + 8) as u64);
    let fd = kinds.controller.as_raw_fd();
    let result = ioctl(fd, command(RSM_CMD_QUERY, size + 8), memory.at(at).cast());
    assert_eq!(result, Err(Errno::EFAULT), "tail not mapped");
    memory.store(at, size as u64);
    let result = ioctl(fd, command(RSM_CMD_QUERY, size), memory.at(at).cast());
    assert_eq!(result, Ok(()), "structure up to the last byte of a page");
    drop(memory);
    books.balance();
}

#[test]
fn every_member_is_stored() {
    let kinds = Kinds::new();
    let mut query = rsm_query {
        abi_version: u32::MAX,
        local_node: u32::MAX,
        features: u64::MAX,
        page_size: u32::MAX,
        status_slots: u32::MAX,
        ..Default::default()
    };
    raw::run(&kinds.controller, &mut query).expect("query");
    assert_eq!(query.abi_version, RSM_ABI_VERSION);
    assert!(query.local_node <= 63, "local node {}", query.local_node);
    assert_eq!(query.features, 0, "no feature is defined");
    assert_eq!(query.page_size as usize, PAGE);
    assert!(
        query.status_slots > 0 && query.status_slots < u32::MAX,
        "{query:?}"
    );

    let mut attributes = rsm_attributes {
        direct_access_sizes: u32::MAX,
        atomic_sizes: u32::MAX,
        page_size: 7,
        max_export_segment_size: 7,
        tot_export_segment_size: 7,
        max_export_segments: 7,
        max_import_map_size: 7,
        tot_import_map_size: 7,
        max_import_segments: 7,
        ..Default::default()
    };
    raw::run(&kinds.controller, &mut attributes).expect("attributes");
    assert_eq!(attributes, raw::attributes(&kinds.controller));
    let mut topology = rsm_topology {
        local_node: u32::MAX,
        controllers: u32::MAX,
        ..Default::default()
    };
    raw::run(&kinds.controller, &mut topology).expect("topology");
    assert_eq!(topology, raw::topology(&kinds.controller));

    let mut connect = rsm_import_connect {
        node: query.local_node,
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        length: u64::MAX,
        generation: u64::MAX,
        status_slot: u32::MAX,
        fd: i32::MAX,
        ..Default::default()
    };
    raw::run(&kinds.controller, &mut connect).expect("connect");
    assert_eq!(connect.length as usize, kinds.memory.len);
    assert_ne!(connect.generation, u64::MAX);
    assert!(connect.status_slot < query.status_slots, "{connect:?}");
    assert!((0..1024).contains(&connect.fd), "{connect:?}");
    // SAFETY: the command has just made it for us.
    assert_eq!(unsafe { libc::close(connect.fd) }, 0);
}

#[test]
fn descriptors_close_on_exec() {
    let kinds = Kinds::new();
    for (kind, fd) in kinds.all() {
        // SAFETY: only asks.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        assert_eq!(flags, libc::FD_CLOEXEC, "{kind} descriptor");
    }
}
