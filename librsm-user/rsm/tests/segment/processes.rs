// SPDX-License-Identifier: MIT OR Apache-2.0
//! fork, exec and sudden death, of either side.

use std::ffi::CString;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::unistd::execvp;
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{in_child, spawn, Steps};
use crate::common::raw::{self, failure, Connection, PAGE};
use crate::common::wait_until;
use crate::{map, Pair, NEW, OLD};

/// An importer's view of a segment that another process exports.
struct Remote {
    import: Connection,
    window: Map,
}

impl Remote {
    fn of(id: u32) -> Self {
        let controller = raw::controller();
        let import = raw::connect(&controller, id, 0o600).expect("connect");
        let window = map(&import, READ | WRITE);
        Self { import, window }
    }

    /// The segment is gone, and this process is not.
    #[track_caller]
    fn assert_gone(&self, id: u32) {
        self.window.assert_zero();
        let again = Map::shared(self.import.fd.as_raw_fd(), PAGE, READ).map(drop);
        assert_eq!(again, Err(Errno::ECONNABORTED));
        let not_published = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
        let connect = raw::connect(&raw::controller(), id, 0o400).map(drop);
        assert_eq!(connect, Err(not_published));
    }
}

/// Runs an exporter that publishes a segment and then does `rest`.
fn exporter(steps: &Steps, rest: impl FnOnce(&Pair)) -> crate::common::process::Process {
    let process = spawn(|| {
        let pair = Pair::new(16);
        steps.pass(pair.id);
        steps.reach(0);
        rest(&pair);
    });
    steps.await_step(0);
    process
}

#[test]
fn exporter_is_killed() {
    let books = Books::open();
    let steps = Steps::new();
    let process = exporter(&steps, |_| loop {
        std::thread::park();
    });
    let remote = Remote::of(steps.passed());
    remote.window.assert_marked(OLD, 0);
    process.kill();
    remote.assert_gone(steps.passed());
    drop((remote, steps));
    books.balance();
}

#[test]
fn exporter_ends() {
    let books = Books::open();
    let steps = Steps::new();
    let process = exporter(&steps, |_| {
        steps.await_step(1);
        // SAFETY: ends the process without closing anything.
        unsafe { nix::libc::_exit(0) }
    });
    let remote = Remote::of(steps.passed());
    remote.window.assert_marked(OLD, 0);
    steps.reach(1);
    process.join();
    remote.assert_gone(steps.passed());
    drop((remote, steps));
    books.balance();
}

#[test]
fn exporter_execs() {
    let books = Books::open();
    let steps = Steps::new();
    let process = exporter(&steps, |_| {
        steps.await_step(1);
        let words = ["sleep", "1000"].map(|word| CString::new(word).expect("no zero"));
        execvp(&words[0], &words).expect("exec of sleep");
    });
    let remote = Remote::of(steps.passed());
    remote.window.assert_marked(OLD, 0);
    steps.reach(1);
    wait_until("exec ends the segment", 150, || remote.window.load(0) == 0);
    remote.assert_gone(steps.passed());
    process.kill();
    drop((remote, steps));
    books.balance();
}

#[test]
fn importer_is_killed_while_it_uses_the_segment() {
    let books = Books::open();
    for _ in 0..20 {
        let pair = Pair::new(64);
        let steps = Steps::new();
        let process = spawn(|| {
            let remote = Remote::of(pair.id);
            steps.reach(0);
            loop {
                for page in 0..64 {
                    remote
                        .window
                        .store(page * PAGE + 8, remote.window.load(page * PAGE));
                }
            }
        });
        steps.await_step(0);
        process.kill();
        pair.memory.assert_marked(OLD, 0);
        pair.window.assert_marked(OLD, 0);
        pair.destroy();
        pair.window.assert_zero();
    }
    books.balance();
}

#[test]
fn importer_execs() {
    let books = Books::open();
    let pair = Pair::new(4);
    let steps = Steps::new();
    let process = spawn(|| {
        let remote = Remote::of(pair.id);
        remote.window.assert_marked(OLD, 0);
        steps.reach(0);
        let words = ["sleep", "1000"].map(|word| CString::new(word).expect("no zero"));
        execvp(&words[0], &words).expect("exec of sleep");
    });
    steps.await_step(0);
    let imports = || crate::common::books::objects()["live_imports"];
    wait_until("exec ends the connection", 150, || imports() == 1);
    pair.destroy();
    pair.window.assert_zero();
    process.kill();
    drop((pair, steps));
    books.balance();
}

#[test]
fn only_the_creator_publishes_and_destroys() {
    let books = Books::open();
    let pair = Pair::new(4);
    let bound = raw::create(&pair.controller, pair.memory.addr(), PAGE as u64).expect("create");
    let not_creator = failure(Errno::EPERM, RSM_STATUS_NOT_CREATOR);
    in_child(|| {
        assert_eq!(raw::publish(&bound, 0, &[]), Err(not_creator));
        assert_eq!(raw::destroy(&bound), Err(not_creator));
        assert_eq!(raw::destroy(&pair.export), Err(not_creator));
        assert_eq!(pair.window.load(0), OLD);
    });
    // Another thread is the same process.
    std::thread::scope(|scope| {
        scope.spawn(|| raw::publish(&bound, 0, &[]).expect("publish by a thread"));
        scope.spawn(|| raw::destroy(&pair.export).expect("destroy by a thread"));
    });
    pair.window.assert_zero();
    drop((bound, pair));
    books.balance();
}

#[test]
fn a_childs_copy_of_the_descriptor_keeps_the_segment_alive_but_not_from_destroy() {
    let books = Books::open();
    for explicit in [true, false] {
        let pair = Pair::new(4);
        let steps = Steps::new();
        let child = spawn(|| {
            steps.await_step(0);
        });
        let Pair {
            export,
            window,
            memory,
            ..
        } = &pair;
        if explicit {
            raw::destroy(export).expect("destroy");
            memory.mark(NEW);
            window.assert_zero();
        } else {
            let Pair {
                controller,
                memory,
                export,
                import,
                window,
                ..
            } = pair;
            drop(export);
            window.assert_marked(OLD, 0);
            steps.reach(0);
            child.join();
            memory.mark(NEW);
            window.assert_zero();
            drop((controller, import));
            continue;
        }
        steps.reach(0);
        child.join();
    }
    books.balance();
}

#[test]
fn the_parent_of_a_fork_keeps_the_exported_pages() {
    let books = Books::open();
    let pair = Pair::new(16);
    let steps = Steps::new();
    let child = spawn(|| {
        // The child's copy of the exporter's memory, which nobody shares.
        pair.memory.mark(NEW);
        steps.reach(0);
        steps.await_step(1);
        pair.memory.assert_marked(NEW, 0);
    });
    steps.await_step(0);
    pair.window.assert_marked(OLD, 0);
    pair.memory.store(8, 99);
    assert_eq!(
        pair.window.load(8),
        99,
        "the parent still writes to the shared page"
    );
    pair.window.store(16, 98);
    assert_eq!(pair.memory.load(16), 98);
    steps.reach(1);
    child.join();
    pair.destroy();
    drop((pair, steps));
    books.balance();
}

#[test]
fn inherited_imports_work_and_end_with_the_segment() {
    let books = Books::open();
    let pair = Pair::new(16);
    let steps = Steps::new();
    let child = spawn(|| {
        // The inherited mapping, a new one of the inherited import, a new connection.
        let second = map(&pair.import, READ | WRITE);
        let third = Remote::of(pair.id);
        for window in [&pair.window, &second, &third.window] {
            window.assert_marked(OLD, 0);
        }
        second.store(8, 4);
        steps.reach(0);
        steps.await_step(1);
        for window in [&pair.window, &second, &third.window] {
            window.assert_zero();
        }
    });
    steps.await_step(0);
    assert_eq!(pair.memory.load(8), 4);
    pair.destroy();
    steps.reach(1);
    child.join();
    drop((pair, steps));
    books.balance();
}

#[test]
fn connections_outlive_their_descriptors_in_children() {
    let books = Books::open();
    let pair = Pair::new(4);
    let steps = Steps::new();
    let Pair {
        controller,
        memory,
        export,
        import,
        window,
        ..
    } = pair;
    let child = spawn(|| {
        window.assert_marked(OLD, 0);
        steps.await_step(0);
        window.assert_marked(OLD, 0);
        steps.reach(1);
        steps.await_step(2);
        window.assert_zero();
    });
    drop((import, controller));
    // SAFETY: our own mapping, which the child goes on using.
    unsafe { nix::libc::munmap(window.at(0).cast(), window.len) };
    std::mem::forget(window);
    steps.reach(0);
    steps.await_step(1);
    raw::destroy(&export).expect("destroy");
    memory.mark(NEW);
    steps.reach(2);
    child.join();
    drop((memory, export, steps));
    books.balance();
}
