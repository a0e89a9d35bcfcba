// SPDX-License-Identifier: MIT OR Apache-2.0
//! One boot of one kernel, from the command line to the verdict.

use crate::accel::Accel;
use crate::console;
use crate::guest_root::{GuestRoot, Import};
use crate::kernel_dir::{KernelDir, Kind};
use crate::plan::{self, Module, Plan, Program};
use crate::protocol::{Ending, Record};
use crate::qemu::{Machine, Running};
use crate::run::{Failure, ProgramEnd, Run};
use crate::tsc;
use anyhow::{ensure, Context, Result};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Files of the host that every guest needs.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The program `rsm-init`.
    pub init: PathBuf,
    /// A statically linked busybox.
    pub busybox: Option<PathBuf>,
}

/// A boot to make.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The kernel.
    pub kernel: KernelDir,
    /// What the guest shall do.
    pub plan: Plan,
    /// Modules, programs and other files for the guest.
    pub imports: Vec<Import>,
    /// The guest must have ended so long after it has booted.
    pub timeout: Option<Duration>,
    /// A kernel that says nothing for so long, before process 1, hangs.
    pub silence: Duration,
    /// MiB of memory; `None` for what the kernel and the files need.
    pub memory: Option<u64>,
    /// Virtual processors.
    pub cpus: u32,
    /// Added to the kernel's command line.
    pub append: String,
    /// More arguments for QEMU.
    pub qemu: Vec<String>,
    /// How instructions are executed.
    pub accel: Accel,
    /// Where the console is kept.
    pub console: PathBuf,
}

/// How a boot went.
#[derive(Debug)]
pub struct Outcome {
    /// Each program of the plan.
    pub programs: Vec<ProgramEnd>,
    /// Every detector that fired.
    pub failures: Vec<Failure>,
    /// Detectors that had nothing to look at on this kernel.
    pub skipped: Vec<Failure>,
    /// Time until QEMU was gone.
    pub elapsed: Duration,
    /// Whether process 1 was reached.
    pub booted: bool,
    /// The console's line with the first finding, counted from 1.
    pub finding: Option<usize>,
}

impl Outcome {
    /// Whether all is well.
    pub fn is_success(&self) -> bool {
        self.failures.is_empty()
            && self
                .programs
                .iter()
                .all(|program| program.ending.as_ref().is_some_and(Ending::is_success))
    }
}

/// A guest that did not reach process 1 is tried again: nothing of ours was there
/// to cause it, and an emulated machine on a busy host now and then stops or
/// panics while its processors and timers come up.
const ATTEMPTS: u32 = 3;

impl Boot {
    /// A boot with the usual settings.
    pub fn new(kernel: KernelDir, accel: Accel, console: PathBuf) -> Boot {
        let kind = kernel.kind.name();
        Boot {
            kernel,
            plan: Plan {
                environment: vec![
                    ("RSM_KERNEL_KIND".into(), kind.into()),
                    // Tests share one module: what one of them does would be
                    // another's surprise. `--test-threads` overrides it.
                    ("RUST_TEST_THREADS".into(), "1".into()),
                    // What a nanosecond of the guest's clock is.
                    (
                        "RSM_CLOCK".into(),
                        match accel {
                            Accel::Icount => "instructions".into(),
                            Accel::Tcg | Accel::Kvm => "time".into(),
                        },
                    ),
                ],
                ..Plan::default()
            },
            imports: Vec::new(),
            timeout: None,
            silence: Duration::from_secs(180),
            memory: None,
            cpus: 2,
            append: String::new(),
            qemu: Vec::new(),
            accel,
            console,
        }
    }

    /// Adds a module with its parameters.
    pub fn add_module(&mut self, path: &Path, parameters: &str) -> Result<()> {
        let content = std::fs::read(path)
            .with_context(|| format!("cannot read the module {}", path.display()))?;
        let name = plan::module_name(&content)
            .with_context(|| format!("{} is not a kernel module", path.display()))?;
        self.imports.push(Import {
            from: path.to_path_buf(),
            to: format!("{}/{name}.ko", plan::MODULE_DIR),
        });
        self.plan.modules.push(Module {
            name,
            parameters: parameters.to_string(),
        });
        Ok(())
    }

    /// Puts a program into the guest; it runs if there are arguments, however few.
    pub fn add_program(&mut self, path: &Path, arguments: Option<&[String]>) -> Result<()> {
        ensure!(path.is_file(), "there is no program {}", path.display());
        crate::guest_root::check_static(path)?;
        let name = program_name(path);
        self.imports.push(Import {
            from: path.to_path_buf(),
            to: format!("{}/{name}", plan::BIN_DIR),
        });
        if let Some(arguments) = arguments {
            self.plan.programs.push(Program {
                name,
                arguments: arguments.to_vec(),
            });
        }
        Ok(())
    }

    /// The kernel's command line.
    fn command_line(&self) -> String {
        // A guest that has gone wrong must end at once: what it would do next
        // proves nothing. QEMU runs with -no-reboot, so a reboot is the end.
        // lpj, no_timer_check: on a busy host an emulated processor runs on while
        // its timer waits, so measuring the one with the other takes long or
        // ends in a panic.
        let mut line = String::from(
            "console=ttyS0 panic=-1 reboot=t oops=panic panic_on_warn=1 softlockup_panic=1 \
             watchdog_thresh=30 hung_task_panic=1 sysctl.kernel.panic_on_rcu_stall=1 \
             lpj=5000000 no_timer_check",
        );
        line += match self.kernel.kind {
            // Its own limit of 120 s is for disks. Each slab cache is kept apart
            // so that a kind of object can be counted.
            Kind::Stock => " sysctl.kernel.hung_task_timeout_secs=10 slab_nomerge",
            // The slab caches keep track of who allocated each object.
            Kind::Debug => " slab_debug=U",
        };
        if self.accel == Accel::Tcg {
            line += &format!(" tsc_early_khz={}", tsc::khz());
        }
        if !self.append.is_empty() {
            line.push(' ');
            line += &self.append;
        }
        line
    }

    /// MiB of memory for the guest: the initial root is there twice while it is unpacked.
    fn memory(&self, root: u64) -> u64 {
        let base = match self.kernel.kind {
            Kind::Stock => 1024,
            Kind::Debug => 1536,
        };
        self.memory.unwrap_or(base + root.div_ceil(1 << 20) * 3)
    }

    /// Boots, follows the guest to its end and judges. `watch` sees each record
    /// as it comes; what comes from `input` goes to the guest.
    pub fn run(
        &self,
        tools: &Tools,
        mut input: Option<mpsc::Receiver<Record>>,
        watch: &mut dyn FnMut(&Record),
    ) -> Result<Outcome> {
        let begin = Instant::now();
        let mut attempt = 1;
        loop {
            let mut outcome = self.attempt(tools, &mut input, watch)?;
            outcome.elapsed = begin.elapsed();
            if outcome.booted || attempt == ATTEMPTS || self.plan.probe {
                return Ok(outcome);
            }
            attempt += 1;
            watch(&Record::Note(format!(
                "{}; trying again",
                outcome.failures[0].text
            )));
        }
    }

    /// How long the kernel may take to process 1, on a machine that is busy.
    fn boot_limit(&self) -> Duration {
        match (self.plan.probe, self.kernel.kind) {
            (true, _) => Duration::from_secs(15),
            (_, Kind::Stock) => Duration::from_secs(300),
            (_, Kind::Debug) => Duration::from_secs(900),
        }
    }

    fn attempt(
        &self,
        tools: &Tools,
        input: &mut Option<mpsc::Receiver<Record>>,
        watch: &mut dyn FnMut(&Record),
    ) -> Result<Outcome> {
        let begin = Instant::now();
        let mut plan = self.plan.clone();
        if let Some(timeout) = self.timeout {
            // The guest gives up first, while it can still show what hangs.
            let reserve = Duration::from_secs(20).min(timeout / 3);
            plan.guest_timeout = Some((timeout - reserve).as_secs().max(1));
        }
        let root = GuestRoot {
            init: &tools.init,
            busybox: tools.busybox.as_deref(),
            plan: &plan,
            imports: &self.imports,
        }
        .build()?;
        let machine = Machine {
            image: &self.kernel.image,
            initrd: &root,
            append: &self.command_line(),
            memory: self.memory(root.metadata()?.len()),
            cpus: self.cpus,
            accel: self.accel,
            console: &self.console,
            extra: &self.qemu,
        };
        std::fs::write(&self.console, b"")
            .with_context(|| format!("cannot write the console log {}", self.console.display()))?;
        let mut qemu = machine.start()?;
        drop(root);
        let lines = read_lines(&mut qemu);
        let stderr = read_all(&mut qemu);

        let mut run = Run::new(&plan);
        // Its time begins when it has booted.
        let mut end = None;
        let boot_end = begin + self.boot_limit();
        let mut silence = Silence::new(&self.console);
        let timed_out = loop {
            let limit = match run.hello {
                true => end,
                false => Some(boot_end),
            };
            let deadline = match run.hello {
                true => limit,
                false => limit.map(|limit| limit.min(silence.since + self.silence)),
            };
            let wait = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            let line = match lines.recv_timeout(wait) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout)
                    if limit.is_some_and(|limit| Instant::now() < limit)
                        && silence.was_broken() =>
                {
                    continue
                }
                Err(RecvTimeoutError::Timeout) => break true,
            };
            let Some(record) = Record::parse(&line) else {
                continue;
            };
            run.take(&record);
            watch(&record);
            if matches!(record, Record::Hello { .. }) {
                end = self.timeout.map(|timeout| Instant::now() + timeout);
                // Keys are for a guest that listens.
                if let Some(input) = input.take() {
                    send(&mut qemu, input);
                }
            }
        };
        if timed_out {
            qemu.kill();
        }
        // QEMU has closed its output, so it is about to end; if not, it is made to.
        let status = qemu.wait_until(Instant::now() + Duration::from_secs(10))?;
        if status.is_none() {
            qemu.kill();
        }
        let stderr = stderr.join().unwrap_or_default();
        let log = std::fs::read(&self.console)?;
        let findings = console::scan(&String::from_utf8_lossy(&log));
        let mut failures: Vec<Failure> = findings
            .iter()
            .map(|finding| Failure {
                detector: finding.detector.to_string(),
                text: format!("console line {}: {}", finding.number, finding.line),
            })
            .collect();
        if timed_out {
            let (detector, limit) = match run.hello {
                true => ("guest-timeout", self.timeout.unwrap_or_default()),
                false => ("guest-boot", begin.elapsed()),
            };
            failures.push(Failure {
                detector: detector.into(),
                text: format!(
                    "the guest had not ended after {} s{}",
                    limit.as_secs(),
                    run.whereabouts()
                ),
            });
        } else if let Some(status) = status.filter(|status| !status.success()) {
            failures.push(Failure {
                detector: "qemu".into(),
                text: format!("QEMU ended with {status}: {}", stderr.trim()),
            });
        }
        // What is known already explains why the guest broke off.
        let explained = !failures.is_empty();
        run.finish(explained, &mut failures);
        Ok(Outcome {
            booted: run.hello,
            programs: run.programs,
            failures,
            skipped: run.skipped,
            elapsed: begin.elapsed(),
            finding: findings.first().map(|finding| finding.number),
        })
    }
}

/// A program's name in the guest: the file's, without the hash that Cargo adds.
pub fn program_name(path: &Path) -> String {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match name.rsplit_once('-') {
        Some((stem, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            stem.to_string()
        }
        _ => name,
    }
}

/// Since when nothing has been added to a console.
struct Silence<'a> {
    console: &'a Path,
    length: u64,
    since: Instant,
}

impl<'a> Silence<'a> {
    fn new(console: &'a Path) -> Self {
        Self {
            console,
            length: 0,
            since: Instant::now(),
        }
    }

    /// Whether something was added; then it begins anew.
    fn was_broken(&mut self) -> bool {
        let length = std::fs::metadata(self.console).map_or(0, |metadata| metadata.len());
        let broken = length != self.length;
        if broken {
            self.length = length;
            self.since = Instant::now();
        }
        broken
    }
}

/// Reads the protocol in a thread of its own, so that waiting can have a limit.
fn read_lines(qemu: &mut Running) -> mpsc::Receiver<String> {
    let stdout = qemu.child.stdout.take().expect("stdout is a pipe");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Collects what QEMU itself has to say.
fn read_all(qemu: &mut Running) -> std::thread::JoinHandle<String> {
    let mut stderr = qemu.child.stderr.take().expect("stderr is a pipe");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Passes records on to the guest until either side is gone.
fn send(qemu: &mut Running, records: mpsc::Receiver<Record>) {
    let mut stdin = qemu.child.stdin.take().expect("stdin is a pipe");
    std::thread::spawn(move || {
        for record in records {
            if stdin.write_all(record.to_line().as_bytes()).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_hashes_go() {
        let name = |path: &str| program_name(Path::new(path));
        assert_eq!(name("/t/deps/revoke-0123456789abcdef"), "revoke");
        assert_eq!(name("/t/deps/fork-hole-0123456789abcdef"), "fork-hole");
        assert_eq!(name("/t/rsm-demo"), "rsm-demo");
    }
}
