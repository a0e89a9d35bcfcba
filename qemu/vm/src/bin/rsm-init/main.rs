// SPDX-License-Identifier: MIT OR Apache-2.0
//! Process 1 of the guest: prepares it, runs the plan, looks for what was left
//! behind, says so to the host, and switches the machine off.
//!
//! | step | what | reported as |
//! |---|---|---|
//! | 1 | mount what a running system has | `hello` |
//! | 2 | take the baseline: pins, locked memory, open files, slab objects | |
//! | 3 | load the modules, open their device to everyone | `module` |
//! | 4 | run each program alone; end what it leaves behind | `start`, `out`, `exit` |
//! | 5 | shell, if wanted | `out` |
//! | 6 | unload the modules, last one first | `check rmmod` |
//! | 7 | compare with the baseline | `check …` |
//! | 8 | sync, power off | `end` |
//!
//! It never exits: the kernel would panic. Whatever goes wrong becomes a record
//! or, where the link itself is broken, a line on the console.

mod checks;
mod kmemleak;
mod link;
mod locked;
mod modules;
mod mounts;
mod processes;
mod programs;
mod shell;
mod slab;

use anyhow::Result;
use link::Link;
use nix::sys::reboot::{reboot, RebootMode};
use rsm_vm::plan::Plan;
use rsm_vm::protocol::{Ending, Record, Verdict, VERSION};
use std::time::{Duration, Instant};

/// The port of the protocol; the kernel's console has the first one.
const PORT: &str = "/dev/ttyS1";

fn main() {
    let begin = Instant::now();
    let failed_mounts = mounts::mount_all();
    match Link::open(PORT) {
        Ok(mut link) => {
            if let Err(error) = guest(&mut link, begin, &failed_mounts) {
                link.note(&format!("rsm-init: {error:#}"));
                log(&format!("{error:#}"));
            }
            link.drain();
        }
        Err(error) => log(&format!("cannot open {PORT}: {error:#}")),
    }
    switch_off();
}

/// Everything from the first record to the last.
fn guest(link: &mut Link, begin: Instant, failed_mounts: &[String]) -> Result<()> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    link.send(&Record::Hello {
        version: VERSION.to_string(),
        release: release.trim().to_string(),
    });
    for problem in failed_mounts {
        link.note(problem);
    }
    let plan = Plan::read()?;
    if plan.probe {
        link.end();
        return Ok(());
    }
    let baseline = checks::Baseline::take();
    let loaded = modules::load_all(&plan.modules, link);
    let mut stuck = Vec::new();
    if loaded.len() == plan.modules.len() {
        let guest_end = plan
            .guest_timeout
            .map(|seconds| begin + Duration::from_secs(seconds));
        for (index, program) in plan.programs.iter().enumerate() {
            let name = &program.name;
            link.send(&Record::Start {
                index,
                name: name.clone(),
            });
            log(&format!("start {name}"));
            let ending = if guest_end.is_some_and(|end| end <= Instant::now()) {
                Ending::Failed("the guest's time is over".to_string())
            } else {
                let run = programs::Program::new(&plan, index, guest_end);
                run.run(link)
                    .unwrap_or_else(|error| Ending::Failed(format!("{error:#}")))
            };
            log(&format!("end {name}: {ending}"));
            link.send(&Record::Exit { index, ending });
            stuck.extend(processes::end_all(link, name));
        }
        if plan.shell {
            shell::run(&plan, link)?;
            stuck.extend(processes::end_all(link, "the shell"));
        }
    }
    if !plan.modules.is_empty() {
        checks::report(link, "processes", &stuck);
        checks::live_objects(link, &loaded);
        let unloaded = modules::unload_all(&loaded, link);
        baseline.compare(link, unloaded);
    }
    link.end();
    Ok(())
}

/// Writes a line to the kernel's log, where it stands among the kernel's own.
pub fn log(text: &str) {
    let _ = std::fs::write(
        "/dev/kmsg",
        format!("<6>rsm-init: {}\n", text.replace('\n', " | ")),
    );
}

/// A verdict from a list of problems.
pub fn verdict(problems: &[String]) -> (Verdict, String) {
    if problems.is_empty() {
        (Verdict::Ok, String::new())
    } else {
        (Verdict::Fail, problems.join("; "))
    }
}

/// Ends the machine. QEMU runs with -no-reboot, so a reboot does it as well.
fn switch_off() -> ! {
    nix::unistd::sync();
    if std::path::Path::new("/sys/firmware/acpi").exists() {
        let _ = reboot(RebootMode::RB_POWER_OFF);
    }
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
