// SPDX-License-Identifier: MIT OR Apache-2.0
//! Barriers.

use rsm::{Access, BarrierMode, Error, Status};

use crate::{connect, refused, Scene};

#[test]
fn they_hold_while_the_connection_lives() {
    let scene = Scene::new(2);
    let window = scene.import.map().expect("map");
    for mode in [BarrierMode::Implicit, BarrierMode::Explicit] {
        scene.import.set_mode(mode);
        let (first, second) = (scene.import.open_barrier(), window.open_barrier());
        window.write_at(0, b"record").expect("write");
        assert_eq!((first.order(), first.order()), (Ok(()), Ok(())));
        scene.import.put(100, b"index").expect("put");
        assert_eq!((second.close(), first.close()), (Ok(()), Ok(())));
    }
    scene.segment.republish(&[]).expect("republish");
    let barrier = scene.import.open_barrier();
    scene
        .segment
        .signal()
        .post(rsm::Post::Accumulate)
        .expect("post");
    assert_eq!(barrier.close(), Ok(()), "neither ends a connection");
}

#[test]
fn they_fail_for_good_once_it_is_lost() {
    let scene = Scene::new(1);
    let barrier = scene.import.open_barrier();
    scene.import.put64(0, &[1]).expect("put");
    scene.abort();
    assert_eq!(refused(barrier.order()), Status::ConnAborted);
    assert_eq!(refused(barrier.close()), Status::ConnAborted);
    for _ in 0..2 {
        assert_eq!(
            refused(scene.import.open_barrier().close()),
            Status::ConnAborted
        );
    }
    let id = scene
        .segment
        .publish(Some(rsm::SegmentId::new(0x60_0200)), &[])
        .expect("publish");
    assert_eq!(
        refused(scene.import.open_barrier().close()),
        Status::ConnAborted
    );
    let fresh = connect(&scene.controller, id, Access::Read).expect("connect");
    assert_eq!(fresh.open_barrier().close(), Ok(()));
}

#[test]
fn work_within_one() {
    let scene = Scene::new(1);
    scene.import.set_mode(BarrierMode::Explicit);
    let sum = scene.import.within_barrier(|barrier| -> rsm::Result<u64> {
        scene.import.put64(0, &[2, 3])?;
        barrier.order()?;
        let mut words = [0; 2];
        scene.import.get64(0, &mut words)?;
        Ok(words.iter().sum())
    });
    assert_eq!(sum, Ok(5));
    let beyond = scene
        .import
        .within_barrier(|_| scene.import.put(1 << 40, &[1]));
    assert_eq!(refused(beyond), Status::BadOffset);
    let lost: Result<(), Error> = scene.import.within_barrier(|_| {
        scene.abort();
        Err(Status::BadConf.into())
    });
    assert_eq!(refused(lost), Status::ConnAborted, "whatever the work says");
}
