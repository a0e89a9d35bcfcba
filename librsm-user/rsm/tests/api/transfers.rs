// SPDX-License-Identifier: MIT OR Apache-2.0
//! Put and get: what they move, what they refuse, and in which order.

use rsm::{Access, BarrierMode, Status};

use crate::common::books::Books;
use crate::common::raw::PAGE;
use crate::{refused, Scene};

#[test]
fn all_sizes_at_all_places() {
    let books = Books::open();
    let scene = Scene::new(2);
    let import = &scene.import;
    let end = 2 * PAGE;
    import.put(3, b"bytes").expect("put");
    import.put8(8, &[1, 2, 3]).expect("put8");
    import.put16(16, &[0x0102, 0x0304, 0x0506]).expect("put16");
    import
        .put32(PAGE - 4, &[0x0708_090a, 0x0b0c_0d0e])
        .expect("put32");
    import.put64(end - 8, &[u64::MAX - 1]).expect("put64");
    let mut all = vec![0; end];
    scene.segment.bytes().read_at(0, &mut all).expect("read");
    assert_eq!(&all[3..8], b"bytes");
    assert_eq!(all[8..11], [1, 2, 3]);
    assert_eq!(all[16..22], [2, 1, 4, 3, 6, 5], "in the processor's order");
    assert_eq!(all[PAGE - 4..PAGE + 4], [0xa, 9, 8, 7, 0xe, 0xd, 0xc, 0xb]);
    assert_eq!(all[end - 8..], (u64::MAX - 1).to_ne_bytes());
    assert_eq!(
        all.iter().filter(|&&byte| byte != 0).count(),
        5 + 3 + 6 + 8 + 8
    );

    let (mut a, mut b, mut c, mut d) = ([0; 3], [0; 3], [0; 2], [0; 1]);
    import.get8(8, &mut a).expect("get8");
    import.get16(16, &mut b).expect("get16");
    import.get32(PAGE - 4, &mut c).expect("get32");
    import.get64(end - 8, &mut d).expect("get64");
    assert_eq!((a, b), ([1, 2, 3], [0x0102, 0x0304, 0x0506]));
    assert_eq!((c, d), ([0x0708_090a, 0x0b0c_0d0e], [u64::MAX - 1]));
    drop(scene);
    books.balance();
}

#[test]
fn every_byte_and_no_other() {
    let scene = Scene::new(4);
    let pattern: Vec<u8> = (0..2 * PAGE).map(|at| (at % 251) as u8 + 1).collect();
    let zeroes = vec![0; 4 * PAGE];
    let mut seen = vec![0; 4 * PAGE];
    for len in [
        0,
        1,
        7,
        8,
        9,
        15,
        16,
        17,
        63,
        64,
        65,
        511,
        512,
        513,
        1000,
        PAGE,
        2 * PAGE,
    ] {
        for offset in [0, 1, 5, 8, 15, 16, PAGE - 1] {
            scene.import.put(offset, &pattern[..len]).expect("put");
            scene.segment.bytes().read_at(0, &mut seen).expect("read");
            let mut expected = zeroes.clone();
            expected[offset..offset + len].copy_from_slice(&pattern[..len]);
            assert!(seen == expected, "put of {len} at {offset}");
            let mut back = vec![0; len];
            scene.import.get(offset, &mut back).expect("get");
            assert!(back == pattern[..len], "get of {len} at {offset}");
            scene.segment.bytes().write_at(0, &zeroes).expect("clear");
        }
    }
}

#[test]
fn beyond_the_end() {
    for mapped in [false, true] {
        let scene = Scene::new(1);
        if mapped {
            scene.import.window().expect("window");
        }
        let import = &scene.import;
        for (offset, len) in [(PAGE, 1), (0, PAGE + 1), (PAGE - 1, 2), (usize::MAX, 1)] {
            assert_eq!(
                refused(import.put(offset, &vec![1; len])),
                Status::BadOffset
            );
            assert_eq!(
                refused(import.get(offset, &mut vec![1; len])),
                Status::BadOffset
            );
            let status = refused(import.check_transfer(Access::Read, offset, len));
            assert_eq!(status, Status::BadOffset);
        }
        assert_eq!(
            import.window_kind().is_some(),
            mapped,
            "no window for a failure"
        );
        let words = [1_u64];
        for count in [1 << 61, usize::MAX, (1 << 61) + 1] {
            // SAFETY: there is no such segment, so nothing is read or written.
            unsafe {
                let put = import.put_raw(0, words.as_ptr(), count);
                assert_eq!(refused(put), Status::BadOffset);
                let get = import.get_raw(0, words.as_ptr().cast_mut(), count);
                assert_eq!(refused(get), Status::BadOffset);
            }
        }
        assert_eq!(import.put(PAGE, &[]), Ok(()), "nothing, at the end");
        assert_eq!(import.put(PAGE - 1, &[1]), Ok(()));
    }
}

#[test]
fn alignment_comes_first() {
    let scene = Scene::new(1);
    let import = &scene.import;
    assert_eq!(refused(import.put16(1, &[])), Status::BadMemAlignment);
    assert_eq!(refused(import.put32(2, &[1])), Status::BadMemAlignment);
    assert_eq!(
        refused(import.put64(PAGE * 2 + 4, &[1])),
        Status::BadMemAlignment
    );
    assert_eq!(refused(import.get64(4, &mut [1])), Status::BadMemAlignment);
    let words = [0_u64; 2];
    // SAFETY: refused, since the address is odd.
    let result = unsafe { import.put_raw(0, words.as_ptr().byte_add(1), 1) };
    assert_eq!(refused(result), Status::BadMemAlignment);
    scene.abort();
    assert_eq!(refused(import.put64(4, &[1])), Status::BadMemAlignment);
    assert_eq!(refused(import.put64(0, &[1])), Status::ConnAborted);
    assert_eq!(
        refused(import.put64(PAGE, &[1])),
        Status::ConnAborted,
        "not mapped"
    );
}

#[test]
fn rights_of_the_connection() {
    for mapped in [false, true] {
        let scene = Scene::new(1);
        let (reader, writer) = (scene.connect(Access::Read), scene.connect(Access::Write));
        let signaller = scene.connect(Access::None);
        if mapped {
            reader.window().expect("window");
            writer.window().expect("window");
        }
        assert_eq!(refused(reader.put(0, &[1])), Status::PermDenied);
        assert_eq!(
            refused(reader.put(PAGE, &[1])),
            Status::PermDenied,
            "before the range"
        );
        assert_eq!(reader.get(0, &mut [1]), Ok(()));
        assert_eq!(refused(writer.get(0, &mut [1])), Status::PermDenied);
        assert_eq!(writer.put(0, &[1]), Ok(()));
        assert_eq!(refused(signaller.put(0, &[1])), Status::PermDenied);
        assert_eq!(refused(signaller.get(0, &mut [1])), Status::PermDenied);
        scene.abort();
        let expected = if mapped {
            Status::PermDenied
        } else {
            Status::ConnAborted
        };
        let fresh = if mapped { reader } else { signaller };
        assert_eq!(refused(fresh.put(0, &[1])), expected);
    }
}

#[test]
fn implicit_mode_tells_and_explicit_mode_does_not() {
    let scene = Scene::new(1);
    let import = &scene.import;
    assert_eq!(import.mode(), BarrierMode::Implicit);
    import.put64(0, &[1]).expect("put");
    scene.abort();
    for _ in 0..2 {
        assert_eq!(refused(import.put64(0, &[2])), Status::ConnAborted);
        assert_eq!(refused(import.get64(0, &mut [0])), Status::ConnAborted);
    }
    import.set_mode(BarrierMode::Explicit);
    assert_eq!(import.mode(), BarrierMode::Explicit);
    import.put64(0, &[3]).expect("put");
    let mut word = [0];
    import.get64(0, &mut word).expect("get");
    assert_eq!(word, [3], "what was put, not what is in the segment");
    assert_eq!(scene.word(0), 1);
    let unmapped = scene.connect_aborted();
    unmapped.set_mode(BarrierMode::Explicit);
    assert_eq!(refused(unmapped.put64(0, &[1])), Status::ConnAborted);
}

impl Scene {
    /// A connection that was aborted before anything was done with it.
    fn connect_aborted(&self) -> rsm::ImportSegment {
        let id = self.segment.publish(None, &[]).expect("publish");
        let import = crate::connect(&self.controller, id, Access::ReadWrite).expect("connect");
        self.abort();
        import
    }
}

#[test]
fn checks_of_a_transfer_that_is_not_made() {
    let scene = Scene::new(1);
    let check = |access, offset, len| scene.import.check_transfer(access, offset, len);
    assert_eq!(check(Access::ReadWrite, 0, PAGE), Ok(()));
    assert_eq!(scene.import.window_kind(), None);
    let reader = scene.connect(Access::Read);
    assert_eq!(
        refused(reader.check_transfer(Access::Write, PAGE, 1)),
        Status::PermDenied
    );
    scene.abort();
    assert_eq!(refused(check(Access::Read, 0, 0)), Status::ConnAborted);
}
