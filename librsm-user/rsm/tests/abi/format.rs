// SPDX-License-Identifier: MIT OR Apache-2.0
//! The general format: command numbers, sizes, flags, reserved members, pointers.

use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, command, ioc, ioctl, Command, PAGE, UNTOUCHED};
use crate::Kinds;

const COMMANDS: [(&str, u32, usize); 5] = [
    ("query", RSM_CMD_QUERY, size_of::<rsm_query>()),
    (
        "create",
        RSM_CMD_EXPORT_CREATE,
        size_of::<rsm_export_create>(),
    ),
    (
        "connect",
        RSM_CMD_IMPORT_CONNECT,
        size_of::<rsm_import_connect>(),
    ),
    (
        "publish",
        RSM_CMD_EXPORT_PUBLISH,
        size_of::<rsm_export_publish>(),
    ),
    (
        "destroy",
        RSM_CMD_EXPORT_DESTROY,
        size_of::<rsm_export_destroy>(),
    ),
];

fn belongs_to(number: u32) -> &'static str {
    match number {
        RSM_CMD_QUERY | RSM_CMD_EXPORT_CREATE | RSM_CMD_IMPORT_CONNECT => "controller",
        _ => "export",
    }
}

#[test]
fn numbers_of_other_commands() {
    let kinds = Kinds::new();
    let books = Books::open();
    // Longer than any structure; its size member does not matter, it is not looked at.
    let mut argument = [0u64; 64];
    for (kind, fd) in kinds.all() {
        for number in 0..=255 {
            if COMMANDS
                .iter()
                .any(|c| c.1 == number && belongs_to(number) == kind)
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
    let books = Books::open();
    let mut argument = [0u32; 64];
    for (name, number, size) in COMMANDS {
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
    let books = Books::open();
    let null = std::fs::File::open("/dev/null").expect("/dev/null");
    for (name, number, size) in COMMANDS {
        let mut argument = [0u32; 64];
        argument[0] = size as u32;
        argument[1] = UNTOUCHED;
        for (kind, fd) in kinds
            .all()
            .into_iter()
            .chain([("/dev/null", null.as_raw_fd())])
        {
            if kind == belongs_to(number) {
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

/// Runs a command with a size in its number that differs from `C`'s: the bytes of
/// `argument`, with `size` in the structure, followed by `tail`.
fn sized<C: Command>(
    fd: RawFd,
    mut argument: C,
    encoded: usize,
    size: usize,
    tail: u8,
) -> (Result<(), Errno>, Vec<u8>) {
    *argument.size() = size as u32;
    *argument.status() = UNTOUCHED;
    let mut bytes = vec![tail; encoded.max(size_of::<C>())];
    // SAFETY: a structure of integers without padding.
    unsafe {
        ptr::copy_nonoverlapping(
            (&raw const argument).cast(),
            bytes.as_mut_ptr(),
            size_of::<C>(),
        )
    };
    let result = ioctl(fd, command(C::NUMBER, encoded), bytes.as_mut_ptr().cast());
    (result, bytes)
}

fn status_of(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes(bytes[4..8].try_into().expect("four bytes"))
}

/// All the ways to get a size wrong, and the ones that are right.
fn sizes<C: Command>(fd: RawFd, argument: C, what: &str, mut accepted: impl FnMut(&[u8])) {
    let own = size_of::<C>();
    for encoded in [0, 1, 3, 4, 7, 8, own - 8, own - 4, own - 1] {
        let (result, bytes) = sized(fd, argument, encoded, encoded, 0);
        assert_eq!(result, Err(Errno::EINVAL), "{what}: {encoded} bytes");
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {encoded} bytes: status stored"
        );
    }
    for (encoded, size) in [
        (own, 0),
        (own, own - 1),
        (own, own + 1),
        (own, u32::MAX as usize),
        (own + 8, own),
        (own, own + 8),
        (16383, own),
    ] {
        let (result, bytes) = sized(fd, argument, encoded, size, 0);
        assert_eq!(
            result,
            Err(Errno::EINVAL),
            "{what}: {encoded} bytes that say {size}"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {encoded}/{size}: status stored"
        );
    }
    for longer in [own + 1, own + 4, own + 8, own + 100, 4096, 8192, 16383] {
        let (result, bytes) = sized(fd, argument, longer, longer, 1);
        assert_eq!(
            result,
            Err(Errno::E2BIG),
            "{what}: {longer} bytes with a tail"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{what}: {longer} bytes: status stored"
        );

        // A tail that is zero but for its last byte.
        let mut last = argument;
        *last.size() = longer as u32;
        let mut bytes = vec![0u8; longer];
        // SAFETY: a structure of integers without padding.
        unsafe { ptr::copy_nonoverlapping((&raw const last).cast(), bytes.as_mut_ptr(), own) };
        bytes[longer - 1] = 1;
        let result = ioctl(fd, command(C::NUMBER, longer), bytes.as_mut_ptr().cast());
        assert_eq!(
            result,
            Err(Errno::E2BIG),
            "{what}: {longer} bytes, last not zero"
        );

        let (result, bytes) = sized(fd, argument, longer, longer, 0);
        assert_eq!(
            result,
            Ok(()),
            "{what}: {longer} bytes with a tail of zeroes"
        );
        assert_eq!(
            status_of(&bytes),
            RSM_STATUS_SUCCESS,
            "{what}: {longer} bytes"
        );
        assert!(
            bytes[own..].iter().all(|&b| b == 0),
            "{what}: {longer} bytes: tail changed"
        );
        accepted(&bytes);
    }
}

/// Closes the descriptor that a command stored at `offset` of its structure.
fn close_fd_at(offset: usize) -> impl FnMut(&[u8]) {
    move |bytes| {
        let fd = i32::from_ne_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"));
        // SAFETY: the command has just made it for us.
        let result = unsafe { libc::close(fd) };
        assert_eq!(result, 0, "descriptor {fd} of a successful command");
    }
}

#[test]
fn sizes_of_structures() {
    let kinds = Kinds::new();
    let books = Books::open();
    let controller = kinds.controller.as_raw_fd();
    sizes(controller, rsm_query::default(), "query", |_| ());
    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let fd = std::mem::offset_of!(rsm_export_create, fd);
    sizes(controller, create, "create", close_fd_at(fd));
    let connect = rsm_import_connect {
        node: raw::local_node(&kinds.controller),
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    let fd = std::mem::offset_of!(rsm_import_connect, fd);
    sizes(controller, connect, "connect", close_fd_at(fd));

    // A segment to destroy again and again, which is permitted.
    let segment = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    sizes(
        segment.as_raw_fd(),
        rsm_export_destroy::default(),
        "destroy",
        |_| (),
    );
    drop(segment);
    books.balance();
}

#[test]
fn sizes_of_publish() {
    let kinds = Kinds::new();
    let books = Books::open();
    let create =
        || raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let argument = rsm_export_publish::default();
    let own = size_of::<rsm_export_publish>();
    let fresh = create();
    for (encoded, size, tail, expected) in [
        (8, 8, 0, Errno::EINVAL),
        (own - 4, own - 4, 0, Errno::EINVAL),
        (own, own + 8, 0, Errno::EINVAL),
        (own + 8, own, 0, Errno::EINVAL),
        (own + 8, own + 8, 1, Errno::E2BIG),
        (16383, 16383, 1, Errno::E2BIG),
    ] {
        let (result, bytes) = sized(fresh.as_raw_fd(), argument, encoded, size, tail);
        assert_eq!(
            result,
            Err(expected),
            "{encoded} bytes that say {size}, tail {tail}"
        );
        assert_eq!(
            status_of(&bytes),
            UNTOUCHED,
            "{encoded} bytes: status stored"
        );
    }
    // None of these has published it.
    for longer in [own, own + 1, own + 8, 16383] {
        let segment = create();
        let (result, _) = sized(segment.as_raw_fd(), argument, longer, longer, 0);
        assert_eq!(result, Ok(()), "{longer} bytes with a tail of zeroes");
    }
    raw::publish(&fresh, 0, &[]).expect("publish after failures");
    drop(fresh);
    books.balance();
}

/// Runs a command that must be turned away with EOPNOTSUPP, status untouched.
fn unsupported<C: Command + PartialEq + std::fmt::Debug>(fd: RawFd, mut argument: C, what: &str) {
    *argument.size() = size_of::<C>() as u32;
    *argument.status() = UNTOUCHED;
    let before = argument;
    let number = command(C::NUMBER, size_of::<C>());
    let result = ioctl(fd, number, (&raw mut argument).cast());
    assert_eq!(result, Err(Errno::EOPNOTSUPP), "{what}");
    assert_eq!(argument, before, "{what}: structure changed");
}

#[test]
fn flags_and_reserved_members() {
    let kinds = Kinds::new();
    let books = Books::open();
    let controller = kinds.controller.as_raw_fd();
    let fresh = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    for bit in 0..32 {
        let flags = 1 << bit;
        let create = rsm_export_create {
            addr: kinds.memory.addr(),
            length: PAGE as u64,
            flags,
            ..Default::default()
        };
        unsupported(controller, create, &format!("create: flags {flags:#x}"));
        let connect = rsm_import_connect {
            node: raw::local_node(&kinds.controller),
            segment_id: kinds.id,
            perm: RSM_PERM_READ,
            flags,
            ..Default::default()
        };
        unsupported(controller, connect, &format!("connect: flags {flags:#x}"));
        for publish in [
            rsm_export_publish {
                flags,
                ..Default::default()
            },
            rsm_export_publish {
                __reserved: flags,
                ..Default::default()
            },
        ] {
            unsupported(fresh.as_raw_fd(), publish, &format!("publish: {publish:?}"));
        }
        for destroy in [
            rsm_export_destroy {
                flags,
                ..Default::default()
            },
            rsm_export_destroy {
                __reserved: flags,
                ..Default::default()
            },
        ] {
            unsupported(fresh.as_raw_fd(), destroy, &format!("destroy: {destroy:?}"));
        }
    }
    raw::publish(&fresh, 0, &[]).expect("neither published nor destroyed so far");
    drop(fresh);
    books.balance();
}

#[test]
fn unreadable_structures() {
    let kinds = Kinds::new();
    let books = Books::open();
    // The last of two pages is a hole.
    let memory = Map::anonymous(2 * PAGE);
    // SAFETY: of our own mapping; what is left is unmapped by address later on.
    unsafe { libc::munmap(memory.at(PAGE).cast(), PAGE) };
    for (name, number, size) in COMMANDS {
        let fd = match belongs_to(number) {
            "controller" => kinds.controller.as_raw_fd(),
            _ => kinds.export.as_raw_fd(),
        };
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
    let books = Books::open();
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
fn unwritable_structures() {
    let kinds = Kinds::new();
    let books = Books::open();
    let memory = Map::anonymous(PAGE);
    let fresh = raw::create(&kinds.controller, kinds.memory.addr(), PAGE as u64).expect("create");
    let with_fresh = Books::open();
    let controller = kinds.controller.as_raw_fd();

    fn attempt<C: Command>(fd: RawFd, memory: &Map, mut argument: C, what: &str) {
        *argument.size() = size_of::<C>() as u32;
        // SAFETY: the page is ours and large enough.
        unsafe { memory.at(0).cast::<C>().write(argument) };
        memory.protect(0, PAGE, READ).expect("mprotect");
        let number = command(C::NUMBER, size_of::<C>());
        let result = ioctl(fd, number, memory.at(0).cast());
        assert_eq!(result, Err(Errno::EFAULT), "{what}: structure not writable");
        memory.protect(0, PAGE, READ | WRITE).expect("mprotect");
    }

    attempt(controller, &memory, rsm_query::default(), "query");
    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    attempt(controller, &memory, create, "create");
    let connect = rsm_import_connect {
        node: raw::local_node(&kinds.controller),
        segment_id: kinds.id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    attempt(controller, &memory, connect, "connect");
    attempt(
        fresh.as_raw_fd(),
        &memory,
        rsm_export_publish::default(),
        "publish",
    );
    attempt(
        fresh.as_raw_fd(),
        &memory,
        rsm_export_destroy::default(),
        "destroy",
    );
    with_fresh.balance();
    raw::publish(&fresh, 0, &[]).expect("neither published nor destroyed so far");
    drop((fresh, memory));
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
