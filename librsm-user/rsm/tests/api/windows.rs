// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows: mapped by hand, made by transfers, at an address of one's choice.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;

use rsm::{Access, Status, WindowKind};

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::Map;
use crate::common::raw::PAGE;
use crate::{refused, Scene};

#[test]
fn transfers_make_a_window_of_their_own() {
    let books = Books::open();
    let mut scene = Scene::new(4);
    assert_eq!(scene.import.window_kind(), None);
    scene.import.put(3 * PAGE, &[1]).expect("put");
    assert_eq!(scene.import.window_kind(), Some(WindowKind::Implicit));
    let window = scene.import.window().expect("window");
    assert_eq!((window.offset(), window.len()), (0, 4 * PAGE));
    let another = scene.import.map().expect("map");
    assert_ne!(another.as_ptr(), window.as_ptr());
    assert_eq!(
        refused(scene.import.set_window(another)),
        Status::SegAlreadyMapped
    );
    assert!(scene.import.take_window().is_some());
    assert_eq!(scene.import.window_kind(), None);
    assert!(scene.import.take_window().is_none());
    drop(scene);
    books.balance();
}

#[test]
fn a_window_that_was_set_is_the_limit() {
    let books = Books::open();
    let mut scene = Scene::new(4);
    let window = scene
        .import
        .map_window(PAGE, 2 * PAGE, Access::Read)
        .expect("map");
    scene.segment.bytes().store_u64(PAGE, 7).expect("store");
    scene.import.set_window(window).expect("set");
    assert_eq!(scene.import.window_kind(), Some(WindowKind::Explicit));
    let mut word = [0];
    scene.import.get64(PAGE, &mut word).expect("get");
    assert_eq!(word, [7], "offsets are those of the segment");
    for offset in [0, PAGE - 8, 3 * PAGE, 4 * PAGE, usize::MAX - 7] {
        assert_eq!(
            refused(scene.import.get64(offset, &mut word)),
            Status::BadOffset
        );
    }
    assert_eq!(refused(scene.import.put64(PAGE, &word)), Status::PermDenied);
    let window = scene.import.take_window().expect("taken");
    assert_eq!(window.offset(), PAGE);
    scene
        .import
        .put64(0, &word)
        .expect("put through a window of the whole");
    assert_eq!(scene.word(0), 7);
    drop((scene, window));
    books.balance();
}

#[test]
fn windows_belong_to_their_import() {
    let scene = Scene::new(1);
    let other = scene.connect(Access::Read);
    let window = other.map().expect("map");
    assert_eq!(refused(scene.import.set_window(window)), Status::BadSegHndl);
    assert_eq!(scene.import.window_kind(), None);
}

#[test]
fn at_an_address_of_ones_choice() {
    let books = Books::open();
    let scene = Scene::new(2);
    scene.segment.bytes().store_u64(PAGE, 9).expect("store");
    let place = Map::anonymous(2 * PAGE);
    place.store(0, 1);
    let address = NonZeroUsize::new(place.addr() as usize).expect("not null");
    // SAFETY: the map's second page is not used by anybody.
    let (window, misaligned) = unsafe {
        let second = address.checked_add(PAGE).expect("fits");
        let window = scene.import.map_window_at(second, PAGE, PAGE, Access::Read);
        let odd = address.checked_add(1).expect("fits");
        (
            window.expect("map"),
            scene.import.map_window_at(odd, 0, PAGE, Access::Read),
        )
    };
    assert_eq!(refused(misaligned), Status::BadMemAlignment);
    assert_eq!(window.as_ptr() as usize, address.get() + PAGE);
    assert_eq!(place.load(PAGE), 9, "the segment is there");
    assert_eq!(place.load(0), 1, "and nowhere else");
    drop((window, scene, place));
    books.balance();
}

#[test]
fn what_is_there_outlives_a_failure() {
    let books = Books::open();
    let scene = Scene::new(2);
    let place = Map::anonymous(2 * PAGE);
    place.store(PAGE, 1);
    let address = NonZeroUsize::new(place.addr() as usize).expect("not null");
    // SAFETY: nobody uses the map but this test, which wants it to stay.
    let map = || unsafe {
        scene
            .import
            .map_window_at(address, 0, 2 * PAGE, Access::Read)
    };
    let limit = Knob::parameter("max_import_mappings", 1);
    let other = scene.import.map().expect("map");
    assert_eq!(refused(map()), Status::InsufficientResources);
    assert_eq!(place.load(PAGE), 1);
    drop(other);
    assert_eq!(map().map(drop), Ok(()), "and one is not too many");
    drop((limit, scene, place));
    books.balance();
}

#[test]
fn lengths_need_not_be_pages() {
    let scene = Scene::new(2);
    let window = scene
        .import
        .map_window(PAGE, 100, Access::ReadWrite)
        .expect("map");
    assert_eq!(window.len(), 100);
    window.write_at(99, &[1]).expect("write");
    assert_eq!(refused(window.write_at(100, &[1])), Status::BadOffset);
    window.prefault(50, 50).expect("prefault");
    assert_eq!(refused(window.prefault(50, 51)), Status::BadOffset);
    let nothing = scene.import.map_window(0, PAGE, Access::None).expect("map");
    assert_eq!(refused(nothing.read_at(0, &mut [0])), Status::PermDenied);
    assert_eq!(refused(nothing.prefault(0, 1)), Status::PermDenied);
    assert_eq!(nothing.prefault(0, 0), Ok(()));
}

#[test]
fn prefault_makes_the_translations() {
    let _settings = Knob::no_numa_balancing();
    let scene = Scene::new(64);
    let window = scene.import.map().expect("map");
    let faults = || {
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_THREAD);
        usage.expect("usage").minor_page_faults()
    };
    window.prefault(0, window.len()).expect("prefault");
    let mut content = vec![1_u8; window.len()];
    // The code may fault for itself the first time: it must be the same code.
    let other = scene.import.map().expect("map");
    let taken = black_box([&other, &window]).map(|window| {
        let before = faults();
        window.read_at(0, &mut content).expect("read");
        faults() - before
    });
    assert!(taken[0] > 0, "no faults without prefault");
    assert_eq!(taken[1], 0, "faults after prefault");
    scene.abort();
    assert_eq!(refused(window.prefault(0, PAGE)), Status::ConnAborted);
}

#[test]
fn a_window_outlives_import_and_controller() {
    let books = Books::open();
    let scene = Scene::new(1);
    let window = scene.import.map().expect("map");
    let signal = scene.import.signal().clone();
    let Scene {
        controller,
        segment,
        import,
        ..
    } = scene;
    drop((controller, import));
    window.write_at(0, b"x").expect("write");
    window.prefault(0, 1).expect("prefault");
    assert_eq!(window.check(), Ok(()));
    segment.signal().post(rsm::Post::Accumulate).expect("post");
    assert_eq!(signal.try_wait(), Ok(true));
    let _descriptor = signal.as_fd();
    drop((window, signal, segment));
    books.balance();
}

#[test]
fn an_aborted_connection_cannot_be_mapped() {
    let scene = Scene::new(1);
    scene.abort();
    assert_eq!(refused(scene.import.map()), Status::ConnAborted);
    assert_eq!(refused(scene.import.window()), Status::ConnAborted);
    assert_eq!(scene.import.window_kind(), None);
}
