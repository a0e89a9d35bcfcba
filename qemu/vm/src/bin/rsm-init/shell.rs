// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shell for the user at the host's terminal: a pseudo terminal here, whose
//! other end travels over the link as records.

use crate::link::Link;
use crate::processes;
use crate::programs::environment;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::pty::openpty;
use nix::unistd::{read, setsid, write, Pid};
use rsm_vm::plan::Plan;
use rsm_vm::protocol::Record;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The index under which the shell's output is sent: that of no program.
pub const INDEX: usize = usize::MAX;

/// Runs the shell until it ends.
pub fn run(plan: &Plan, link: &mut Link) -> Result<()> {
    let pty = openpty(None, None).context("this kernel has no pseudo terminals")?;
    let mut command = Command::new("/bin/sh");
    let prompt = ("PS1".to_string(), "rsm-guest:\\w\\$ ".to_string());
    command
        .env_clear()
        .envs(std::iter::once(prompt).chain(environment(plan)))
        .current_dir("/tmp")
        .stdin(pty.slave.try_clone()?)
        .stdout(pty.slave.try_clone()?)
        .stderr(pty.slave);
    // SAFETY: setsid and ioctl are async-signal-safe and touch no memory.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            Ok(())
        });
    }
    let child = command.spawn().context("there is no shell in this guest")?;
    drop(command);
    let child = Pid::from_raw(child.id() as i32);
    let mut input = Vec::new();
    loop {
        let (from_host, from_shell) = {
            let mut fds = [
                PollFd::new(link.port(), PollFlags::POLLIN),
                PollFd::new(pty.master.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::from(20u8)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            let has = |fd: &PollFd| {
                fd.revents()
                    .is_some_and(|events| events.contains(PollFlags::POLLIN))
            };
            (has(&fds[0]), has(&fds[1]))
        };
        let mut bytes = [0; 1024];
        if from_shell {
            if let Ok(count) = read(&pty.master, &mut bytes) {
                link.send(&Record::Out {
                    index: INDEX,
                    bytes: bytes[..count].to_vec(),
                });
            }
        } else if processes::reap(Some(child)).is_some() {
            return Ok(());
        }
        if from_host {
            let count = read(link.port(), &mut bytes).context("reading the link")?;
            input.extend_from_slice(&bytes[..count]);
            while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = input.drain(..=end).collect();
                if let Some(record) = Record::parse(&String::from_utf8_lossy(&line)) {
                    take(&record, &pty.master)?;
                }
            }
        }
    }
}

/// Does what a record of the host says.
fn take(record: &Record, master: &OwnedFd) -> Result<()> {
    match record {
        Record::In(bytes) => {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let count = write(master, rest).context("writing to the shell")?;
                rest = &rest[count..];
            }
        }
        Record::Size { rows, columns } => {
            let size = libc::winsize {
                ws_row: *rows,
                ws_col: *columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            // SAFETY: the call reads the structure, which lives through it.
            unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSWINSZ, &size) };
        }
        _ => {}
    }
    Ok(())
}
