// SPDX-License-Identifier: MIT OR Apache-2.0
//! 32-bit callers: the same layout, and the same commands through the 32-bit system call
//! entry, which a 64-bit process can use too.

use std::arch::asm;
use std::mem::{align_of, offset_of};
use std::os::fd::{AsRawFd, RawFd};

use nix::libc;
use rsm_sys::*;

use crate::common::memory::{Map, READ, WRITE};
use crate::common::raw::{self, command, Command, PAGE};
use crate::Kinds;

/// Each member's offset is the sum of the sizes before it, and 8-byte members are aligned
/// to 8 by their type: then no ABI of C lays the structure out differently.
macro_rules! assert_dense {
    ($type:ident { $($member:ident),* }) => {
        const _: () = {
            // SAFETY: a structure of integers.
            let sample: $type = unsafe { std::mem::zeroed() };
            let mut end = 0;
            $(
                assert!(offset_of!($type, $member) == end);
                let size = size_of_val(&sample.$member);
                assert!(end % size == 0);
                end += size;
            )*
            assert!(end == size_of::<$type>());
            assert!(end % 8 == 0 && align_of::<$type>() <= 8);
        };
    };
}

assert_dense!(rsm_query {
    size,
    status,
    abi_version,
    local_node,
    features,
    page_size,
    status_slots
});
assert_dense!(rsm_export_create {
    size,
    status,
    addr,
    length,
    flags,
    fd
});
assert_dense!(rsm_access_entry { node, perm });
assert_dense!(rsm_export_publish {
    size,
    status,
    segment_id,
    flags,
    acl,
    acl_len,
    __reserved
});
assert_dense!(rsm_export_destroy {
    size,
    status,
    flags,
    __reserved
});
assert_dense!(rsm_import_connect {
    size,
    status,
    node,
    segment_id,
    perm,
    flags,
    length,
    generation,
    status_slot,
    fd
});

assert_dense!(rsm_attributes {
    size,
    status,
    direct_access_sizes,
    atomic_sizes,
    page_size,
    max_export_segment_size,
    tot_export_segment_size,
    max_export_segments,
    max_import_map_size,
    tot_import_map_size,
    max_import_segments
});
assert_dense!(rsm_topology {
    size,
    status,
    local_node,
    controllers
});
assert_dense!(rsm_export_unpublish {
    size,
    status,
    flags,
    __reserved
});
assert_dense!(rsm_export_republish {
    size,
    status,
    acl,
    acl_len,
    flags
});
assert_dense!(rsm_export_rebind {
    size,
    status,
    addr,
    length,
    flags,
    __reserved
});
assert_dense!(rsm_import_prefault {
    size,
    status,
    addr,
    length,
    flags,
    __reserved
});
assert_dense!(rsm_event_post {
    size,
    status,
    flags,
    __reserved
});
assert_dense!(rsm_event_wait {
    size,
    status,
    timeout_ms,
    flags
});

/// `ioctl(2)` by the 32-bit entry; the result is 0 or a negative errno.
fn ioctl32(fd: RawFd, command: u64, argument: *mut u8) -> i32 {
    const IOCTL: u32 = 54;
    let argument = u32::try_from(argument as usize).expect("an address of 32 bits");
    let result: u64;
    // SAFETY: a system call that changes what `argument` points to; the 32-bit entry
    // takes its second argument in a register that must be saved around it.
    unsafe {
        asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) u64::from(fd as u32) => _,
            inout("rax") u64::from(IOCTL) => result,
            in("rcx") command,
            in("rdx") u64::from(argument),
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result as i32
}

/// Memory whose address fits in 32 bits.
fn low_page() -> Map {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    Map::new(PAGE, READ | WRITE, flags, -1, 0).expect("memory below 4 GiB")
}

fn run32<C: Command>(fd: RawFd, page: &Map, mut argument: C) -> (i32, C) {
    *argument.size() = size_of::<C>() as u32;
    // SAFETY: the page is ours and large enough.
    unsafe {
        page.at(0).cast::<C>().write(argument);
        let result = ioctl32(fd, command(C::NUMBER, size_of::<C>()), page.at(0));
        (result, page.at(0).cast::<C>().read())
    }
}

#[test]
fn all_commands_by_the_32_bit_entry() {
    let kinds = Kinds::new();
    let page = low_page();
    let controller = kinds.controller.as_raw_fd();

    let (result, query) = run32(controller, &page, rsm_query::default());
    assert_eq!(result, 0, "query (is 32-bit emulation on?)");
    assert_eq!(query.page_size as usize, PAGE);

    let create = rsm_export_create {
        addr: kinds.memory.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let create = rsm_export_create {
        flags: RSM_EXPORT_ALLOW_REBIND,
        ..create
    };
    let (result, create) = run32(controller, &page, create);
    assert_eq!(result, 0, "create: {create:?}");

    let entry = page.at(2048).cast::<rsm_access_entry>();
    // SAFETY: inside of the page.
    unsafe {
        entry.write(rsm_access_entry {
            node: query.local_node,
            perm: 0o666,
        })
    };
    let publish = rsm_export_publish {
        acl: entry as u64,
        acl_len: 1,
        ..Default::default()
    };
    let (result, publish) = run32(create.fd, &page, publish);
    assert_eq!(result, 0, "publish: {publish:?}");

    let connect = rsm_import_connect {
        node: query.local_node,
        segment_id: publish.segment_id,
        perm: RSM_PERM_READ,
        ..Default::default()
    };
    let (result, connect) = run32(controller, &page, connect);
    assert_eq!(result, 0, "connect: {connect:?}");
    assert_eq!(connect.length as usize, PAGE);
    let window = Map::shared(connect.fd, PAGE, READ).expect("map");
    kinds.memory.store(8, 0x1234);
    assert_eq!(window.load(8), 0x1234);

    let prefault = rsm_import_prefault {
        addr: window.addr(),
        length: PAGE as u64,
        ..Default::default()
    };
    let (result, prefault) = run32(connect.fd, &page, prefault);
    assert_eq!(result, 0, "prefault: {prefault:?}");
    for (poster, taker) in [(create.fd, connect.fd), (connect.fd, create.fd)] {
        let (result, post) = run32(poster, &page, rsm_event_post::default());
        assert_eq!((result, post.status), (0, RSM_STATUS_SUCCESS), "post");
        let forever = rsm_event_wait {
            timeout_ms: -1,
            ..Default::default()
        };
        let (result, wait) = run32(taker, &page, forever);
        assert_eq!((result, wait.status), (0, RSM_STATUS_SUCCESS), "wait");
        let (result, wait) = run32(taker, &page, rsm_event_wait::default());
        let expected = (-libc::ETIMEDOUT, RSM_STATUS_TIMEOUT);
        assert_eq!((result, wait.status), expected, "wait for nothing");
    }
    let rebind = rsm_export_rebind {
        addr: kinds.memory.addr() + PAGE as u64,
        length: PAGE as u64,
        ..Default::default()
    };
    let (result, rebind) = run32(create.fd, &page, rebind);
    assert_eq!(result, 0, "rebind: {rebind:?}");
    kinds.memory.store(PAGE + 8, 0x5678);
    assert_eq!(window.load(8), 0x5678);
    let republish = rsm_export_republish {
        acl: entry as u64,
        acl_len: 1,
        ..Default::default()
    };
    let (result, republish) = run32(create.fd, &page, republish);
    assert_eq!(result, 0, "republish: {republish:?}");
    let (result, unpublish) = run32(create.fd, &page, rsm_export_unpublish::default());
    let expected = (0, RSM_STATUS_SUCCESS);
    assert_eq!((result, unpublish.status), expected, "unpublish");
    assert_eq!(window.load(8), 0);

    let (result, attributes) = run32(controller, &page, rsm_attributes::default());
    assert_eq!(
        (result, attributes.page_size),
        (0, PAGE as u64),
        "attributes"
    );
    let (result, topology) = run32(controller, &page, rsm_topology::default());
    assert_eq!((result, topology.controllers), (0, 0), "topology");

    let (result, destroy) = run32(create.fd, &page, rsm_export_destroy::default());
    assert_eq!((result, destroy.status), (0, RSM_STATUS_SUCCESS), "destroy");
    assert_eq!(window.load(8), 0);

    let (result, denied) = run32(create.fd, &page, rsm_export_publish::default());
    assert_eq!(result, -libc::ESTALE, "publish of a dead segment");
    assert_eq!(denied.status, RSM_STATUS_BAD_SEG_HNDL);
    for fd in [create.fd, connect.fd] {
        // SAFETY: commands have made them for us.
        assert_eq!(unsafe { libc::close(fd) }, 0);
    }
    raw::destroy(&kinds.export).expect("the other segment is as it was");
}
