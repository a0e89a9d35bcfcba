// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scatter-gather.

use rsm::{
    Access, BarrierMode, ExportBuffer, GetEntry, LocalMemory, Post, PutEntry, ScatterError, Status,
    MAX_ENTRIES,
};

use crate::common::books::Books;
use crate::common::raw::PAGE;
use crate::{refused, Scene};

fn failure(status: Status, residual: usize) -> Result<(), ScatterError> {
    let error = status.into();
    Err(ScatterError { error, residual })
}

#[test]
fn there_and_back() {
    let books = Books::open();
    let scene = Scene::new(2);
    let texts: Vec<String> = (0..MAX_ENTRIES)
        .map(|n| format!("entry number {n}"))
        .collect();
    let entries: Vec<PutEntry<'_>> = texts
        .iter()
        .enumerate()
        .map(|(place, text)| PutEntry::new(text.as_bytes(), place * 501))
        .collect();
    for count in [1, 2, MAX_ENTRIES] {
        scene.import.putv(&entries[..count], None).expect("putv");
    }
    let mut seen = vec![[0; 15]; MAX_ENTRIES];
    let mut back: Vec<GetEntry<'_>> = seen
        .iter_mut()
        .enumerate()
        .map(|(place, into)| GetEntry::new(into, place * 501))
        .collect();
    scene.import.getv(&mut back, None).expect("getv");
    for (text, seen) in texts.iter().zip(&seen) {
        assert_eq!(text.as_bytes(), &seen[..text.len()]);
    }
    let mut there = [0; 15];
    scene
        .segment
        .bytes()
        .read_at(9 * 501, &mut there)
        .expect("read");
    assert_eq!(&there[..14], b"entry number 9");
    drop(scene);
    books.balance();
}

#[test]
fn handles_of_local_memory() {
    let books = Books::open();
    let scene = Scene::new(1);
    let local = LocalMemory::new(ExportBuffer::new(PAGE).expect("buffer"));
    local.bytes().write_at(PAGE - 4, b"tail").expect("write");
    local.bytes().write_at(0, b"head").expect("write");
    let put = |from, len, to| local.put(from, len, to);
    let entries = [put(PAGE - 4, 4, 0), put(0, 4, 4), put(PAGE, 0, 8)].map(|e| e.expect("entry"));
    scene.import.putv(&entries, None).expect("putv");
    // The same part twice: the second wins.
    let mut back = [
        local.get(100, 8, 8).expect("entry"),
        local.get(100, 8, 0).expect("entry"),
    ];
    scene.import.getv(&mut back, None).expect("getv");
    for bad in [(PAGE, 1), (PAGE - 1, 2), (usize::MAX, 2)] {
        assert_eq!(refused(put(bad.0, bad.1, 0)), Status::BadOffset);
        assert_eq!(refused(local.get(bad.0, bad.1, 0)), Status::BadOffset);
    }
    let buffer = local.free();
    assert_eq!(&buffer.as_slice()[100..108], b"tailhead");
    drop((scene, buffer));
    books.balance();
}

#[test]
fn failures_say_how_far_it_went() {
    let scene = Scene::new(1);
    let import = &scene.import;
    assert_eq!(import.putv(&[], None), failure(Status::BadSgio, 0));
    let entry = PutEntry::new(b"x", 0);
    assert_eq!(
        import.putv(&[entry; 17], None),
        failure(Status::BadSgio, 17)
    );
    assert_eq!(import.getv(&mut [], None), failure(Status::BadSgio, 0));
    assert_eq!(import.window_kind(), None);

    let entries = [
        PutEntry::new(b"a", 0),
        PutEntry::new(b"b", PAGE),
        PutEntry::new(b"c", 2),
        PutEntry::new(b"d", 3),
    ];
    let result = import.putv(&entries, Some(Post::Accumulate));
    assert_eq!(result, failure(Status::BadOffset, 3));
    let mut there = [0; 4];
    scene.segment.bytes().read_at(0, &mut there).expect("read");
    assert_eq!(&there, b"a\0\0\0", "those before it, and none after");
    assert_eq!(
        scene.segment.signal().try_wait(),
        Ok(false),
        "no signal after a failure"
    );

    let reader = scene.connect(Access::Read);
    assert_eq!(reader.putv(&[entry], None), failure(Status::PermDenied, 1));
    let writer = scene.connect(Access::Write);
    let result = writer.getv(&mut [GetEntry::new(&mut [0], 0)], None);
    assert_eq!(result, failure(Status::PermDenied, 1));
    let beyond = PutEntry::new(b"x", PAGE);
    assert_eq!(reader.putv(&[beyond], None), failure(Status::BadOffset, 1));
    let neither = scene.connect(Access::None);
    assert_eq!(neither.putv(&[entry], None), failure(Status::PermDenied, 1));
    assert_eq!(neither.putv(&[beyond], None), failure(Status::BadOffset, 1));
    let result = neither.getv(&mut [GetEntry::new(&mut [0], 0)], None);
    assert_eq!(result, failure(Status::PermDenied, 1));

    // SAFETY: made of slices.
    let result = unsafe {
        let translated = [
            Ok(PutEntry::new(b"e", 1)),
            Err(Status::BadSgio.into()),
            Ok(entry),
        ];
        import.putv_raw(translated.into_iter(), None)
    };
    assert_eq!(result, failure(Status::BadSgio, 2));
    scene.segment.bytes().read_at(0, &mut there).expect("read");
    assert_eq!(&there, b"ae\0\0");
}

#[test]
fn offsets_are_those_of_the_segment() {
    let scene = Scene::new(4);
    let window = scene
        .import
        .map_window(PAGE, PAGE, Access::ReadWrite)
        .expect("map");
    scene.import.set_window(window).expect("set");
    scene
        .import
        .putv(&[PutEntry::new(&[7; 8], PAGE)], None)
        .expect("putv");
    assert_eq!(scene.word(PAGE), 0x0707_0707_0707_0707);
    let outside = [PutEntry::new(&[7; 8], 0)];
    assert_eq!(
        scene.import.putv(&outside, None),
        failure(Status::BadOffset, 1)
    );
}

#[test]
fn signals() {
    let scene = Scene::new(1);
    let entry = [PutEntry::new(b"x", 0)];
    let taken = || {
        let signal = scene.segment.signal();
        (0..)
            .take_while(|_| signal.try_wait().expect("wait"))
            .count()
    };
    scene
        .import
        .putv(&entry, Some(Post::Accumulate))
        .expect("putv");
    assert_eq!(taken(), 1);
    for _ in 0..3 {
        scene
            .import
            .putv(&entry, Some(Post::NoAccumulate))
            .expect("putv");
    }
    assert_eq!(taken(), 1);
    let mut byte = [0];
    let mut entry = [GetEntry::new(&mut byte, 0)];
    scene
        .import
        .getv(&mut entry, Some(Post::Accumulate))
        .expect("getv");
    scene.import.getv(&mut entry, None).expect("getv");
    assert_eq!((taken(), byte[0]), (1, b'x'));
}

#[test]
fn lost_connections_are_told_in_either_mode() {
    let scene = Scene::new(1);
    let entry = [PutEntry::new(b"x", 0)];
    scene.import.putv(&entry, None).expect("putv");
    let unmapped = scene.connect(Access::ReadWrite);
    scene.abort();
    for mode in [BarrierMode::Implicit, BarrierMode::Explicit] {
        scene.import.set_mode(mode);
        let aborted = failure(Status::ConnAborted, 1);
        assert_eq!(scene.import.putv(&entry, Some(Post::Accumulate)), aborted);
        let mut byte = [0];
        assert_eq!(
            scene.import.getv(&mut [GetEntry::new(&mut byte, 0)], None),
            aborted
        );
        assert_eq!(unmapped.putv(&entry, None), aborted);
    }
}
