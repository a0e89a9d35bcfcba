// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs one program of the plan: its output goes to the host as it comes, its
//! time is limited, and its ending is told apart.

use crate::link::Link;
use crate::processes;
use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::wait::WaitStatus;
use nix::unistd::{pipe2, setsid, Pid};
use rsm_vm::plan::{self, Plan};
use rsm_vm::protocol::{Ending, Record};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program of the plan.
pub struct Program<'a> {
    plan: &'a Plan,
    index: usize,
    deadline: Option<Instant>,
    begin: Instant,
}

/// How often a program's ending is looked for while it prints nothing.
const TICK: Duration = Duration::from_millis(10);

/// The environment of whatever runs in the guest.
pub fn environment(plan: &Plan) -> Vec<(String, String)> {
    let mut environment = vec![
        ("PATH".to_string(), format!("{}:/bin", plan::BIN_DIR)),
        ("HOME".to_string(), "/tmp".to_string()),
        ("TMPDIR".to_string(), "/tmp".to_string()),
        ("RUST_BACKTRACE".to_string(), "1".to_string()),
        ("LANG".to_string(), "C.UTF-8".to_string()),
    ];
    environment.extend(plan.environment.iter().cloned());
    environment
}

impl<'a> Program<'a> {
    /// The program `index`; whatever the plan says of time, it must end by `guest_end`.
    pub fn new(plan: &'a Plan, index: usize, guest_end: Option<Instant>) -> Self {
        let begin = Instant::now();
        let own_end = plan
            .program_timeout
            .map(|seconds| begin + Duration::from_secs(seconds));
        Program {
            plan,
            index,
            deadline: own_end.into_iter().chain(guest_end).min(),
            begin,
        }
    }

    /// Runs it to its end.
    pub fn run(&self, link: &mut Link) -> Result<Ending> {
        let program = &self.plan.programs[self.index];
        let path = format!("{}/{}", plan::BIN_DIR, program.name);
        let (output, input) = pipe2(OFlag::O_CLOEXEC).context("pipe")?;
        let mut command = Command::new(&path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(environment(self.plan))
            .current_dir("/tmp")
            .stdin(Stdio::null())
            .stdout(input.try_clone().context("pipe")?)
            .stderr(input);
        // SAFETY: setsid is async-signal-safe and touches no memory.
        unsafe {
            command.pre_exec(|| Ok(setsid().map(|_| ())?));
        }
        // Not waited for through Child: process 1 reaps everything itself.
        let child = command.spawn().with_context(|| path.clone())?;
        drop(command); // and with it our copies of the pipe's input
        let pid = Pid::from_raw(child.id() as i32);
        let mut output = File::from(output);
        loop {
            let ended = processes::reap(Some(pid));
            self.forward(&mut output, TICK, link)?;
            if let Some(status) = ended {
                // What it printed last is in the pipe already.
                while self.forward(&mut output, Duration::ZERO, link)? {}
                return Ok(match status {
                    WaitStatus::Exited(_, status) => Ending::Exited(status),
                    WaitStatus::Signaled(_, signal, _) => Ending::Signalled(signal as i32),
                    other => Ending::Failed(format!("{other:?}")),
                });
            }
            if self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
            {
                self.show_what_hangs(link);
                return Ok(Ending::TimedOut(self.begin.elapsed().as_secs()));
            }
        }
    }

    /// Sends what is there to read, waiting at most `wait`. Whether there was anything.
    fn forward(&self, output: &mut File, wait: Duration, link: &mut Link) -> Result<bool> {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, timeout).or_else(|error| match error {
            nix::errno::Errno::EINTR => Ok(0),
            error => Err(error),
        })?;
        let events = fds[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            if events.contains(PollFlags::POLLHUP) {
                // Closed by the program but not ended: do not spin.
                std::thread::sleep(wait);
            }
            return Ok(false);
        }
        let mut bytes = [0; 4096];
        let count = output
            .read(&mut bytes)
            .context("reading a program's output")?;
        if count > 0 {
            link.send(&Record::Out {
                index: self.index,
                bytes: bytes[..count].to_vec(),
            });
        }
        Ok(count > 0)
    }

    /// Before a program that does not end is killed: what is it doing?
    fn show_what_hangs(&self, link: &mut Link) {
        for process in processes::describe_all() {
            link.note(&format!("hangs: {process}"));
        }
        // The kernel's own list of blocked tasks, on the console.
        let _ = std::fs::write("/proc/sysrq-trigger", "w");
    }
}
