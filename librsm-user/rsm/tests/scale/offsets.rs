// SPDX-License-Identifier: MIT OR Apache-2.0
//! Offsets of 4 GiB and more: windows and transfers reach what is there, and not what is 4 GiB
//! below it.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use rsm::{Access, Controller, Error, GetEntry, ImportSegment, PutEntry, SegmentId, Status};

use crate::common::backing::{memfd, HUGE};
use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::pair::{Remote, OLD};
use crate::common::raw::{self, PAGE};
use crate::scattered::{first_huge, repeated_huge_memory, replace, HugeFiles, GIB};

/// Where the part begins that is looked at.
const HIGH: usize = 4 * GIB;

/// Bytes that there are above, or a little less.
const ABOVE: usize = 2 * HUGE;

/// Below, a few huge pages come again and again; each page above is there once.
fn long_memory() -> Map {
    let huge = HugeFiles::new();
    let memory = repeated_huge_memory(HIGH + ABOVE);
    let high = first_huge(&memory) + HIGH;
    replace(&memory, high, &memfd(ABOVE), 0, ABOVE);
    drop(huge);
    memory
}

/// A published segment that is longer than 4 GiB. Each page above is marked with its number.
struct Long<'a> {
    export: OwnedFd,
    id: u32,
    len: usize,
    memory: &'a Map,
    /// Where the segment begins in the memory.
    first: usize,
}

impl<'a> Long<'a> {
    /// In [`long_memory`], beginning so many bytes behind a huge page's first.
    fn new(memory: &'a Map, behind: usize) -> Self {
        let (first, len) = (first_huge(memory) + behind, HIGH + ABOVE - behind);
        for offset in (HIGH..len).step_by(PAGE) {
            memory.store(first + offset, OLD | (offset / PAGE) as u64);
        }
        let controller = raw::controller();
        let export = raw::create(&controller, memory.addr() + first as u64, len as u64);
        let export = export.expect("create");
        let id = raw::publish_mode(&controller, &export, 0o666).expect("publish");
        Self {
            export,
            id,
            len,
            memory,
            first,
        }
    }

    /// The exporter's word at an offset of the segment.
    fn word(&self, offset: usize) -> u64 {
        self.memory.load(self.first + offset)
    }

    /// Fails unless `store` stores `value` at `offset` and leaves what is 4 GiB below alone.
    #[track_caller]
    fn assert_stored(&self, offset: usize, value: u64, store: impl FnOnce()) {
        let below = self.word(offset - HIGH);
        assert_ne!(self.word(offset), value, "before");
        store();
        assert_eq!(self.word(offset), value, "at {offset:#x}");
        assert_eq!(self.word(offset - HIGH), below, "4 GiB below {offset:#x}");
    }
}

fn windows(memory: &Map) {
    // A huge page's entry can map what is there, or cannot.
    for behind in [0, PAGE] {
        let long = Long::new(memory, behind);
        let len = long.len;
        let remote = Remote::of(long.id);
        assert_eq!(remote.import.length, len as u64);
        let whole = &remote.window;
        let window = |offset: usize, len: usize| {
            let import = remote.import.as_raw_fd();
            Map::new(len, READ | WRITE, libc::MAP_SHARED, import, offset)
        };
        let above = window(HIGH, len - HIGH).expect("above");
        above.assert_marked(OLD, HIGH / PAGE);
        let last = window(len - PAGE, PAGE).expect("the last page");
        last.assert_marked(OLD, (len - PAGE) / PAGE);
        let across = window(HIGH - HUGE, 2 * HUGE).expect("across");
        raw::prefault(&remote.import, across.addr(), across.len as u64).expect("prefault");
        for offset in [HIGH - HUGE, HIGH - PAGE, HIGH, HIGH + HUGE - PAGE] {
            let word = long.word(offset);
            assert_eq!(across.load(offset - (HIGH - HUGE)), word, "at {offset:#x}");
            assert_eq!(whole.load(offset), word, "at {offset:#x}");
        }
        for (map, offset) in [(whole, 0), (&above, HIGH), (&last, len - PAGE)] {
            let (end, value) = (len - 8, !offset as u64);
            long.assert_stored(end, value, || map.store(end - offset, value));
            assert_eq!(whole.load(end), value, "the whole");
            assert_eq!(above.load(end - HIGH), value, "above");
            assert_eq!(last.load(PAGE - 8), value, "the last page");
        }
        for (offset, bytes) in [
            (len, PAGE),
            (len - PAGE, 2 * PAGE),
            (HIGH, len),
            (HIGH + PAGE, len - HIGH),
            (2 * HIGH, PAGE),
        ] {
            let beyond = window(offset, bytes).map(drop);
            assert_eq!(beyond, Err(Errno::EINVAL), "{bytes:#x} at {offset:#x}");
        }

        let kept = long.word(len - 8);
        raw::destroy(&long.export).expect("destroy");
        assert!(!remote.live());
        above.assert_zero();
        last.assert_zero();
        for offset in [0, HIGH - HUGE, HIGH - 8, HIGH, len - 8] {
            assert_eq!(whole.load(offset), 0, "at {offset:#x}");
        }
        for offset in [0, HUGE - 8, HUGE, 2 * HUGE - 8] {
            assert_eq!(across.load(offset), 0, "across, at {offset:#x}");
        }
        whole.store(len - 8, 1);
        assert_eq!(long.word(len - 8), kept);
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: rsm::Result<T>) -> Status {
    match result {
        Err(Error::Rsm(status)) => status,
        other => panic!("{other:?}"),
    }
}

fn transfers(memory: &Map) {
    let long = Long::new(memory, 0);
    let controller = Controller::open().expect("open");
    let id = SegmentId::new(long.id);
    let node = controller.local_node();
    let connect = || ImportSegment::connect(&controller, node, id, Access::ReadWrite);
    let explicit = connect().expect("connect");
    let window = explicit.map_window(HIGH, ABOVE, Access::ReadWrite);
    explicit
        .set_window(window.expect("a window above"))
        .expect("set");
    let implicit = connect().expect("connect");
    let end = long.len;
    for (n, import) in [(1, &explicit), (2, &implicit)] {
        let mut words = [0; 2];
        import.get64(HIGH, &mut words).expect("get64");
        assert_eq!(words, [long.word(HIGH), long.word(HIGH + 8)]);
        long.assert_stored(end - 8, n, || import.put64(end - 8, &[n]).expect("put64"));
        import.get64(end - 8, &mut words[..1]).expect("get64");
        assert_eq!(words[0], n);

        let (at, value) = (HIGH + HUGE - 3, (n << 32) | 0x5a5a_5a5a);
        let bytes = [[0; 3].as_slice(), &value.to_ne_bytes(), &[0; 5]].concat();
        long.assert_stored(at + 3, value, || import.put(at, &bytes).expect("put"));
        let mut back = vec![1; bytes.len()];
        import.get(at, &mut back).expect("get");
        assert_eq!(back, bytes);

        let bytes = (n + 6).to_ne_bytes();
        long.assert_stored(HIGH, n + 6, || {
            let entries = [PutEntry::new(&bytes, HIGH)];
            import.putv(&entries, None).expect("putv");
        });
        let mut back = [0; 8];
        let mut entries = [GetEntry::new(&mut back, HIGH)];
        import.getv(&mut entries, None).expect("getv");
        assert_eq!(back, bytes);

        for offset in [end, end - 4, end + HIGH] {
            let put = import.put(offset, &[0; 8]);
            assert_eq!(refused(put), Status::BadOffset, "put at {offset:#x}");
            let get = import.get(offset, &mut back);
            assert_eq!(refused(get), Status::BadOffset, "get at {offset:#x}");
        }
        let mut word = [0];
        let get = import.get64(end, &mut word);
        assert_eq!(refused(get), Status::BadOffset, "get64");
    }
    let below = explicit.put64(0, &[3]);
    assert_eq!(refused(below), Status::BadOffset, "outside of the window");
    raw::destroy(&long.export).expect("destroy");
    for import in [&explicit, &implicit] {
        let put = import.put64(end - 8, &[3]);
        assert_eq!(refused(put), Status::ConnAborted);
        let get = import.get(HIGH, &mut [0; 8]);
        assert_eq!(refused(get), Status::ConnAborted);
    }
    assert_eq!(long.word(end - 8), 2);
}

/// One after the other: their memory takes long to make.
#[test]
fn beyond_four_gibibytes() {
    let books = Books::open();
    let memory = long_memory();
    windows(&memory);
    transfers(&memory);
    drop(memory);
    books.balance();
}
