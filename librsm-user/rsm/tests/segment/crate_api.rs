// SPDX-License-Identifier: MIT OR Apache-2.0
//! The safe crate, on the same ground.

use std::ptr::NonNull;

use rsm::{
    Access, AccessEntry, Controller, Error, ExportBuffer, ExportSegment, ForeignMemory,
    ImportSegment, NodeId, SegmentId, Status,
};

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{become_user, in_child};
use crate::common::raw::PAGE;

fn publish(controller: &Controller, buffer: ExportBuffer, mode: u32) -> (ExportSegment, SegmentId) {
    let segment = ExportSegment::create(controller, buffer).expect("create");
    let list = [AccessEntry::new(controller.local_node(), mode)];
    let id = segment.publish(None, &list).expect("publish");
    (segment, id)
}

fn connect(controller: &Controller, id: SegmentId, access: Access) -> rsm::Result<ImportSegment> {
    ImportSegment::connect(controller, controller.local_node(), id, access)
}

#[test]
fn share_use_and_take_back() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    assert_eq!(controller.abi_version(), rsm_sys::RSM_ABI_VERSION);
    assert_eq!(controller.page_size(), PAGE);
    for mut buffer in [ExportBuffer::new(3 << 20), ExportBuffer::huge(3 << 20)].map(Result::unwrap)
    {
        buffer.as_mut_slice().fill(3);
        let (segment, id) = publish(&controller, buffer, 0o600);
        let import = connect(&controller, id, Access::ReadWrite).expect("connect");
        assert_eq!((import.len(), segment.len()), (3 << 20, 3 << 20));
        let mapping = import.map().expect("map");
        let mut bytes = [0; 100];
        mapping.read_at(1_000_003, &mut bytes).expect("read");
        assert_eq!(bytes, [3; 100]);
        mapping.write_at(17, b"hello").expect("write");
        segment.bytes().read_at(16, &mut bytes[..7]).expect("read");
        assert_eq!(&bytes[..7], b"\x03hello\x03");
        segment.bytes().store_u64(64, 5).expect("store");
        assert_eq!(mapping.bytes().load_u64(64), Ok(5));
        assert!(import.is_live() && mapping.is_live());
        assert_eq!((import.check(), mapping.check_reads()), (Ok(()), Ok(())));

        let buffer = segment.destroy().expect("destroy");
        assert_eq!(
            &buffer.as_slice()[16..23],
            b"\x03hello\x03",
            "the content stays"
        );
        assert!(!import.is_live() && !mapping.is_live());
        for check in [
            import.check(),
            import.check_reads(),
            mapping.check(),
            mapping.check_reads(),
        ] {
            assert_eq!(check, Err(Error::Rsm(Status::ConnAborted)));
        }
        mapping
            .read_at(1_000_003, &mut bytes)
            .expect("reading goes on");
        assert_eq!(bytes, [0; 100]);
        mapping.write_at(17, b"goodbye").expect("writing goes on");
        assert_eq!(&buffer.as_slice()[16..23], b"\x03hello\x03", "but not here");
        assert_eq!(import.map().unwrap_err(), Error::Rsm(Status::ConnAborted));
    }
    drop(controller);
    books.balance();
}

#[test]
fn windows_and_their_rights() {
    let controller = Controller::open().expect("open");
    let (segment, id) = publish(&controller, ExportBuffer::new(4 * PAGE).unwrap(), 0o600);
    for page in 0..4 {
        segment
            .bytes()
            .store_u64(page * PAGE, page as u64 + 1)
            .expect("store");
    }
    let import = connect(&controller, id, Access::ReadWrite).expect("connect");
    let window = import
        .map_window(2 * PAGE, PAGE, Access::Read)
        .expect("map");
    assert_eq!(window.bytes().load_u64(0), Ok(3));
    assert_eq!(window.len(), PAGE);
    assert_eq!(window.write_at(0, &[1]), Err(Status::PermDenied.into()));
    assert_eq!(
        window.read_at(PAGE - 1, &mut [0; 2]),
        Err(Status::BadOffset.into())
    );
    let status = |offset, len, access| {
        import
            .map_window(offset, len, access)
            .map(drop)
            .map_err(|error| error.status())
    };
    assert_eq!(status(0, 0, Access::Read), Err(Status::BadLength));
    assert_eq!(status(0, 5 * PAGE, Access::Read), Err(Status::BadLength));
    assert_eq!(status(4 * PAGE, PAGE, Access::Read), Err(Status::BadLength));
    assert_eq!(status(usize::MAX, 2, Access::Read), Err(Status::BadLength));
    assert_eq!(
        status(1, PAGE, Access::Read),
        Err(Status::BadMemAlignment),
        "not a page's beginning"
    );
    let read_only = connect(&controller, id, Access::Read).expect("connect");
    let too_much = read_only
        .map_window(0, PAGE, Access::ReadWrite)
        .unwrap_err();
    assert_eq!(too_much.status(), Status::BadPerms);
    let nothing = connect(&controller, id, Access::None).expect("connect");
    assert_eq!(nothing.map().unwrap_err().status(), Status::BadPerms);
    assert!(nothing.is_live());
    drop(segment);
    assert!(!nothing.is_live(), "dropping the segment destroys it");
}

#[test]
fn errors_carry_the_status() {
    let controller = Controller::open().expect("open");
    let node = controller.local_node();
    let (segment, id) = publish(&controller, ExportBuffer::new(PAGE).unwrap(), 0o600);
    let failed = |result: rsm::Result<ImportSegment>| result.map(drop).unwrap_err();
    assert_eq!(
        segment.publish(None, &[]).unwrap_err(),
        Status::SegAlreadyPublished.into()
    );
    let foreign = NodeId::new(node.get() + 1);
    let error = failed(ImportSegment::connect(
        &controller,
        foreign,
        id,
        Access::Read,
    ));
    assert_eq!(error, Status::CtlrNotPresent.into());
    let error = failed(connect(&controller, SegmentId::new(5), Access::Read));
    assert_eq!(error, Status::SegNotPublished.into());
    in_child(|| {
        become_user(4200, 4200, &[]);
        let error = failed(connect(&controller, id, Access::Read));
        assert_eq!(error, Status::PermDenied.into());
        assert_eq!(
            error.to_string(),
            "permission denied (RSMERR_PERM_DENIED, 27)"
        );
    });
    let second = ExportSegment::create(&controller, ExportBuffer::new(PAGE).unwrap()).unwrap();
    let reserved = second.publish(Some(SegmentId::new(1)), &[]).unwrap_err();
    assert_eq!(reserved, Status::ReservedSegid.into());
    let id = SegmentId::new(0x60_0000);
    assert_eq!(second.publish(Some(id), &[]), Ok(id));
    let entries = [AccessEntry::new(node, 0o666); 70];
    let third = ExportSegment::create(&controller, ExportBuffer::new(PAGE).unwrap()).unwrap();
    assert_eq!(
        third.publish(None, &entries).unwrap_err(),
        Status::BadAcl.into()
    );
}

#[test]
fn a_failed_create_returns_the_memory() {
    let controller = Controller::open().expect("open");
    in_child(|| {
        use nix::sys::resource::{setrlimit, Resource};
        setrlimit(Resource::RLIMIT_MEMLOCK, 0, 0).expect("setrlimit");
        become_user(4201, 4201, &[]);
        let mut buffer = ExportBuffer::new(PAGE).expect("buffer");
        buffer.as_mut_slice()[0] = 9;
        let failure = ExportSegment::create(&controller, buffer).unwrap_err();
        assert_eq!(failure.error, Status::InsufficientMem.into());
        assert_eq!(failure.memory.as_slice()[0], 9);
    });
}

#[test]
fn destroy_and_drop_in_a_child_leave_the_segment_alone() {
    let controller = Controller::open().expect("open");
    let (segment, id) = publish(&controller, ExportBuffer::new(PAGE).unwrap(), 0o600);
    let import = connect(&controller, id, Access::Read).expect("connect");
    let mut segment = Some(segment);
    in_child(|| drop(segment.take()));
    in_child(|| {
        let error = segment
            .take()
            .expect("still there")
            .destroy()
            .map(drop)
            .unwrap_err();
        assert_eq!(error, Status::NotCreator.into());
    });
    assert_eq!(import.check(), Ok(()));
    drop(segment);
    assert_eq!(import.check(), Err(Status::ConnAborted.into()));
}

#[test]
fn connections_outlive_the_controller() {
    let controller = Controller::open().expect("open");
    let (segment, id) = publish(&controller, ExportBuffer::new(PAGE).unwrap(), 0o600);
    let import = connect(&controller, id, Access::Read).expect("connect");
    let mapping = import.map().expect("map");
    drop(controller);
    assert!(import.is_live());
    drop(import);
    assert_eq!(mapping.check(), Ok(()), "a mapping keeps the connection");
    drop(segment);
    assert_eq!(mapping.check(), Err(Status::ConnAborted.into()));
}

#[test]
fn memory_owned_elsewhere() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let owner = Map::anonymous(4 * PAGE);
    owner.store(PAGE, 12);
    let base = NonNull::new(owner.at(PAGE)).expect("not null");
    // SAFETY: the map outlives the segment and is accessed atomically only.
    let memory = unsafe { ForeignMemory::new(base, 2 * PAGE) };
    let segment = ExportSegment::create(&controller, memory).expect("create");
    let id = segment.publish(None, &[]).expect("publish");
    let import = connect(&controller, id, Access::Read).expect("connect");
    let mapping = import.map().expect("map");
    assert_eq!(mapping.len(), 2 * PAGE);
    assert_eq!(mapping.bytes().load_u64(0), Ok(12));
    let _: ForeignMemory = segment.destroy().expect("destroy");
    owner.store(PAGE, 13);
    assert_eq!(mapping.bytes().load_u64(0), Ok(0));
    drop((mapping, import, owner, controller));
    books.balance();
}

#[test]
fn without_the_device() {
    in_child(|| {
        use nix::mount::{mount, MsFlags};
        use nix::sched::{unshare, CloneFlags};
        // A mount namespace of its own, with nothing in /dev.
        unshare(CloneFlags::CLONE_NEWNS).expect("unshare");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
        mount(none, "/dev", Some("tmpfs"), MsFlags::empty(), none).expect("mount");
        let error = Controller::open().map(drop).unwrap_err();
        assert_eq!(error.status(), Status::CtlrNotPresent);
        assert_eq!(error.errno(), Some(nix::errno::Errno::ENOENT));
        assert!(
            error.to_string().contains("is the rsm module loaded?"),
            "{error}"
        );
    });
}
