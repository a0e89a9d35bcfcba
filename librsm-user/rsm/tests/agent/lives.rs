// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whatever ends an exporter, at whatever point of its segment's life: importers lose the memory,
//! the id is free, and all that was pinned, locked and made for it is given back.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{setrlimit, Resource};
use nix::unistd::{execvp, pipe2};
use rsm_sys::*;

use crate::common::books::{pins, Books};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{become_user, in_child, spawn, Process, Steps};
use crate::common::raw::{self, Connection, PAGE};
use crate::common::{debug_kernel, soak, wait_until};
use crate::exporter::{exit, leave_heir};
use crate::{map, Slot, ABORTED, NEW, NOT_PUBLISHED, OLD, TIMEOUT};

/// How far a segment has come. Those from [`Point::Published`] on have been published, those from
/// [`Point::Connected`] on connected to, those from [`Point::Mapped`] on mapped and touched.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Point {
    Bound,
    Published,
    Connected,
    Mapped,
    Rebound,
    Unpublished,
    Destroyed,
}

const POINTS: [Point; 7] = [
    Point::Bound,
    Point::Published,
    Point::Connected,
    Point::Mapped,
    Point::Rebound,
    Point::Unpublished,
    Point::Destroyed,
];

const ID: u32 = 0x60_7000;
const PAGES: usize = 4;

/// What the exporters' user may lock: just what they need to rebind.
const LIMIT: u64 = (2 * PAGES * PAGE) as u64;

/// What a segment is rebound to.
const OTHER: u64 = 0x07e4_0000_0000_0000;

/// Becomes a user of whom no other test has anything.
fn become_exporter() {
    setrlimit(Resource::RLIMIT_MEMLOCK, LIMIT, LIMIT).expect("setrlimit");
    become_user(4400, 4400, &[]);
}

/// Brings a segment to a `point`, and waits until its end is to come.
fn live_until(point: Point, steps: &Steps) -> (OwnedFd, [Map; 2]) {
    become_exporter();
    let memory = [OLD, OTHER].map(|pattern| {
        let memory = Map::anonymous(PAGES * PAGE);
        memory.mark(pattern);
        memory
    });
    let addr = |n: usize| memory[n].addr();
    let len = (PAGES * PAGE) as u64;
    let export = raw::create_with(&raw::controller(), addr(0), len, RSM_EXPORT_ALLOW_REBIND);
    let export = export.expect("create");
    if point >= Point::Published {
        raw::publish(&export, ID, &[]).expect("publish");
    }
    steps.reach(0);
    steps.await_step(1);
    match point {
        Point::Rebound => raw::rebind(&export, addr(1), len).expect("rebind"),
        Point::Unpublished => raw::unpublish(&export).expect("unpublish"),
        Point::Destroyed => raw::destroy(&export).expect("destroy"),
        _ => (),
    }
    steps.reach(2);
    steps.await_step(3);
    (export, memory)
}

/// A connection to the segment, with or without a window.
struct Importer {
    import: Connection,
    slot: Slot,
    window: Option<Map>,
}

impl Importer {
    fn of(point: Point) -> Option<Self> {
        let connected = point >= Point::Connected;
        connected.then(|| {
            let controller = raw::controller();
            let import = raw::connect(&controller, ID, 0o600).expect("connect");
            let slot = Slot::of(&controller, &import);
            let mapped = point >= Point::Mapped;
            let window = mapped.then(|| map(&import, READ | WRITE));
            let importer = Self {
                import,
                slot,
                window,
            };
            importer.assert_sees(OLD);
            importer
        })
    }

    #[track_caller]
    fn assert_sees(&self, pattern: u64) {
        assert!(self.slot.live());
        if let Some(window) = &self.window {
            window.assert_marked(pattern, 0);
        }
    }

    /// The contract's words for a connection that has been revoked.
    #[track_caller]
    fn assert_aborted(&self) {
        assert!(!self.slot.live(), "the slot still says live");
        if let Some(window) = &self.window {
            window.assert_zero();
        }
        let again = Map::shared(self.import.as_raw_fd(), PAGE, READ).map(drop);
        assert_eq!(again, Err(Errno::ECONNABORTED), "mmap");
        assert_eq!(raw::post(&self.import, 0), Err(ABORTED), "post");
        assert_eq!(raw::wait(&self.import, 0), Err(TIMEOUT), "no event");
    }
}

/// Fails unless nothing of an exporter is left but, perhaps, descriptors of a dead segment.
#[track_caller]
fn assert_given_back(pins_before: i64, importer: Option<&Importer>) {
    let assert_aborted = || {
        importer
            .iter()
            .for_each(|importer| importer.assert_aborted())
    };
    assert_aborted();
    let controller = raw::controller();
    let connect = raw::connect(&controller, ID, 0o400).map(drop);
    assert_eq!(connect, Err(NOT_PUBLISHED));
    wait_until("all is unpinned", 150, || pins() == pins_before);
    in_child(|| {
        let memory = Map::anonymous(LIMIT as usize);
        become_exporter();
        let controller = raw::controller();
        wait_until("all of the limit can be locked", 150, || {
            raw::create(&controller, memory.addr(), LIMIT).is_ok()
        });
    });

    // The id is free, and former importers have nothing of who takes it.
    let memory = Map::anonymous(PAGE);
    memory.mark(NEW);
    let export = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
    assert_eq!(raw::publish(&export, ID, &[]), Ok(ID), "publish anew");
    let import = raw::connect(&controller, ID, 0o600).expect("connect anew");
    map(&import, READ).assert_marked(NEW, 0);
    raw::post(&export, 0).expect("post");
    assert_eq!(raw::wait(&import, 0), Ok(()));
    assert_aborted();
    raw::destroy(&export).expect("destroy");
}

/// Brings a segment to each point, in a process that then does `end`. `ended` waits until that
/// must have ended the segment, and returns what makes the process end. On the debug kernel, where
/// it takes long to make a process, each point meets only two of the six ends, which are numbered.
fn at_each_point<L: FnOnce()>(
    number: usize,
    end: impl Fn(&OwnedFd, &[Map], &Steps),
    ended: impl Fn(Process, &Steps) -> L,
) {
    for point in POINTS {
        if debug_kernel() && !soak() && (point as usize + number) % 3 != 0 {
            continue;
        }
        println!("{point:?}");
        let books = Books::open();
        let pins_before = pins();
        let steps = Steps::new();
        let process = spawn(|| {
            let (export, memory) = live_until(point, &steps);
            end(&export, &memory, &steps);
        });
        process.await_step(&steps, 0);
        let importer = Importer::of(point);
        steps.reach(1);
        process.await_step(&steps, 2);
        importer.iter().for_each(|importer| match point {
            Point::Rebound => importer.assert_sees(OTHER),
            Point::Unpublished | Point::Destroyed => importer.assert_aborted(),
            _ => importer.assert_sees(OLD),
        });
        steps.reach(3);
        let let_go = ended(process, &steps);
        assert_given_back(pins_before, importer.as_ref());
        steps.reach(15);
        let_go();
        drop((importer, steps));
        books.balance();
    }
}

#[test]
fn exits() {
    at_each_point(
        0,
        |_, _, _| exit(),
        |process, _| {
            process.join();
            || ()
        },
    );
}

#[test]
fn is_killed() {
    at_each_point(
        1,
        |_, _, _| loop {
            std::thread::park();
        },
        |process, _| {
            process.kill();
            || ()
        },
    );
}

#[test]
fn exits_and_leaves_the_descriptor_to_a_child() {
    at_each_point(
        2,
        |_, _, steps| {
            leave_heir(steps);
            exit()
        },
        |process, _| {
            process.join();
            || ()
        },
    );
}

#[test]
fn destroys_what_a_child_has_too() {
    at_each_point(
        3,
        |export, memory, steps| {
            leave_heir(steps);
            raw::destroy(export).expect("destroy");
            memory.iter().for_each(|memory| memory.mark(NEW));
            steps.reach(4);
            steps.await_step(15);
            memory
                .iter()
                .for_each(|memory| memory.assert_marked(NEW, 0));
        },
        |process, steps| {
            process.await_step(steps, 4);
            || process.join()
        },
    );
}

/// Becomes another program, which says so and ends when it is told to.
fn becomes_another_program(passed_on: bool) {
    let (said, say) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    let (hear, tell) = pipe2(OFlag::O_CLOEXEC).expect("pipe");
    let (said, tell) = (File::from(said), File::from(tell));
    at_each_point(
        4 + usize::from(passed_on),
        |export, _, _| {
            // SAFETY: descriptors of this process.
            unsafe {
                assert_eq!(libc::dup2(hear.as_raw_fd(), 0), 0);
                assert_eq!(libc::dup2(say.as_raw_fd(), 1), 1);
                let flags = if passed_on { 0 } else { libc::FD_CLOEXEC };
                assert_eq!(libc::fcntl(export.as_raw_fd(), libc::F_SETFD, flags), 0);
            }
            let words = ["sh", "-c", "echo done; read line"];
            let words = words.map(|word| CString::new(word).expect("no zero"));
            let error = execvp(&words[0], &words).expect_err("exec returns only if it fails");
            panic!("exec of sh: {error}");
        },
        |process, _| {
            let patience = PollTimeout::try_from(Duration::from_secs(150)).expect("fits");
            let mut fds = [PollFd::new(said.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, patience), Ok(1), "the program runs");
            let mut line = [0; 5];
            (&said).read_exact(&mut line).expect("read");
            assert_eq!(&line, b"done\n");
            || {
                (&tell).write_all(b"\n").expect("write");
                process.join();
            }
        },
    );
}

#[test]
fn becomes_a_program_without_the_descriptor() {
    becomes_another_program(false);
}

#[test]
fn becomes_a_program_with_the_descriptor() {
    becomes_another_program(true);
}
