// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tracepoints: that each fires where it should, and says what has happened.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::libc;
use nix::sys::signal::Signal;
use nix::unistd::gettid;
use rsm_sys::*;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::spawn;
use crate::common::raw::{self, PAGE};
use crate::common::wait_until;
use crate::{map, Pair};

/// A trace of the module's events alone, until it is dropped.
struct Trace {
    path: PathBuf,
}

impl Trace {
    fn start() -> Self {
        let name = format!("rsm-test-{}", std::process::id());
        let path = PathBuf::from("/sys/kernel/tracing/instances").join(name);
        fs::create_dir(&path).expect("an instance of the tracer");
        let trace = Self { path };
        trace.set("buffer_size_kb", "64");
        // Orders the events of all processors.
        trace.set("trace_clock", "counter");
        trace.set("events/rsm/enable", "1");
        trace
    }

    fn set(&self, file: &str, value: &str) {
        let result = fs::write(self.path.join(file), value);
        result.unwrap_or_else(|error| panic!("{file}: {value}: {error}"));
    }

    /// The events of a segment so far. A fault that had to be served again counts as one.
    fn of(&self, segment: u64) -> Vec<Event> {
        let text = fs::read_to_string(self.path.join("trace")).expect("trace");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let mut events: Vec<Event> = lines
            .map(Event::parse)
            .filter(|event| event.segment == segment)
            .collect();
        events.dedup_by(|next, last| next == last && next.text.starts_with("rsm_fault"));
        events
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join("events/rsm/enable"), "0");
        let result = fs::remove_dir(&self.path);
        if !std::thread::panicking() {
            result.expect("the instance is not in use");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    /// Who caused it.
    thread: i32,
    segment: u64,
    /// The event and its fields, but the time that a revocation took.
    text: String,
}

impl Event {
    /// Of a line `COMMAND-THREAD [CPU] FLAGS TIME: EVENT: FIELD=VALUE …`.
    fn parse(line: &str) -> Self {
        let parts = || {
            let (task, rest) = line.split_once(" [")?;
            let thread = task.rsplit_once('-')?.1.trim().parse().ok()?;
            let text = &rest[rest.find("rsm_")?..];
            let segment = text.split_once(": segment=")?.1;
            let segment = segment.split(' ').next()?.parse().ok()?;
            let text = match text.split_once(" ns=") {
                Some((text, time)) => {
                    assert!(time.parse::<u64>().ok()? > 0, "no time: {line}");
                    text
                }
                None => text,
            };
            Some(Self {
                thread,
                segment,
                text: text.to_owned(),
            })
        };
        parts().unwrap_or_else(|| panic!("not an event of ours: {line:?}"))
    }
}

/// What is expected of one segment, and is seen in the end.
struct Story<'a> {
    trace: &'a Trace,
    segment: u64,
    /// Each with whether the calling thread causes it, if that is for sure.
    events: Vec<(Option<bool>, String)>,
}

impl<'a> Story<'a> {
    /// Of the newest segment of this process, as debugfs has it.
    fn of(trace: &'a Trace, memory: &Map) -> Self {
        let list = fs::read_to_string("/sys/kernel/debug/rsm/segments").expect("segments");
        let ours = format!(" pid={} ", std::process::id());
        let lines = list.lines().filter(|line| line.contains(&ours));
        let numbers = lines.filter_map(|line| {
            let number = line.strip_prefix("segment=")?.split(' ').next()?;
            number.parse().ok()
        });
        let segment = numbers.max().expect("a segment of ours in the list");
        let mut story = Self {
            trace,
            segment,
            events: Vec::new(),
        };
        let (addr, pages) = (memory.addr(), memory.len / PAGE);
        story.add("create", &format!("addr={addr:#x} pages={pages}"));
        story
    }

    fn add_by(&mut self, ours: Option<bool>, event: &str, fields: &str) {
        let text = format!("rsm_{event}: segment={} {fields}", self.segment);
        self.events.push((ours, text.trim_end().to_owned()));
    }

    fn add(&mut self, event: &str, fields: &str) {
        self.add_by(Some(true), event, fields);
    }

    fn publish(&mut self, id: u32) {
        self.add("publish", &format!("id={id:#x}"));
    }

    fn connect(&mut self, id: u32, rights: u32) {
        self.add("connect", &format!("id={id:#x} rights=0{rights:o}"));
    }

    fn map(&mut self, window: &Map, offset: usize) {
        let (addr, pages) = (window.addr(), window.len / PAGE);
        let fields = format!("addr={addr:#x} offset={offset} pages={pages}");
        self.add("map", &fields);
    }

    /// A fault of a live window, which fills what of it is in one block of 2 MiB.
    fn touch(&mut self, window: &Map, offset: usize) {
        window.touch(offset);
        let block = (window.addr() + offset as u64) & !(HUGE as u64 - 1);
        let addr = block.max(window.addr());
        let end = (block + HUGE as u64).min(window.addr() + window.len as u64);
        let pages = (end - addr) / PAGE as u64;
        self.add("fault", &format!("addr={addr:#x} pages={pages} live"));
    }

    /// A fault of a revoked one.
    fn touch_revoked(&mut self, window: &Map, offset: usize) {
        window.touch(offset);
        let addr = window.addr() + offset as u64;
        self.add("fault", &format!("addr={addr:#x} pages=1 revoked"));
    }

    /// Fails unless just this has happened.
    #[track_caller]
    fn tell(self) {
        // What ends by itself may still be ending.
        wait_until("as many events as expected", 150, || {
            self.trace.of(self.segment).len() >= self.events.len()
        });
        let seen = self.trace.of(self.segment);
        let texts = seen.iter().map(|event| &event.text);
        let expected = self.events.iter().map(|(_, text)| text);
        assert!(
            texts.eq(expected),
            "seen: {seen:#?}\nexpected: {:#?}",
            self.events
        );
        let me = gettid().as_raw();
        for (event, (ours, _)) in seen.iter().zip(&self.events) {
            if let Some(ours) = ours {
                assert_eq!(event.thread == me, *ours, "whose: {event:?}, I am {me}");
            }
        }
    }
}

fn part(import: &impl AsRawFd, pages: usize, offset: usize) -> Map {
    let (flags, fd) = (libc::MAP_SHARED, import.as_raw_fd());
    Map::new(pages * PAGE, READ | WRITE, flags, fd, offset * PAGE).expect("map")
}

#[test]
fn the_life_of_a_segment() {
    const PAGES: usize = 4;
    let books = Books::open();
    let trace = Trace::start();
    let controller = raw::controller();
    let (memory, other) = (Map::anonymous(PAGES * PAGE), Map::anonymous(PAGES * PAGE));
    let (addr, len) = (memory.addr(), memory.len as u64);
    let flags = RSM_EXPORT_ALLOW_REBIND;
    let export = raw::create_with(&controller, addr, len, flags).expect("create");
    let mut story = Story::of(&trace, &memory);

    let publish = || raw::publish_mode(&controller, &export, 0o666).expect("publish");
    let id = publish();
    story.publish(id);
    let import = raw::connect(&controller, id, 0o600).expect("connect");
    story.connect(id, 0o600);
    let reader = raw::connect(&controller, id, 0o400).expect("connect");
    story.connect(id, 0o400);
    let window = part(&import, 2, 1);
    story.map(&window, 1);
    story.touch(&window, PAGE);
    raw::rebind(&export, other.addr(), len).expect("rebind");
    story.add("rebind", &format!("addr={:#x}", other.addr()));
    story.touch(&window, 0);
    raw::unpublish(&export).expect("unpublish");
    story.add("revoke", "unpublish imports=2");
    story.touch_revoked(&window, PAGE);

    let id = publish();
    story.publish(id);
    let flags = RSM_IMPORT_SIGBUS;
    let fatal = raw::connect_with(&controller, id, 0o600, flags).expect("connect");
    story.connect(id, 0o600);
    let end = map(&fatal, READ | WRITE);
    story.map(&end, 0);
    raw::destroy(&export).expect("destroy");
    story.add("revoke", "destroy imports=1");
    story.add("destroy", "");
    // A signal instead of a page.
    spawn(|| end.touch(0)).join_killed(Signal::SIGBUS);
    let fields = format!("addr={:#x} pages=0 revoked", end.addr());
    story.add_by(Some(false), "fault", &fields);
    story.tell();

    drop((window, end, reader, import, fatal));
    drop((export, controller, memory, other, trace));
    books.balance();
}

/// The address is where the filled part begins, not what was touched in it.
#[test]
fn faults_of_huge_pages() {
    let books = Books::open();
    let trace = Trace::start();
    let pair = Pair::of(huge_memory(HUGE));
    let mut story = Story::of(&trace, &pair.memory);
    story.publish(pair.id);
    story.connect(pair.id, 0o600);
    story.map(&pair.window, 0);
    story.touch(&pair.window, 300 * PAGE);
    pair.destroy();
    story.add("revoke", "destroy imports=1");
    story.add("destroy", "");
    story.tell();
    drop((pair, trace));
    books.balance();
}

/// Ends a segment that nobody destroys.
fn ends(how: impl FnOnce(OwnedFd, Map), by: Option<bool>, reason: &str) {
    let books = Books::open();
    let trace = Trace::start();
    let Pair {
        controller,
        memory,
        export,
        id,
        import,
        window,
    } = Pair::new(3);
    let mut story = Story::of(&trace, &memory);
    story.publish(id);
    story.connect(id, 0o600);
    story.map(&window, 0);
    story.touch(&window, 0);
    how(export, memory);
    story.add_by(by, "revoke", &format!("{reason} imports=1"));
    story.add_by(by, "destroy", "");
    story.tell();
    drop((controller, import, window, trace));
    books.balance();
}

#[test]
fn loss_of_the_memory() {
    // A worker of the module's does it.
    let unmap = |export, memory| drop((memory, export));
    ends(unmap, Some(false), "lose");
}

#[test]
fn the_last_close() {
    let close = |export, memory| drop((export, memory));
    ends(close, None, "destroy");
}
