// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running the program, as this or that user.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};
use nix::sys::signal::{kill, Signal};
use nix::unistd::{write, Pid};
use rsmctl::report::{Failure, Publish};
use serde::de::DeserializeOwned;

pub const PROGRAM: &str = "/rsm/bin/rsmctl";

pub const ROOT: u32 = 0;
pub const ALICE: u32 = 1000;
pub const BOB: u32 = 1001;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program as a user whose group has the same number.
pub fn command(user: u32, arguments: &[&str]) -> Command {
    // What the udev rule does.
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("/dev/rsm");
    let mut command = Command::new(PROGRAM);
    command
        .args(arguments)
        .current_dir("/tmp")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    if user != ROOT {
        command.gid(user).uid(user);
    }
    command
}

/// What a run left behind.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text")
    }

    /// Fails unless it ended with this exit code; returns itself.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    /// Fails unless it ended well and complained about nothing.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// Fails unless it ended with this code and one message in which `word` occurs.
    #[track_caller]
    pub fn fails(self, code: i32, word: &str) -> Self {
        let run = self.exits(code);
        let messages = run.stderr.matches("rsmctl: ").count();
        assert!(
            messages == 1 && run.stderr.contains(word),
            "{word}: {run:?}"
        );
        run
    }

    /// The one JSON object on stdout.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The failure that was told in JSON.
    #[track_caller]
    pub fn failure(&self) -> Failure {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn finish(command: &mut Command, input: &[u8]) -> Run {
    let mut child = command
        .stdin(if input.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{PROGRAM}: {error}"));
    let writer = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        // The program may not want all of it.
        thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let output = child.wait_with_output().expect("wait");
    if let Some(writer) = writer {
        writer.join().expect("writer");
    }
    Run {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs the program as root.
#[track_caller]
pub fn rsmctl(arguments: &[&str]) -> Run {
    finish(&mut command(ROOT, arguments), b"")
}

/// Runs the program as somebody else.
#[track_caller]
pub fn rsmctl_as(user: u32, arguments: &[&str]) -> Run {
    finish(&mut command(user, arguments), b"")
}

/// `rsmctl publish` that stays until it is stopped. Killed if it is dropped before that.
#[derive(Debug)]
pub struct Publisher {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub published: Publish,
}

impl Publisher {
    /// Publishes with these options, and reads no input.
    #[track_caller]
    pub fn start(user: u32, options: &[&str]) -> Self {
        Self::of(&mut Self::command(user, options), b"")
    }

    /// Publishes bytes, for reading and writing by everybody.
    #[track_caller]
    pub fn of_bytes(content: &[u8]) -> Self {
        Self::of(&mut Self::command(ROOT, &["-", "--mode", "0666"]), content)
    }

    /// A command line of `publish`.
    pub fn command(user: u32, options: &[&str]) -> Command {
        let mut command = command(user, &["--json", "publish"]);
        command.args(options);
        command
    }

    /// Starts such a command, and waits for what it prints.
    #[track_caller]
    pub fn of(command: &mut Command, input: &[u8]) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect(PROGRAM);
        let mut stdin = child.stdin.take().expect("piped");
        // It may have failed by then; that is told below.
        let _ = stdin.write_all(input);
        drop(stdin);
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("stdout");
        if line.is_empty() {
            let mut problem = String::new();
            let mut stderr = child.stderr.take().expect("piped");
            stderr.read_to_string(&mut problem).expect("stderr");
            let status = child.wait().expect("wait");
            panic!("published nothing, {status}: {problem}");
        }
        let published =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self {
            child,
            stdout,
            published,
        }
    }

    pub fn id(&self) -> String {
        format!("{:#x}", self.published.id)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Ends it with a signal; it must end well.
    #[track_caller]
    pub fn stop(self, signal: Signal) -> Run {
        kill(self.pid(), signal).expect("kill");
        self.end()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Run {
        let status = end_of(&mut self.child);
        let (mut stdout, mut stderr) = (Vec::new(), String::new());
        self.stdout.read_to_end(&mut stdout).expect("stdout");
        let mut errors = self.child.stderr.take().expect("piped");
        errors.read_to_string(&mut stderr).expect("stderr");
        Run {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file in /tmp that everybody can read, removed when dropped.
#[derive(Debug)]
pub struct TempFile(pub String);

impl TempFile {
    pub fn new(name: &str, content: &[u8]) -> Self {
        let path = format!("/tmp/rsmctl-{name}");
        let mut file = File::create(&path).expect("file");
        file.write_all(content).expect("file");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Bytes that differ everywhere.
pub fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8)
        .collect()
}

/// Waits until `condition` holds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Unloads the module for as long as `body` runs. It is there again afterwards, whatever
/// happens.
pub fn without_module(body: impl FnOnce()) {
    wait_until("the module is unused", || {
        match delete_module(c"rsm", DeleteModuleFlags::O_NONBLOCK) {
            Err(Errno::EAGAIN) => false,
            result => {
                result.expect("unload");
                true
            }
        }
    });
    let seen = panic::catch_unwind(AssertUnwindSafe(body));
    let module = File::open("/rsm/modules/rsm.ko").expect("the module's file");
    finit_module(module, c"", ModuleInitFlags::empty()).expect("load");
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("chmod");
    if let Err(problem) = seen {
        panic::resume_unwind(problem);
    }
}

/// Waits for the end of a program that may not come.
#[track_caller]
pub fn end_of(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("it ends", || {
        status = child.try_wait().expect("wait");
        status.is_some()
    });
    status.expect("it has ended")
}

/// Writes to a pipe or terminal until nothing more fits, as when those who read it are stopped.
pub fn fill(output: &OwnedFd) {
    let set = |flags| fcntl(output, FcntlArg::F_SETFL(flags)).expect("fcntl");
    set(OFlag::O_NONBLOCK);
    for size in [4096, 1] {
        while write(output, &[b'x'; 4096][..size]).is_ok() {}
    }
    set(OFlag::empty());
}

/// Is the process asleep in this system call?
pub fn asleep_in(pid: u32, call: nix::libc::c_long) -> bool {
    let line = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    line.split(' ').next() == Some(&call.to_string())
}
