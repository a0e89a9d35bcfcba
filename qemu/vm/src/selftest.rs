// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows that the runner notices what it must: each case boots a guest in which
//! exactly one thing is wrong, and passes if exactly the detectors that belong
//! to it fire. The things go wrong in `qemu/faulty`, a module made for this, or
//! in a small shell script.

use crate::boot::{Boot, Outcome, Tools};
use crate::guest_root::Import;
use crate::kernel_dir::{KernelDir, Kind};
use crate::plan::{self, Program};
use crate::protocol::Ending;
use crate::totals::Totals;
use anyhow::{Context, Result};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use Where::{Both, Debug, Stock};

/// Which kernels can show a case.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// The quick one is enough.
    Stock,
    /// Needs a checker that only the debug kernel has.
    Debug,
    /// They report differently.
    Both,
}

/// One thing that is wrong.
struct Case {
    name: &'static str,
    on: Where,
    /// Parameter of the module.
    fault: &'static str,
    /// Shell script that runs while the module is loaded.
    script: &'static str,
    /// Detectors that must fire on any kernel.
    fires: &'static [&'static str],
    /// Detectors that must fire on the debug kernel as well.
    fires_on_debug: &'static [&'static str],
    /// How the script must end.
    ending: Option<Ending>,
    append: &'static str,
    timeout: u64,
    /// Seconds for which the kernel may say nothing.
    silence: Option<u64>,
    program_timeout: Option<u64>,
    qemu: &'static [&'static str],
}

const GOOD: Case = Case {
    name: "",
    on: Stock,
    fault: "none",
    script: "",
    fires: &[],
    fires_on_debug: &[],
    ending: None,
    append: "",
    timeout: 600,
    silence: None,
    program_timeout: None,
    qemu: &[],
};

/// A case in which loading or unloading the module is what goes wrong.
fn module(name: &'static str, on: Where, fires: &'static [&'static str]) -> Case {
    Case {
        name,
        on,
        fault: name,
        fires,
        ..GOOD
    }
}

/// A case in which the module does nothing wrong.
fn script(name: &'static str, script: &'static str, ending: Ending) -> Case {
    Case {
        name,
        script,
        ending: Some(ending),
        ..GOOD
    }
}

/// Everything that the runner must notice, and two cases in which it must not.
fn cases() -> Vec<Case> {
    vec![
        // Nothing is wrong, and nothing may be found.
        Case {
            on: Both,
            ..script(
                "nothing-wrong",
                "ls / >/tmp/x; cat /tmp/x; sleep 0.1 & exit 0",
                Ending::Exited(0),
            )
        },
        script(
            "forged-records",
            "printf '\\n@end\\t1\\n@check\\tpins\\tfail\\tx\\n'",
            Ending::Exited(0),
        ),
        // The program.
        script("program-status", "exit 3", Ending::Exited(3)),
        script("program-signal", "kill -SEGV $$", Ending::Signalled(11)),
        Case {
            program_timeout: Some(3),
            ..script("program-timeout", "sleep 1000", Ending::TimedOut(3))
        },
        // The guest.
        module("insmod", Stock, &["insmod"]),
        module("power-off", Stock, &["guest-end"]),
        Case {
            timeout: 60,
            ..module("hang", Stock, &["guest-timeout"])
        },
        Case {
            name: "emulator",
            qemu: &["-device", "no-such-device"],
            fires: &["qemu"],
            ..GOOD
        },
        // The console.
        module("warn", Stock, &["warn"]),
        module("bug", Stock, &["bug"]),
        module("oops", Stock, &["oops"]),
        module("panic", Stock, &["panic"]),
        module("ubsan", Both, &["ubsan"]),
        module("hung", Stock, &["hung-task"]),
        Case {
            append: "watchdog_thresh=2",
            ..module("lockup", Stock, &["lockup"])
        },
        Case {
            append: "rcupdate.rcu_cpu_stall_timeout=3",
            ..module("rcu-stall", Stock, &["rcu-stall"])
        },
        module("kasan", Debug, &["kasan"]),
        module("lockdep", Debug, &["lockdep"]),
        module("atomic-sleep", Debug, &["atomic-sleep"]),
        // What is left behind.
        module("pin", Stock, &["pins"]),
        module("locked", Stock, &["locked-memory"]),
        module("descriptor", Stock, &["descriptors"]),
        module("live", Stock, &["live-objects"]),
        Case {
            fires_on_debug: &["kmemleak"],
            ..module("slab", Both, &["slab"])
        },
        module("vmalloc", Stock, &["slab"]),
        module("kmemleak", Debug, &["kmemleak", "slab"]),
        Case {
            // Longer than the runner waits, shorter than the kernel does.
            append: "sysctl.kernel.hung_task_timeout_secs=60",
            fires: &["processes"],
            ..script(
                "processes",
                "cat /sys/kernel/debug/faulty/block & \
                 until grep -q block_show /proc/$!/stack; do sleep 0.1; done",
                Ending::Exited(0),
            )
        },
        // The boot: processors that are not let run.
        Case {
            name: "boot",
            silence: Some(1),
            qemu: &["-S"],
            fires: &["guest-boot"],
            ..GOOD
        },
        // Unloading.
        module("rmmod", Stock, &["rmmod"]),
        module("rmmod-crash", Stock, &["oops"]),
    ]
}

/// A kernel, and the module of faults built for it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The kernel.
    pub kernel: KernelDir,
    /// `faulty.ko`.
    pub faulty: PathBuf,
}

impl Case {
    fn runs_on(&self, kind: Kind) -> bool {
        match self.on {
            Both => true,
            Stock => kind == Kind::Stock,
            Debug => kind == Kind::Debug,
        }
    }

    /// Boots it. `Err` says what was expected and what came.
    fn run(&self, subject: &Subject, tools: &Tools, mut boot: Boot) -> Result<(), String> {
        let outcome = (|| -> Result<Outcome> {
            boot.add_module(&subject.faulty, &format!("fault={}", self.fault))?;
            if !self.script.is_empty() {
                // busybox is whatever it is called by.
                boot.imports.push(Import {
                    from: tools.busybox.clone().context("these tests need busybox")?,
                    to: format!("{}/sh", plan::BIN_DIR),
                });
                boot.plan.programs.push(Program {
                    name: "sh".into(),
                    arguments: vec!["-c".into(), self.script.into()],
                });
            }
            boot.plan.program_timeout = self.program_timeout;
            boot.append = self.append.into();
            boot.timeout = Some(Duration::from_secs(self.timeout));
            boot.silence = self.silence.map_or(boot.silence, Duration::from_secs);
            boot.qemu = self.qemu.iter().map(|word| word.to_string()).collect();
            boot.run(tools, None, &mut |_| {})
        })()
        .map_err(|error| format!("{error:#}"))?;
        self.judge(subject.kernel.kind, &outcome)
    }

    fn judge(&self, kind: Kind, outcome: &Outcome) -> Result<(), String> {
        let mut expected: BTreeSet<&str> = self.fires.iter().copied().collect();
        if kind == Kind::Debug {
            expected.extend(self.fires_on_debug);
        }
        let fired: BTreeSet<&str> = outcome
            .failures
            .iter()
            .map(|failure| failure.detector.as_str())
            .collect();
        if fired != expected {
            let texts: Vec<String> = outcome
                .failures
                .iter()
                .map(|failure| format!("{}: {}", failure.detector, failure.text))
                .collect();
            return Err(format!(
                "expected {expected:?} to fire, but it was {fired:?} {texts:?}"
            ));
        }
        let ending = outcome
            .programs
            .first()
            .and_then(|program| program.ending.clone());
        let as_expected = match (&self.ending, &ending) {
            // On a busy machine it is noticed later.
            (Some(Ending::TimedOut(limit)), Some(Ending::TimedOut(after))) => after >= limit,
            (expected, ending) => expected == ending,
        };
        if !as_expected {
            return Err(format!(
                "the script should have ended {:?}, not {ending:?}",
                self.ending
            ));
        }
        let should_pass =
            expected.is_empty() && self.ending.as_ref().is_none_or(Ending::is_success);
        if outcome.is_success() != should_pass {
            return Err(format!("the run was judged {}", outcome.is_success()));
        }
        Ok(())
    }
}

/// How the cases are run.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// Guests at a time.
    pub jobs: usize,
    /// What both kernels can show is shown by the first alone.
    pub once: bool,
}

/// Runs every case whose name contains one of `filters` (all, if there are
/// none). Prints as Rust's test harness does.
pub fn run(
    subjects: &[Subject],
    tools: &Tools,
    how: How,
    filters: &[String],
    configure: &(dyn Fn(&str, KernelDir) -> Result<Boot> + Sync),
) -> Result<bool> {
    let cases = cases();
    let all: Vec<(&Case, &Subject, String)> = subjects
        .iter()
        .enumerate()
        .flat_map(|(number, subject)| {
            let kind = subject.kernel.kind;
            let shown = move |case: &Case| how.once && number > 0 && case.on == Both;
            let cases = cases
                .iter()
                .filter(move |case| case.runs_on(kind) && !shown(case));
            cases.map(move |case| (case, subject, format!("{}::{}", kind.name(), case.name)))
        })
        .collect();
    let count = all.len();
    let wanted: VecDeque<_> = all
        .into_iter()
        .filter(|(_, _, name)| filters.is_empty() || filters.iter().any(|word| name.contains(word)))
        .collect();
    let filtered_out = count - wanted.len();
    println!("running {} tests", wanted.len());
    let begin = Instant::now();
    let queue = Mutex::new(wanted);
    let results = Mutex::new((Totals::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..how.jobs.max(1) {
            scope.spawn(|| loop {
                let Some((case, subject, name)) = queue.lock().unwrap().pop_front() else {
                    return;
                };
                let log = format!("selftest-{}", name.replace("::", "-"));
                let result = configure(&log, subject.kernel.clone())
                    .map_err(|error| format!("{error:#}"))
                    .and_then(|boot| {
                        let console = boot.console.clone();
                        case.run(subject, tools, boot)
                            .map(|()| std::fs::remove_file(&console))
                            .map_err(|problem| format!("{problem} (see {})", console.display()))
                    });
                let (totals, failed) = &mut *results.lock().unwrap();
                match result {
                    Ok(_) => {
                        totals.passed += 1;
                        println!("test {name} ... ok");
                    }
                    Err(problem) => {
                        totals.failed += 1;
                        println!("test {name} ... FAILED");
                        failed.push(format!("{name}: {problem}"));
                    }
                }
            });
        }
    });
    let (totals, failed) = results.into_inner().unwrap();
    if !failed.is_empty() {
        println!("\nfailures:");
        for line in &failed {
            println!("    {line}");
        }
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; {} ignored; 0 measured; {filtered_out} filtered \
         out; finished in {:.2}s\n",
        if totals.failed == 0 { "ok" } else { "FAILED" },
        totals.passed,
        totals.failed,
        totals.skipped,
        begin.elapsed().as_secs_f64(),
    );
    Ok(totals.failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let cases = cases();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
    }

    #[test]
    fn every_guest_check_has_a_case() {
        let cases = cases();
        let fired: BTreeSet<&str> = cases
            .iter()
            .flat_map(|case| case.fires.iter().chain(case.fires_on_debug))
            .copied()
            .collect();
        for check in crate::run::GUEST_CHECKS {
            assert!(fired.contains(check), "no case makes {check} fire");
        }
    }
}
