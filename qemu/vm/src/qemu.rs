// SPDX-License-Identifier: MIT OR Apache-2.0
//! One QEMU process: its command line, and the certainty that it ends.

use crate::accel::Accel;
use anyhow::{Context, Result};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The emulator.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// A machine to start.
#[derive(Debug)]
pub struct Machine<'a> {
    /// Kernel image.
    pub image: &'a Path,
    /// Initial root; QEMU inherits the descriptor.
    pub initrd: &'a File,
    /// Kernel command line.
    pub append: &'a str,
    /// MiB of memory.
    pub memory: u64,
    /// Virtual processors; one, where instructions are counted.
    pub cpus: u32,
    /// How instructions are executed.
    pub accel: Accel,
    /// Where the console goes.
    pub console: &'a Path,
    /// More arguments for QEMU itself.
    pub extra: &'a [String],
}

impl Machine<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(PROGRAM);
        let (accel, clock, cpus): (&str, &[&str], u32) = match self.accel {
            Accel::Tcg => ("tcg,thread=multi", &[], self.cpus),
            Accel::Kvm => ("kvm", &[], self.cpus),
            // A processor that waits does not wait: its clock goes on to the next timer. Chance and
            // the time of day are always the same, so that each run goes as the one before.
            Accel::Icount => (
                "tcg,thread=single",
                &[
                    "-icount",
                    "shift=0,sleep=off",
                    "-seed",
                    "1",
                    "-rtc",
                    "base=2026-01-01,clock=vm",
                ],
                1,
            ),
        };
        // A comma in a value is written twice.
        let console = self.console.display().to_string().replace(',', ",,");
        command
            .args([
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
            ])
            // Without five-level paging: the kernel clears what it knows of the
            // processor for a moment while it starts, and an interrupt in that
            // moment takes every address for a four-level one. KASAN then
            // reports a wild access (one boot in a few dozen).
            .args(["-accel", accel, "-cpu", "max,la57=off"])
            .args(clock)
            .args([
                "-smp",
                &cpus.to_string(),
                "-m",
                &format!("{}M", self.memory),
            ])
            .arg("-chardev")
            .arg(format!("file,id=console,path={console}"))
            .args(["-serial", "chardev:console"])
            .args(["-chardev", "stdio,id=protocol,signal=off"])
            .args(["-serial", "chardev:protocol"])
            .arg("-kernel")
            .arg(self.image)
            .arg("-initrd")
            .arg(format!("/proc/self/fd/{}", self.initrd.as_raw_fd()))
            .args(["-append", self.append])
            .args(self.extra);
        command
    }

    /// Starts it. The protocol is on the child's standard streams.
    pub fn start(&self) -> Result<Running> {
        let mut command = self.command();
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // SAFETY: these are system calls and touch no memory.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
                take_short_turns();
                Ok(())
            });
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))?;
        Ok(Running { child })
    }
}

/// Has the scheduler make the turns of this process, and of what it becomes, short. A guest's
/// processors interrupt each other and wait, spinning, until that has been seen; where several guests
/// share the host's, each such wait may else take as long as another's turn. Linux before 6.12 pays no
/// attention.
fn take_short_turns() {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    // SAFETY: asks for a number of this process.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        nice,
        // Nanoseconds, the least there is.
        runtime: 100_000,
        ..Default::default()
    };
    // SAFETY: as the system call wants them; nothing is written. Should it fail, turns are as long as
    // ever.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &attributes, 0) };
}

/// A QEMU process; killed when dropped.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub child: Child,
}

impl Running {
    /// Waits until it is gone, `None` if it is still there at `deadline`.
    pub fn wait_until(&mut self, deadline: Instant) -> Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
