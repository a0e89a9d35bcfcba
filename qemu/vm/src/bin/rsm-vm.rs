// SPDX-License-Identifier: MIT OR Apache-2.0
//! Host side of the guest runner; see the library for how a run works.

use anyhow::{bail, Context, Result};
use clap::{Args, Parser, Subcommand};
use rsm_vm::accel::{self, Accel, Choice};
use rsm_vm::boot::{Boot, Outcome, Tools};
use rsm_vm::guest_root::Import;
use rsm_vm::kernel_dir::KernelDir;
use rsm_vm::protocol::Record;
use rsm_vm::report;
use rsm_vm::selftest::{self, Subject};
use rsm_vm::suite::{self, Orders};
use rsm_vm::terminal::{self, RawTerminal};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Boots a kernel in QEMU, runs programs beside a module, and fails on what the kernel says.
///
/// Exit status: 0 if all is well, 1 if a program or a detector says no, 2 if the run could not be
/// made.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One boot: loads modules, runs programs, checks
    Run(RunArgs),
    /// Many boots, one total
    Suite {
        /// What to boot and to run; "-" reads standard input. See src/suite.rs
        orders: PathBuf,
        /// Guests at one time
        #[arg(long, value_name = "N", default_value_t = 1)]
        jobs: usize,
        #[command(flatten)]
        common: Common,
    },
    /// Shows that every detector fires
    Selftest(SelftestArgs),
    /// Says which accelerator a run would use, and why
    Probe {
        /// Directory with a prepared kernel
        #[arg(long, value_name = "KERNELDIR")]
        kernel: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

/// What every command takes.
#[derive(Args, Clone)]
struct Common {
    /// Seconds until a guest that has not ended is killed
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,
    /// MiB of memory for the guest [default: what kernel and files need]
    #[arg(long, value_name = "MB")]
    memory: Option<u64>,
    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// How QEMU executes instructions
    #[arg(long, value_enum, env = "ACCEL", default_value = "auto")]
    accel: Choice,
    /// Where logs and what has been found out are kept
    #[arg(long, value_name = "DIR", env = "RSM_CACHE", default_value = "/cache")]
    cache: PathBuf,
    /// Process 1 of the guest [default: rsm-init beside this program]
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Statically linked busybox for the guest
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/busybox")]
    busybox: PathBuf,
}

#[derive(Args)]
struct RunArgs {
    /// Directory with a prepared kernel
    #[arg(long, value_name = "KERNELDIR")]
    kernel: PathBuf,
    /// Module to load, with its parameters: "PATH [NAME=VALUE]..."
    #[arg(long, value_name = "MODULE")]
    module: Vec<String>,
    /// Program to run, or to have at hand in the shell
    #[arg(long, value_name = "PROGRAM")]
    bin: Vec<PathBuf>,
    /// File to put into the guest, as SOURCE:DESTINATION
    #[arg(long, value_name = "SRC:DST")]
    file: Vec<String>,
    /// Variable that the programs see
    #[arg(long, value_name = "K=V")]
    env: Vec<String>,
    /// Added to the kernel's command line
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Seconds that each program may take
    #[arg(long, value_name = "S")]
    program_timeout: Option<u64>,
    /// A shell in the guest instead of running the programs
    #[arg(long)]
    shell: bool,
    /// Console log [default: a new one in the cache, removed if all is well]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Arguments for every program
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Args)]
struct SelftestArgs {
    /// Stock kernel
    #[arg(long, value_name = "KERNELDIR", requires = "faulty")]
    stock: Option<PathBuf>,
    /// faulty.ko for the stock kernel
    #[arg(long, value_name = "KO", requires = "stock")]
    faulty: Option<PathBuf>,
    /// Debug kernel
    #[arg(long, value_name = "KERNELDIR", requires = "faulty_debug")]
    debug: Option<PathBuf>,
    /// faulty.ko for the debug kernel
    #[arg(long, value_name = "KO", requires = "debug")]
    faulty_debug: Option<PathBuf>,
    /// Guests at one time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// What both kernels can show is shown by the stock kernel alone
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    common: Common,
    /// Only cases whose name contains one of these
    filters: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Suite {
            orders,
            jobs,
            common,
        } => run_suite(&orders, jobs, &common),
        Command::Selftest(args) => run_selftest(&args),
        Command::Probe { kernel, common } => probe(&kernel, &common),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rsm-vm: {error:#}");
            ExitCode::from(2)
        }
    }
}

impl Common {
    fn tools(&self) -> Result<Tools> {
        let own = std::env::current_exe().context("where is this program?")?;
        let init = self
            .init
            .clone()
            .unwrap_or_else(|| own.with_file_name("rsm-init"));
        if !init.is_file() {
            bail!(
                "there is no {}; it is built with this program",
                init.display()
            );
        }
        Ok(Tools {
            init,
            busybox: self.busybox.is_file().then(|| self.busybox.clone()),
        })
    }

    /// A console log that no other run writes to. Process ids do not tell runs
    /// apart: in sandboxes they are the same.
    fn log_file(&self, name: &str) -> Result<PathBuf> {
        let logs = self.cache.join("logs");
        let directory = if logs.is_dir() {
            logs
        } else {
            std::env::temp_dir()
        };
        let mut number = 1;
        loop {
            let file = directory.join(format!("console-{name}-{number}.log"));
            match File::create_new(&file) {
                Ok(_) => return Ok(file),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make {}", file.display()))
                }
            }
        }
    }

    fn accel(&self, kernel: &KernelDir, tools: &Tools) -> Result<accel::Answer> {
        accel::choose(self.accel, Some(&self.cache), || {
            eprintln!("rsm-vm: trying whether KVM works here (15 s at most)");
            let outcome = self.log_file("probe").and_then(|log| {
                let mut boot = Boot::new(kernel.clone(), Accel::Kvm, log.clone());
                boot.plan.probe = true;
                let outcome = boot.run(tools, None, &mut |_| {});
                let _ = std::fs::remove_file(&log);
                outcome
            });
            match outcome {
                Ok(outcome) if outcome.is_success() => Ok(()),
                Ok(outcome) => Err(report::failure_lines(&outcome).join("; ")),
                Err(error) => Err(format!("{error:#}")),
            }
        })
    }

    /// A boot as these options want it.
    fn boot(&self, kernel: KernelDir, accel: Accel, log: PathBuf) -> Boot {
        let mut boot = Boot::new(kernel, accel, log);
        boot.timeout = self.timeout.map(Duration::from_secs);
        boot.memory = self.memory;
        boot.cpus = self.cpus;
        boot
    }
}

fn run(args: &RunArgs) -> Result<bool> {
    let common = &args.common;
    let tools = common.tools()?;
    let kernel = KernelDir::open(&args.kernel)?;
    let accel = common.accel(&kernel, &tools)?.accel;
    let name = if args.shell { "shell" } else { "run" };
    let log = args.log.clone().map_or_else(|| common.log_file(name), Ok)?;
    let mut boot = common.boot(kernel, accel, log.clone());
    for module in &args.module {
        let (path, parameters) = module.split_once(' ').unwrap_or((module, ""));
        boot.add_module(Path::new(path), parameters)?;
    }
    for program in &args.bin {
        boot.add_program(program, (!args.shell).then_some(&args.arguments[..]))?;
    }
    for pair in &args.env {
        let (name, value) = pair
            .split_once('=')
            .with_context(|| format!("not K=V: {pair}"))?;
        boot.plan.environment.push((name.into(), value.into()));
    }
    for pair in &args.file {
        let (from, to) = pair
            .split_once(':')
            .with_context(|| format!("not SRC:DST: {pair}"))?;
        boot.imports.push(Import {
            from: from.into(),
            to: to.into(),
        });
    }
    boot.append = args.append.join(" ");
    boot.plan.program_timeout = args.program_timeout;
    let outcome = if args.shell {
        shell(boot, &tools)?
    } else {
        boot.timeout = boot.timeout.or(Some(Duration::from_secs(120)));
        boot.run(&tools, None, &mut show)?
    };
    let good = outcome.is_success();
    if good && args.log.is_none() {
        let _ = std::fs::remove_file(&log);
    } else if !good {
        show_failure(&outcome, &log, &common.cache);
    }
    Ok(good)
}

/// What a guest says, to the user as it comes.
fn show(record: &Record) {
    match record {
        Record::Out { bytes, .. } => {
            let mut stdout = std::io::stdout().lock();
            if stdout
                .write_all(bytes)
                .and_then(|()| stdout.flush())
                .is_err()
            {
                // No one listens any more. QEMU dies with us; a raw terminal
                // is put in order by the signal's handler.
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP);
            }
        }
        Record::Note(text) => eprintln!("rsm-vm: {text}\r"),
        _ => {}
    }
}

fn show_failure(outcome: &Outcome, log: &Path, cache: &Path) {
    for line in report::failure_lines(outcome) {
        eprintln!("rsm-vm: {line}");
    }
    eprintln!(
        "rsm-vm: the console, in full in {}:",
        report::path_for_user(log, cache).display()
    );
    for line in report::console_excerpt(outcome, log) {
        eprintln!("  | {line}");
    }
}

fn shell(mut boot: Boot, tools: &Tools) -> Result<Outcome> {
    if tools.busybox.is_none() {
        bail!("a shell needs busybox (Debian: busybox-static)");
    }
    boot.plan.shell = true;
    let term = std::env::var("TERM").unwrap_or_else(|_| "dumb".into());
    boot.plan.environment.push(("TERM".into(), term));
    eprintln!("rsm-vm: booting; \"exit\" ends the guest, \"~.\" at the start of a line kills it");
    let raw = RawTerminal::new()?;
    let input = terminal::records(|| {
        // The signal's handler puts the terminal in order.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    });
    let outcome = boot.run(tools, Some(input), &mut show);
    drop(raw);
    outcome
}

fn run_suite(file: &Path, jobs: usize, common: &Common) -> Result<bool> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input")?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    let orders = Orders::parse(&text).with_context(|| file.display().to_string())?;
    let tools = common.tools()?;
    suite::run(&orders, &tools, &common.cache, jobs, &|name, kernel| {
        let accel = common.accel(&kernel, &tools)?.accel;
        let mut boot = common.boot(kernel, accel, common.log_file(name)?);
        boot.timeout = boot.timeout.or(Some(Duration::from_secs(600)));
        Ok(boot)
    })
}

fn run_selftest(args: &SelftestArgs) -> Result<bool> {
    let pairs = [
        (&args.stock, &args.faulty),
        (&args.debug, &args.faulty_debug),
    ];
    let mut subjects = Vec::new();
    for (kernel, faulty) in pairs {
        if let Some((kernel, faulty)) = kernel.as_ref().zip(faulty.as_ref()) {
            subjects.push(Subject {
                kernel: KernelDir::open(kernel)?,
                faulty: faulty.clone(),
            });
        }
    }
    if subjects.is_empty() {
        bail!("give --stock with --faulty, or --debug with --faulty-debug");
    }
    let tools = args.common.tools()?;
    let accel = args.common.accel(&subjects[0].kernel, &tools)?.accel;
    selftest::run(
        &subjects,
        &tools,
        selftest::How {
            jobs: args.jobs,
            once: args.once,
        },
        &args.filters,
        &|name, kernel| Ok(args.common.boot(kernel, accel, args.common.log_file(name)?)),
    )
}

fn probe(kernel: &Path, common: &Common) -> Result<bool> {
    let answer = common.accel(&KernelDir::open(kernel)?, &common.tools()?)?;
    println!("{} ({})", answer.accel, answer.reason);
    Ok(true)
}
