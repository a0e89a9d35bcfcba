// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the ways that are taken all the time cost: no system call, and few instructions.
//!
//! A child runs them between two marks, under the eyes of its parent, who either stops it at
//! every system call or steps through it one instruction at a time.

use nix::libc::{self, c_long};
use nix::sys::ptrace;
use nix::sys::signal::{raise, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::Pid;
use rsm::{GetEntry, ImportSegment, Mapping, Post, PutEntry};

use crate::common::debug_kernel;
use crate::common::process::{spawn, Process};
use crate::Scene;

/// A system call that nothing else here makes.
const MARK: c_long = libc::SYS_getppid;

fn mark() {
    // SAFETY: has no arguments.
    unsafe { libc::syscall(MARK) };
}

/// How the child is watched.
#[derive(Clone, Copy, PartialEq)]
enum Watch {
    /// The system calls between the marks.
    Calls,
    /// The instructions between them.
    Steps,
}

#[derive(Debug, Default)]
struct Seen {
    calls: Vec<c_long>,
    instructions: usize,
}

/// A child that runs `work` once to warm up, and again between the marks.
fn child(work: impl Fn()) -> Process {
    spawn(move || {
        work();
        ptrace::traceme().expect("traceme");
        raise(Signal::SIGSTOP).expect("raise");
        mark();
        work();
        mark();
    })
}

fn watch(how: Watch, work: impl Fn()) -> Seen {
    let child = child(work);
    let pid = child.pid;
    let stopped = waitpid(pid, None).expect("wait");
    assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    ptrace::setoptions(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).expect("options");
    assert_eq!(to_next_call(pid), MARK);
    let mut seen = Seen::default();
    match how {
        Watch::Calls => {
            while let call @ 0.. = to_next_call(pid) {
                if call == MARK {
                    break;
                }
                seen.calls.push(call);
            }
        }
        Watch::Steps => loop {
            ptrace::step(pid, None).expect("step");
            let status = waitpid(pid, None).expect("wait");
            assert_eq!(status, WaitStatus::Stopped(pid, Signal::SIGTRAP));
            let registers = ptrace::getregs(pid).expect("registers");
            let next = ptrace::read(pid, registers.rip as *mut libc::c_void).expect("code");
            // What `syscall` looks like.
            if next as u16 == 0x050f && registers.rax == MARK as u64 {
                break;
            }
            seen.instructions += 1;
        },
    }
    ptrace::detach(pid, None).expect("detach");
    child.join();
    seen
}

/// Lets the child run to its next system call, through it, and says which it was.
fn to_next_call(pid: Pid) -> c_long {
    for stop in ["entry", "exit"] {
        ptrace::syscall(pid, None).expect("syscall");
        let status = waitpid(pid, None).expect("wait");
        assert_eq!(status, WaitStatus::PtraceSyscall(pid), "{stop}");
    }
    ptrace::getregs(pid).expect("registers").orig_rax as c_long
}

/// Everything that is done often.
fn often(import: &ImportSegment, window: &Mapping) {
    let mut block = [1_u8; 4096];
    for _ in 0..50 {
        import.put(100, b"a few bytes").expect("put");
        import.put(0, &block).expect("put");
        import.put64(8, &[1]).expect("put64");
        import.get(0, &mut block).expect("get");
        import.get16(8, &mut [0; 3]).expect("get16");
        let barrier = import.open_barrier();
        barrier.order().expect("order");
        barrier.close().expect("close");
        import.putv(&[PutEntry::new(b"x", 0)], None).expect("putv");
        import
            .getv(&mut [GetEntry::new(&mut [0], 0)], None)
            .expect("getv");
        window.read_at(0, &mut block).expect("read");
        window.bytes().store_u64(0, 2).expect("store");
        window.check().expect("check");
        assert!(import.is_live());
    }
}

#[test]
fn no_system_call() {
    let scene = Scene::new(1);
    let window = scene.import.map().expect("map");
    let seen = watch(Watch::Calls, || often(&scene.import, &window));
    assert_eq!(seen.calls, [], "system calls");
}

#[test]
fn system_calls_would_be_seen() {
    let scene = Scene::new(1);
    let seen = watch(Watch::Calls, || {
        scene.import.put(0, &[1]).expect("put");
        scene.import.signal().post(Post::Accumulate).expect("post");
        let entry = [PutEntry::new(b"x", 0)];
        scene
            .import
            .putv(&entry, Some(Post::Accumulate))
            .expect("putv");
        drop(scene.import.map());
    });
    let expected = [
        libc::SYS_ioctl,
        libc::SYS_ioctl,
        libc::SYS_mmap,
        libc::SYS_munmap,
    ];
    assert_eq!(seen.calls, expected);
}

/// Instructions of one round of `work`, whose own loop is taken off.
fn cost(what: &str, work: impl Fn()) -> usize {
    const ROUNDS: usize = 4;
    let count = |work: &dyn Fn()| {
        let loops = || (0..ROUNDS).for_each(|_| work());
        watch(Watch::Steps, loops).instructions
    };
    let nothing = count(&|| {
        std::hint::black_box(());
    });
    let cost = (count(&work) - nothing).div_ceil(ROUNDS);
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{what}: {cost} instructions");
    cost
}

#[test]
fn few_instructions() {
    use std::hint::black_box;

    // They are the same there, and it takes long to be stopped after each.
    if debug_kernel() {
        return;
    }

    let scene = Scene::new(1);
    let import = &scene.import;
    import.put(0, &[1]).expect("put");
    let bytes = [7_u8; 8];
    let put = cost("put of 8 bytes", || {
        import
            .put(black_box(16), black_box(&bytes[..]))
            .expect("put");
    });
    let put64 = cost("put64", || {
        import.put64(black_box(16), &[black_box(1)]).expect("put64")
    });
    let get = cost("get of 8 bytes", || {
        import
            .get(black_box(16), black_box(&mut [0_u8; 8][..]))
            .expect("get");
    });
    let barrier = cost("barrier open and close", || {
        import.open_barrier().close().expect("close");
    });
    let page = [7_u8; 4096];
    let whole = cost("put of 4 KiB", || {
        import.put(0, black_box(&page)).expect("put")
    });
    assert!(
        put <= 60 && put64 <= 60 && get <= 60,
        "{put}, {put64}, {get}"
    );
    assert!(barrier <= 30, "{barrier}");
    assert!(whole <= 60 + 4096 / 16 * 3, "{whole}");
}
