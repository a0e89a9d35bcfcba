// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes that run a part of a test, whose failed assertions fail the test.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::prctl::{get_pdeathsig, set_pdeathsig};
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, pipe, setgroups, setresgid, setresuid, ForkResult, Gid, Pid, Uid};

/// How long a child may take, to a step or to its end: longer than it waits for anything itself.
fn patience() -> u64 {
    match (super::debug_kernel(), super::soak()) {
        (_, true) => 3_000,
        (true, false) => 300,
        (false, false) => 200,
    }
}

/// How long this process waits for another, which may be about much. A child that dies with its
/// parent needs no limit: its parent has one.
fn patience_with_others() -> u64 {
    match get_pdeathsig().expect("prctl") {
        Some(_) => u64::MAX,
        None => patience(),
    }
}

/// Waits without sleeping.
#[track_caller]
fn spin_until(what: &str, seconds: u64, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        let waited = begin.elapsed().as_secs();
        assert!(waited < seconds, "not within {seconds} s: {what}");
        std::thread::yield_now();
    }
}

/// A child process. Killed if it is dropped before it has ended.
#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    reports: OwnedFd,
    gone: bool,
}

/// Forks a child that runs `part` and ends. What it fails with, [`Process::join`] fails with.
pub fn spawn(part: impl FnOnce()) -> Process {
    let (ours, theirs) = pipe().expect("pipe");
    // SAFETY: the other threads of a test program wait for this one and hold no locks
    // that the child could need.
    match unsafe { fork().expect("fork") } {
        ForkResult::Parent { child } => Process {
            pid: child,
            reports: ours,
            gone: false,
        },
        ForkResult::Child => {
            drop(ours);
            // A child must not keep its parent's parent waiting.
            let inherited = REPORTS.swap(theirs.as_raw_fd(), Ordering::Relaxed);
            if inherited >= 0 {
                // SAFETY: its owner is a frame of the parent's stack, which never ends here.
                unsafe { libc::close(inherited) };
            }
            set_pdeathsig(Signal::SIGKILL).expect("prctl");
            let code = run(File::from(theirs), part);
            // SAFETY: ends the process without running what belongs to the parent.
            unsafe { libc::_exit(code) }
        }
    }
}

/// Where this process reports to; -1 if it has not been spawned here.
static REPORTS: AtomicI32 = AtomicI32::new(-1);

thread_local!(static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) });

fn run(mut reports: File, part: impl FnOnce()) -> i32 {
    panic::set_hook(Box::new(|info| MESSAGE.set(info.to_string())));
    match panic::catch_unwind(AssertUnwindSafe(part)) {
        Ok(()) => 0,
        Err(_) => {
            // If nobody reads it, the exit code still says that it failed.
            let _ = reports.write_all(MESSAGE.take().as_bytes());
            1
        }
    }
}

impl Process {
    /// Has the child ended already, well or not?
    pub fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(self.reports.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).expect("poll") > 0
    }

    /// Waits until the child has reached a step. If it ends instead, fails with what it says.
    #[track_caller]
    pub fn await_step(&self, steps: &Steps, step: usize) {
        let reached = || self.is_at(steps, step);
        super::wait_until(&format!("step {step}"), patience(), reached);
    }

    /// The same without sleeping, for those who must be there at once.
    #[track_caller]
    pub fn spin_for_step(&self, steps: &Steps, step: usize) {
        let reached = || self.is_at(steps, step);
        spin_until(&format!("step {step}"), patience(), reached);
    }

    #[track_caller]
    fn is_at(&self, steps: &Steps, step: usize) -> bool {
        let ended = self.has_ended();
        let reached = steps.has_reached(step);
        if ended && !reached {
            let message = self.message();
            panic!("child ended before step {step}: {message}");
        }
        reached
    }

    /// What the child says at its end, once it has ended.
    fn message(&self) -> String {
        let mut message = String::new();
        let reports = self.reports.try_clone().expect("dup");
        File::from(reports)
            .read_to_string(&mut message)
            .expect("reports are text");
        message
    }

    /// Waits for the child to end well.
    #[track_caller]
    pub fn join(self) {
        let pid = self.pid;
        match self.end() {
            (WaitStatus::Exited(_, 0), _) => (),
            (status, message) => panic!("child {pid} ended with {status:?}: {message}"),
        }
    }

    /// Waits for the child to be killed by `signal`.
    #[track_caller]
    pub fn join_killed(self, signal: Signal) {
        match self.end() {
            (WaitStatus::Signaled(_, seen, _), _) if seen == signal => (),
            (status, message) => panic!("child ended with {status:?}, not {signal}: {message}"),
        }
    }

    /// Kills the child and waits until it is gone.
    #[track_caller]
    pub fn kill(self) {
        kill(self.pid, Signal::SIGKILL).expect("kill");
        self.join_killed(Signal::SIGKILL);
    }

    #[track_caller]
    fn end(mut self) -> (WaitStatus, String) {
        let mut fds = [PollFd::new(self.reports.as_fd(), PollFlags::POLLIN)];
        let patience = Duration::from_secs(patience());
        let timeout = PollTimeout::try_from(patience).expect("a time that fits");
        let ready = poll(&mut fds, timeout).expect("poll");
        assert!(
            ready > 0,
            "child {} has not ended after {patience:?}",
            self.pid
        );
        let message = self.message();
        self.gone = true;
        (waitpid(self.pid, None).expect("wait"), message)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.gone {
            // A test that fails leaves nothing running.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

/// Runs `part` in a child and waits for it.
#[track_caller]
pub fn in_child(part: impl FnOnce()) {
    spawn(part).join();
}

/// Becomes another user, for good, without capabilities.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&groups).expect("setgroups");
    setresgid(gid, gid, gid).expect("setresgid");
    setresuid(uid, uid, uid).expect("setresuid");
    // Changing credentials has cleared it.
    set_pdeathsig(Signal::SIGKILL).expect("prctl");
}

/// Is the process asleep in this system call?
pub fn asleep_in(pid: Pid, call: libc::c_long) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    line.split(' ').next() == Some(&call.to_string())
}

/// Keeps the calling thread on one processor.
pub fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor).expect("processor");
    sched_setaffinity(Pid::from_raw(0), &set).expect("affinity (needs two processors)");
}

/// Gives the calling thread real-time priority.
pub fn take_precedence() {
    let priority = libc::sched_param { sched_priority: 50 };
    // SAFETY: numbers of this thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) };
    assert_eq!(result, 0, "SCHED_FIFO: {}", nix::errno::Errno::last());
}

/// A value shared with child processes. Zeroes must be valid for it.
#[derive(Debug)]
pub struct Shared<T> {
    value: *mut T,
}

// SAFETY: gives shared references only.
unsafe impl<T: Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Shared<T> {}

impl<T: Sync> Shared<T> {
    /// # Safety
    ///
    /// A `T` of zeroes must be valid, also when processes share it.
    pub unsafe fn zeroed() -> Self {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let value =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<T>(), rights, flags, -1, 0) };
        assert_ne!(value, libc::MAP_FAILED, "shared memory");
        Self {
            value: value.cast(),
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped and valid for as long as `self` lives.
        unsafe { &*self.value }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: our own mapping.
        unsafe { libc::munmap(self.value.cast(), size_of::<T>()) };
    }
}

/// A step that processes wait for, and a number to pass on.
#[derive(Debug)]
pub struct Steps {
    reached: [AtomicBool; 16],
    number: AtomicU32,
}

impl Steps {
    pub fn new() -> Shared<Self> {
        // SAFETY: atomics may be zero.
        unsafe { Shared::zeroed() }
    }

    pub fn reach(&self, step: usize) {
        self.reached[step].store(true, Ordering::SeqCst);
    }

    pub fn has_reached(&self, step: usize) -> bool {
        self.reached[step].load(Ordering::SeqCst)
    }

    #[track_caller]
    pub fn await_step(&self, step: usize) {
        let reached = || self.has_reached(step);
        super::wait_until(&format!("step {step}"), patience_with_others(), reached);
    }

    /// The same without sleeping, for those who must be there at once.
    #[track_caller]
    pub fn spin_for_step(&self, step: usize) {
        let reached = || self.has_reached(step);
        spin_until(&format!("step {step}"), patience_with_others(), reached);
    }

    pub fn pass(&self, number: u32) {
        self.number.store(number, Ordering::SeqCst);
    }

    pub fn passed(&self) -> u32 {
        self.number.load(Ordering::SeqCst)
    }
}
