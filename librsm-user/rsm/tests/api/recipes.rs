// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the RSMAPI's users do with it, between two processes and between many.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use rsm::{
    Access, AccessEntry, BarrierMode, Controller, ExportBuffer, ExportSegment, Post, PutEntry,
    SegmentId, Status,
};

use crate::common::books::Books;
use crate::common::process::{become_user, spawn, Process, Steps};
use crate::common::raw::PAGE;
use crate::common::rounds;
use crate::{connect, published, refused};

const IMPORTERS: usize = 6;

/// Simple put and get: each importer finds what the exporter had, and leaves something.
#[test]
fn put_and_get() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let mut buffer = ExportBuffer::new(IMPORTERS * PAGE).expect("buffer");
    for (at, byte) in buffer.as_mut_slice().iter_mut().enumerate() {
        *byte = (at % 253) as u8;
    }
    let before = buffer.as_slice().to_vec();
    let segment = ExportSegment::create(&controller, buffer).expect("create");
    let id = segment.publish(None, &[]).expect("publish");
    assert!(id.get() >= 0x8000_0000);
    let importers: Vec<Process> = (0..IMPORTERS)
        .map(|place| {
            let before = &before;
            spawn(move || {
                let controller = Controller::open().expect("open");
                let import = connect(&controller, id, Access::ReadWrite).expect("connect");
                let mut content = vec![0; PAGE];
                import.get(place * PAGE, &mut content).expect("get");
                assert!(content == before[place * PAGE..(place + 1) * PAGE]);
                import
                    .put(place * PAGE + 3, &[place as u8; 5])
                    .expect("put");
            })
        })
        .collect();
    importers.into_iter().for_each(Process::join);
    segment.unpublish().expect("unpublish");
    let buffer = segment.destroy().expect("destroy");
    for place in 0..IMPORTERS {
        assert_eq!(buffer.as_slice()[place * PAGE + 3..][..5], [place as u8; 5]);
    }
    drop((buffer, controller));
    books.balance();
}

/// Records through a mapping, ordered by a barrier. (A whole ring is in `ring`.)
#[test]
fn records_with_barriers() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let (segment, id) = published(&controller, 2, 0o666);
    let count = rounds(2000) as u64;
    let producer = spawn(|| {
        become_user(1001, 1001, &[]);
        let controller = Controller::open().expect("open");
        let import = connect(&controller, id, Access::ReadWrite).expect("connect");
        import.set_mode(BarrierMode::Explicit);
        let window = import.map().expect("map");
        for number in 1..=count {
            let barrier = window.open_barrier();
            let place = (number % 64) as usize;
            let record = [number, number.wrapping_mul(31)];
            window
                .bytes()
                .write(PAGE + place * 16, &record)
                .expect("write");
            barrier.order().expect("order");
            window.bytes().store_u64(0, number).expect("store");
            barrier.close().expect("close");
            import.signal().post(Post::NoAccumulate).expect("post");
            // The consumer's index says how far it is.
            while number - window.bytes().load_u64(64).expect("load") >= 64 {
                std::thread::yield_now();
            }
        }
    });
    let bytes = segment.bytes();
    let mut seen = 0;
    while seen < count {
        segment
            .signal()
            .wait(Some(Duration::from_secs(150)))
            .expect("a record in time");
        let written = bytes
            .atomic_u64(0)
            .expect("atomic")
            .load(std::sync::atomic::Ordering::Acquire);
        while seen < written {
            seen += 1;
            let record: [u64; 2] = bytes.read(PAGE + (seen % 64) as usize * 16).expect("read");
            assert_eq!(record, [seen, seen.wrapping_mul(31)]);
            bytes.store_u64(64, seen).expect("store");
        }
    }
    producer.join();
    drop((segment, controller));
    books.balance();
}

/// Signals to and fro, together with a socket in one wait.
#[test]
fn signal_and_wait() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let (segment, id) = published(&controller, IMPORTERS, 0o666);
    let (ours, theirs) = UnixStream::pair().expect("socket");
    let importers: Vec<Process> = (0..IMPORTERS)
        .map(|place| {
            let theirs = &theirs;
            spawn(move || {
                let controller = Controller::open().expect("open");
                let import = connect(&controller, id, Access::ReadWrite).expect("connect");
                if place % 2 == 0 {
                    import
                        .put64(place * PAGE, &[place as u64 + 1])
                        .expect("put");
                    import.signal().post(Post::Accumulate).expect("post");
                } else {
                    let number = (place as u64 + 1).to_ne_bytes();
                    let entry = [PutEntry::new(&number, place * PAGE)];
                    import.putv(&entry, Some(Post::Accumulate)).expect("putv");
                }
                import
                    .signal()
                    .wait(Some(Duration::from_secs(150)))
                    .expect("acknowledged");
                use std::io::Write;
                (&mut &*theirs).write_all(&[place as u8]).expect("write");
            })
        })
        .collect();
    for _ in 0..IMPORTERS {
        segment.signal().wait(None).expect("wait");
    }
    for place in 0..IMPORTERS {
        assert_eq!(segment.bytes().load_u64(place * PAGE), Ok(place as u64 + 1));
    }
    segment.signal().post(Post::Accumulate).expect("to all");
    // Both kinds of descriptors in one poll: now only the socket has something.
    let mut entries = [
        PollFd::new(segment.as_fd(), PollFlags::POLLRDNORM),
        PollFd::new(ours.as_fd(), PollFlags::POLLIN),
    ];
    assert_eq!(poll(&mut entries, PollTimeout::NONE).expect("poll"), 1);
    assert_eq!(entries[1].revents(), Some(PollFlags::POLLIN));
    importers.into_iter().for_each(Process::join);
    assert!(segment.signal().as_raw_fd() > 2);
    drop((segment, controller, ours, theirs));
    books.balance();
}

/// Republishing changes what new connections get.
#[test]
fn republish() {
    let controller = Controller::open().expect("open");
    let node = controller.local_node();
    let (segment, id) = published(&controller, 1, 0o666);
    let steps = Steps::new();
    let first = spawn(|| {
        become_user(1001, 1001, &[]);
        let import = connect(&controller, id, Access::ReadWrite).expect("connect");
        let window = import.map().expect("map");
        steps.reach(0);
        steps.await_step(1);
        window.write_at(0, &[1]).expect("write");
        import.put(1, &[2]).expect("put");
        assert_eq!(window.check(), Ok(()));
        steps.reach(2);
        steps.await_step(3);
        assert_eq!(refused(import.put(1, &[3])), Status::ConnAborted);
    });
    first.await_step(&steps, 0);
    segment
        .republish(&[AccessEntry::new(node, 0o444)])
        .expect("republish");
    steps.reach(1);
    first.await_step(&steps, 2);
    let seconds: Vec<Process> = (0..IMPORTERS as u32)
        .map(|place| {
            let controller = &controller;
            spawn(move || {
                become_user(1001 + place, 1001, &[]);
                let status = refused(connect(controller, id, Access::ReadWrite));
                assert_eq!(status, Status::PermDenied);
                connect(controller, id, Access::Read).expect("connect");
            })
        })
        .collect();
    seconds.into_iter().for_each(Process::join);
    // To take rights away for good: unpublish, and publish anew.
    segment.unpublish().expect("unpublish");
    let again = segment
        .publish(None, &[AccessEntry::new(node, 0o600)])
        .expect("publish");
    steps.reach(3);
    first.join();
    connect(&controller, again, Access::ReadWrite).expect("its own user");
}

/// Other memory behind the segment, and importers who do not notice.
#[test]
fn rebind() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let (mut segment, id) = published(&controller, 2, 0o666);
    segment.bytes().store_u64(PAGE, 1).expect("store");
    let steps = Steps::new();
    let importers: Vec<Process> = (0..IMPORTERS)
        .map(|place| {
            let (controller, steps) = (&controller, &steps);
            spawn(move || {
                let import = connect(controller, id, Access::ReadWrite).expect("connect");
                let window = import.map().expect("map");
                assert_eq!(window.bytes().load_u64(PAGE), Ok(1));
                let barrier = window.open_barrier();
                steps.reach(place + 1);
                import
                    .signal()
                    .wait(Some(Duration::from_secs(150)))
                    .expect("the exporter's");
                assert_eq!(window.bytes().load_u64(PAGE), Ok(2));
                let mut word = [0];
                import.get64(PAGE, &mut word).expect("get");
                assert_eq!(word, [2]);
                import.put8(place, &[1]).expect("put");
                barrier.close().expect("close");
            })
        })
        .collect();
    for (place, importer) in importers.iter().enumerate() {
        importer.await_step(&steps, place + 1);
    }
    let mut next = ExportBuffer::new(2 * PAGE).expect("buffer");
    next.as_mut_slice()[PAGE..PAGE + 8].copy_from_slice(&2_u64.to_ne_bytes());
    drop(segment.rebind(next).expect("rebind"));
    segment.signal().post(Post::Accumulate).expect("post");
    importers.into_iter().for_each(Process::join);
    let mut marks = [0; IMPORTERS];
    segment.bytes().read_at(0, &mut marks).expect("read");
    assert_eq!(marks, [1; IMPORTERS]);
    drop((segment, controller));
    books.balance();
}

/// The exporter goes, and another one comes with the same id.
#[test]
fn disconnect_and_recovery() {
    let books = Books::open();
    let controller = Controller::open().expect("open");
    let id = SegmentId::new(0x60_0300);
    let steps = Steps::new();
    let serve = |ready: usize, value: u64| {
        let (controller, steps) = (&controller, &steps);
        let exporter = spawn(move || {
            let segment =
                ExportSegment::create(controller, ExportBuffer::new(PAGE).expect("buffer"));
            let segment = segment.expect("create");
            segment.bytes().store_u64(0, value).expect("store");
            segment.publish(Some(id), &[]).expect("publish");
            steps.reach(ready);
            loop {
                std::thread::park();
            }
        });
        exporter.await_step(steps, ready);
        exporter
    };
    let first = serve(0, 1);
    let mut import = connect(&controller, id, Access::ReadWrite).expect("connect");
    import.set_mode(BarrierMode::Explicit);
    import.set_window(import.map().expect("map")).expect("set");
    let barrier = import.open_barrier();
    first.kill();
    import.put64(0, &[5]).expect("silent");
    let mut word = [0];
    import.get64(0, &mut word).expect("silent");
    assert_eq!(word, [5]);
    assert_eq!(refused(barrier.close()), Status::ConnAborted);
    // Whoever only waits is not woken, and asks.
    let patience = Some(Duration::from_millis(20));
    assert_eq!(refused(import.signal().wait(patience)), Status::Timeout);
    assert_eq!(refused(import.open_barrier().close()), Status::ConnAborted);
    drop(import.take_window());
    drop(import);
    assert_eq!(
        refused(connect(&controller, id, Access::Read)),
        Status::SegNotPublished
    );

    let second = serve(1, 2);
    let import = connect(&controller, id, Access::ReadWrite).expect("connect");
    import.get64(0, &mut word).expect("get");
    assert_eq!(word, [2]);
    second.kill();
    drop((import, controller));
    books.balance();
}
