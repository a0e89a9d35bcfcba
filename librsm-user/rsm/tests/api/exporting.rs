// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's calls.

use std::ptr::NonNull;

use rsm::{
    Access, AccessEntry, Controller, ExportBuffer, ExportOptions, ExportSegment, ForeignMemory,
    NodeId, SegmentId, Status,
};

use crate::common::backing::reserve_huge_pages;
use crate::common::books::Books;
use crate::common::memory::{Map, READ};
use crate::common::process::in_child;
use crate::common::raw::PAGE;
use crate::{connect, published, refused, Scene};

fn foreign(address: usize, len: usize) -> ForeignMemory {
    let base = NonNull::new(address as *mut u8).expect("not null");
    // SAFETY: of a map that outlives the segment, or memory that is refused.
    unsafe { ForeignMemory::new(base, len) }
}

#[test]
fn create_refuses_what_cannot_be_exported() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let map = Map::anonymous(4 * PAGE);
    let address = map.addr() as usize;
    let create = |address, len| refused(ExportSegment::create(&controller, foreign(address, len)));
    assert_eq!(create(address, 0), Status::BadLength);
    assert_eq!(create(address + 1, PAGE), Status::BadMemAlignment);
    assert_eq!(create(address, PAGE + 1), Status::BadMemAlignment);
    assert_eq!(create(PAGE, PAGE), Status::BadAddr);
    map.protect(PAGE, PAGE, READ).expect("mprotect");
    assert_eq!(create(address, 4 * PAGE), Status::PermDenied);
    drop((map, controller));
    books.balance();
}

#[test]
fn buffers_of_every_kind_of_page() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let share = |mut buffer: ExportBuffer| {
        buffer.as_mut_slice().fill(6);
        let segment = ExportSegment::create(&controller, buffer).expect("create");
        let id = segment.publish(None, &[]).expect("publish");
        let import = connect(&controller, id, Access::Read).expect("connect");
        let mut end = [0; 10];
        import.get(import.len() - 10, &mut end).expect("get");
        assert_eq!(end, [6; 10]);
    };
    share(ExportBuffer::new(100).expect("buffer"));
    share(ExportBuffer::huge(3 << 20).expect("buffer"));
    assert_eq!(
        refused(ExportBuffer::hugetlb(1)),
        Status::InsufficientMem,
        "none reserved"
    );
    {
        let _pages = reserve_huge_pages(4);
        let buffer = ExportBuffer::hugetlb(3 << 20).expect("buffer");
        assert_eq!(buffer.len(), 4 << 20);
        share(buffer);
    }
    assert_eq!(refused(ExportBuffer::hugetlb(0)), Status::BadLength);
    drop(controller);
    books.balance();
}

#[test]
fn publish_and_its_failures() {
    let controller = Controller::open().expect("open");
    let node = controller.local_node();
    let (segment, id) = published(&controller, 1, 0o666);
    assert!(id.get() >= 0x8000_0000);
    assert_eq!(
        refused(segment.publish(None, &[])),
        Status::SegAlreadyPublished
    );
    segment.unpublish().expect("unpublish");
    assert_eq!(refused(segment.unpublish()), Status::SegNotPublished);
    assert_eq!(refused(segment.republish(&[])), Status::SegNotPublished);
    for id in [1, 0x3f_ffff, 0x8000_0000, u32::MAX] {
        let status = refused(segment.publish(Some(SegmentId::new(id)), &[]));
        assert_eq!(status, Status::ReservedSegid, "{id:#x}");
    }
    for (entry, why) in [
        (AccessEntry::new(node, 0o667), "mode"),
        (AccessEntry::new(NodeId::new(node.get() + 1), 0o666), "node"),
    ] {
        assert_eq!(
            refused(segment.publish(None, &[entry])),
            Status::BadAcl,
            "{why}"
        );
    }
    let id = SegmentId::new(0x60_0100);
    assert_eq!(segment.publish(Some(id), &[]), Ok(id));
    let (second, _) = published(&controller, 1, 0o666);
    second.unpublish().expect("unpublish");
    assert_eq!(refused(second.publish(Some(id), &[])), Status::SegidInUse);
    segment.unpublish().expect("unpublish");
    assert_eq!(second.publish(Some(id), &[]), Ok(id));
    in_child(|| {
        assert_eq!(refused(second.unpublish()), Status::NotCreator);
        assert_eq!(refused(second.republish(&[])), Status::NotCreator);
        assert_eq!(refused(segment.publish(None, &[])), Status::NotCreator);
    });
}

#[test]
fn unpublish_aborts_for_good() {
    let scene = Scene::new(1);
    scene.import.put64(0, &[1]).expect("put");
    scene.abort();
    assert!(!scene.import.is_live());
    let again = scene.segment.publish(None, &[]).expect("publish");
    assert_ne!(again, scene.id, "assigned ids are never used twice");
    assert_eq!(refused(scene.import.put64(0, &[2])), Status::ConnAborted);
    assert_eq!(scene.word(0), 1, "the memory has stayed");
    let second = connect(&scene.controller, again, Access::Read).expect("connect");
    let mut word = [0];
    second.get64(0, &mut word).expect("get");
    assert_eq!(word, [1]);
}

#[test]
fn republish_is_for_new_connections() {
    let scene = Scene::new(1);
    let entry = |mode| AccessEntry::new(scene.controller.local_node(), mode);
    scene.segment.republish(&[entry(0o444)]).expect("republish");
    scene.import.put(0, &[1]).expect("the old connection");
    let bad = [entry(0o777)];
    assert_eq!(refused(scene.segment.republish(&bad)), Status::BadAcl);
    let bad = [entry(0o666); 2];
    assert_eq!(refused(scene.segment.republish(&bad)), Status::BadAcl);
    in_child(|| {
        crate::common::process::become_user(1001, 1001, &[]);
        let controller = Controller::open().expect("open");
        let status = refused(connect(&controller, scene.id, Access::ReadWrite));
        assert_eq!(status, Status::PermDenied);
        connect(&controller, scene.id, Access::Read).expect("connect");
    });
}

#[test]
fn rebind_exchanges_the_memory() {
    let books = Books::open();
    let mut scene = Scene::new(2);
    scene.segment.bytes().store_u64(PAGE, 1).expect("store");
    let window = scene.import.map().expect("map");
    assert_eq!(window.bytes().load_u64(PAGE), Ok(1));
    let barrier = scene.import.open_barrier();

    let mut next = ExportBuffer::new(2 * PAGE).expect("buffer");
    next.as_mut_slice().fill(2);
    let old = scene.segment.rebind(next).expect("rebind");
    assert_eq!(old.as_slice()[PAGE..PAGE + 8], 1_u64.to_ne_bytes());
    assert_eq!(window.bytes().load_u64(PAGE), Ok(0x0202_0202_0202_0202));
    scene.import.put64(PAGE, &[3]).expect("put");
    assert_eq!(scene.word(PAGE), 3);
    assert_eq!(barrier.close(), Ok(()));
    drop(old);
    assert_eq!(window.bytes().load_u64(PAGE), Ok(3));
    drop((window, scene));
    books.balance();
}

#[test]
fn rebind_and_its_failures() {
    let mut scene = Scene::new(2);
    let short = ExportBuffer::new(PAGE).expect("buffer");
    let failure = scene.segment.rebind(short).unwrap_err();
    assert_eq!(failure.error, Status::BadLength.into());
    assert_eq!(failure.memory.len(), PAGE, "the memory comes back");
    scene.import.put64(0, &[5]).expect("put");
    assert_eq!(scene.word(0), 5, "the old memory has stayed");
    let mut segment = Some(scene.segment);
    in_child(|| {
        let next = ExportBuffer::new(2 * PAGE).expect("buffer");
        let mut segment = segment.take().expect("still there");
        assert_eq!(refused(segment.rebind(next)), Status::NotCreator);
    });
    let buffer = ExportBuffer::new(PAGE).expect("buffer");
    let mut fixed = ExportSegment::create(&scene.controller, buffer).expect("create");
    let next = ExportBuffer::new(PAGE).expect("buffer");
    assert_eq!(refused(fixed.rebind(next)), Status::RebindNotAllowed);
}

#[test]
fn a_dead_segment_can_only_be_destroyed() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let map = Map::anonymous(2 * PAGE);
    let options = ExportOptions::new().allow_rebind(true);
    let mut segment = options
        .create(&controller, foreign(map.addr() as usize, PAGE))
        .expect("create");
    let id = segment.publish(None, &[]).expect("publish");
    let import = connect(&controller, id, Access::ReadWrite).expect("connect");
    import.put64(0, &[1]).expect("put");
    map.protect(0, PAGE, READ).expect("mprotect");
    assert_eq!(refused(import.put64(0, &[2])), Status::ConnAborted);
    assert_eq!(refused(segment.publish(None, &[])), Status::BadSegHndl);
    assert_eq!(refused(segment.unpublish()), Status::SegNotPublished);
    assert_eq!(refused(segment.republish(&[])), Status::BadSegHndl);
    let next = foreign(map.addr() as usize + PAGE, PAGE);
    assert_eq!(refused(segment.rebind(next)), Status::BadSegHndl);
    assert_eq!(
        refused(connect(&controller, id, Access::Read)),
        Status::SegNotPublished
    );
    segment.destroy().expect("destroy");
    assert_eq!(map.load(0), 1);
    drop((map, import, controller));
    books.balance();
}
