// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many boots, one total.
//!
//! What is to be done stands in a text, one order per line; lines before the
//! first `boot` hold for all boots:
//!
//! ```text
//! # comment
//! variable RSM_SOAK=0
//! argument revoke                    (for tests only: a filter, say)
//! test /cache/target/…/revoke-0123456789abcdef
//!
//! boot stock-7.2
//! kernel /cache/kernel/7.2.12+deb13-cloud-amd64
//! module /cache/out/…/rsm.ko
//! boot debug
//! kernel /cache/kernel/debug-7.2-…
//! module /cache/out/…/rsm.ko debug=1
//! append page_table_check=on
//! timeout 1200
//!
//! output host /cache/logs/host-tests.log
//! ```
//!
//! | order | meaning |
//! |---|---|
//! | `boot` NAME | a new boot begins |
//! | `kernel` DIRECTORY | the kernel to boot |
//! | `module` FILE PARAMETER… | a module to load |
//! | `test` FILE | a program with Rust's test harness: its totals count, and must be there |
//! | `program` FILE | any other program: counts as one test, judged by its exit status |
//! | `file` SOURCE:DESTINATION | a file for the guest |
//! | `variable` NAME=VALUE | for all programs |
//! | `argument` WORD | for tests |
//! | `append` WORDS | added to the kernel's command line |
//! | `timeout` SECONDS, `memory` MIB, `cpus` NUMBER | limits of the guest |
//! | `output` NAME FILE | adds the totals of tests that ran elsewhere and left their output |
//! | `meanwhile` NAME FILE | the same of tests that run elsewhere now: waits for `FILE.complete`, and prints the output |

use crate::boot::{Boot, Outcome, Tools};
use crate::guest_root::Import;
use crate::kernel_dir::KernelDir;
use crate::protocol::Record;
use crate::report;
use crate::totals::{self, Harness, Totals};
use anyhow::{anyhow, bail, ensure, Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Tests that run meanwhile end so long after the last boot at most.
const MEANWHILE: Duration = Duration::from_secs(3600);

/// One boot of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Order {
    /// Its name in the totals.
    pub name: String,
    kernel: Option<PathBuf>,
    modules: Vec<(PathBuf, String)>,
    /// Programs, and whether each is a test harness.
    programs: Vec<(PathBuf, bool)>,
    files: Vec<(PathBuf, String)>,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    append: Vec<String>,
    timeout: Option<u64>,
    memory: Option<u64>,
    cpus: Option<u32>,
}

/// All of the text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Boots, in order.
    pub boots: Vec<Order>,
    /// Outputs of tests that ran elsewhere: name and file.
    pub outputs: Vec<(String, PathBuf)>,
    /// The same of tests that still run.
    pub meanwhile: Vec<(String, PathBuf)>,
}

impl Orders {
    /// Reads the text.
    pub fn parse(text: &str) -> Result<Orders> {
        let mut orders = Orders::default();
        let mut common = Order::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.trim();
            let result = match word {
                _ if value.is_empty() => Err(anyhow!("{word} needs a value")),
                "boot" => {
                    let name = value.to_string();
                    orders.boots.push(Order {
                        name,
                        ..common.clone()
                    });
                    Ok(())
                }
                "output" | "meanwhile" => {
                    let outputs = match word {
                        "output" => &mut orders.outputs,
                        _ => &mut orders.meanwhile,
                    };
                    let parts = value.split_once(' ').context("NAME FILE");
                    parts.map(|(name, file)| outputs.push((name.to_string(), file.into())))
                }
                _ => orders
                    .boots
                    .last_mut()
                    .unwrap_or(&mut common)
                    .take(word, value),
            };
            result.with_context(|| format!("line {}: {line}", number + 1))?;
        }
        if let Some(order) = orders.boots.iter().find(|order| order.kernel.is_none()) {
            bail!("boot {} has no kernel", order.name);
        }
        Ok(orders)
    }
}

impl Order {
    fn take(&mut self, word: &str, value: &str) -> Result<()> {
        match word {
            "kernel" => self.kernel = Some(value.into()),
            "module" => {
                let (path, parameters) = value.split_once(' ').unwrap_or((value, ""));
                self.modules.push((path.into(), parameters.to_string()));
            }
            "test" => self.programs.push((value.into(), true)),
            "program" => self.programs.push((value.into(), false)),
            "file" => {
                let (from, to) = value.split_once(':').context("SOURCE:DESTINATION")?;
                self.files.push((from.into(), to.to_string()));
            }
            "variable" => {
                let (name, content) = value.split_once('=').context("NAME=VALUE")?;
                self.variables.push((name.to_string(), content.to_string()));
            }
            "argument" => self.arguments.push(value.to_string()),
            "append" => self.append.push(value.to_string()),
            "timeout" => self.timeout = Some(value.parse()?),
            "memory" => self.memory = Some(value.parse()?),
            "cpus" => self.cpus = Some(value.parse()?),
            _ => bail!("there is no order {word}"),
        }
        Ok(())
    }

    /// The boot that is ordered. `configure` settles what the text does not say.
    fn boot(&self, configure: &dyn Fn(&str, KernelDir) -> Result<Boot>) -> Result<Boot> {
        let kernel = KernelDir::open(self.kernel.as_deref().context("no kernel")?)?;
        let mut boot = configure(&self.name, kernel)?;
        for (path, parameters) in &self.modules {
            boot.add_module(path, parameters)?;
        }
        for (path, is_test) in &self.programs {
            let arguments: &[String] = if *is_test { &self.arguments } else { &[] };
            boot.add_program(path, Some(arguments))?;
        }
        boot.imports
            .extend(self.files.iter().map(|(from, to)| Import {
                from: from.clone(),
                to: to.clone(),
            }));
        boot.plan.environment.extend(self.variables.iter().cloned());
        boot.append = self.append.join(" ");
        if let Some(seconds) = self.timeout {
            boot.timeout = Some(Duration::from_secs(seconds));
        }
        boot.memory = self.memory.or(boot.memory);
        boot.cpus = self.cpus.unwrap_or(boot.cpus);
        Ok(boot)
    }
}

/// Counts what one boot's programs print, and prints it with the boot's name.
struct Follower<'a> {
    order: &'a Order,
    names: Vec<String>,
    harnesses: BTreeMap<usize, Harness>,
    since: Instant,
}

impl Follower<'_> {
    fn watch(&mut self, record: &Record) {
        match record {
            Record::Hello { release, .. } => self.say(&format!("Linux {release}")),
            Record::Note(text) => self.say(text),
            Record::Start { .. } => self.since = Instant::now(),
            Record::Out { index, bytes } => {
                let lines = self.harnesses.entry(*index).or_default().feed(bytes);
                for line in lines {
                    self.line(*index, &line);
                }
            }
            Record::Exit { index, ending } => {
                let rest = self.harnesses.entry(*index).or_default().finish();
                if let Some(line) = rest {
                    self.line(*index, &line);
                }
                if !ending.is_success() {
                    self.say(&format!("{}: {ending}", self.names[*index]));
                }
            }
            _ => {}
        }
    }

    fn say(&self, text: &str) {
        println!("{}  {text}", self.order.name);
    }

    fn line(&mut self, index: usize, line: &str) {
        if line.is_empty() {
            return;
        }
        let name = self.names.get(index).map_or("?", String::as_str);
        let mut time = String::new();
        if totals::test_line(line).is_some() {
            let elapsed = self.since.elapsed();
            self.since = Instant::now();
            if elapsed >= Duration::from_secs(1) {
                time = format!("  ({:.1} s)", elapsed.as_secs_f64());
            }
        }
        println!("{}  {name}: {line}{time}", self.order.name);
    }

    /// Adds everything up: totals, and a line for each failure.
    fn judge(&self, outcome: &Outcome) -> (Totals, Vec<String>) {
        let mut totals = Totals::default();
        let mut failed = Vec::new();
        for (index, program) in outcome.programs.iter().enumerate() {
            let is_test = self.order.programs[index].1;
            let harness = self.harnesses.get(&index);
            let name = format!("{}::{}", self.order.name, program.name);
            if let Some(harness) = harness.filter(|_| is_test) {
                totals += harness.totals();
                failed.extend(
                    harness
                        .failed()
                        .iter()
                        .map(|test| format!("{name}::{test}")),
                );
            }
            let complete = harness.is_some_and(Harness::is_complete) || !is_test;
            let reason = match &program.ending {
                None => "not run to its end".to_string(),
                Some(ending) if !ending.is_success() => ending.to_string(),
                Some(_) if !complete => "printed no totals".to_string(),
                Some(_) => {
                    totals.passed += u64::from(!is_test);
                    continue;
                }
            };
            // A complete harness has counted its failures itself.
            if is_test && complete && harness.is_some_and(|harness| harness.totals().failed > 0) {
                continue;
            }
            totals.failed += 1;
            let at = harness.and_then(Harness::begun).filter(|_| is_test);
            let test = at.map(|test| format!("::{test}")).unwrap_or_default();
            failed.push(format!("{name}{test} ({reason})"));
        }
        for failure in &outcome.failures {
            totals.failed += 1;
            failed.push(format!(
                "{}::detector::{} ({})",
                self.order.name, failure.detector, failure.text
            ));
        }
        if outcome.failures.is_empty() {
            // That a boot left nothing behind is a result too.
            totals.passed += 1;
        }
        (totals, failed)
    }
}

/// What one boot comes to.
struct Judged {
    totals: Totals,
    failed: Vec<String>,
    /// Whether there was a test to run.
    tests_seen: bool,
    elapsed: Duration,
}

/// Makes one boot, and prints what it says.
fn make(order: &Order, boot: &Boot, tools: &Tools, cache: &Path) -> Result<Judged> {
    let programs = &boot.plan.programs;
    let mut follower = Follower {
        order,
        names: programs
            .iter()
            .map(|program| program.name.clone())
            .collect(),
        harnesses: BTreeMap::new(),
        since: Instant::now(),
    };
    let outcome = boot
        .run(tools, None, &mut |record| follower.watch(record))
        .with_context(|| format!("boot {}", order.name))?;
    let (totals, failed) = follower.judge(&outcome);
    // A boot's verdict is not to be torn apart by what another one says.
    let _whole = std::io::stdout().lock();
    if outcome.failures.is_empty() {
        println!("{}  test detectors ... ok", order.name);
    } else {
        for failure in &outcome.failures {
            println!(
                "{}  test detector::{} ... FAILED",
                order.name, failure.detector
            );
            println!("{}  {}", order.name, failure.text);
        }
    }
    if failed.is_empty() {
        let _ = std::fs::remove_file(&boot.console);
    } else {
        let log = report::path_for_user(&boot.console, cache);
        println!("{}  the console, in full in {}:", order.name, log.display());
        for line in report::console_excerpt(&outcome, &boot.console) {
            println!("{}  | {line}", order.name);
        }
    }
    Ok(Judged {
        totals,
        failed,
        tests_seen: follower.harnesses.values().any(|harness| {
            // A harness that died was about to run something.
            harness.totals() != Totals::default() || !harness.is_complete()
        }),
        elapsed: outcome.elapsed,
    })
}

/// Makes all boots, `jobs` at a time. Whether everything passed.
pub fn run(
    orders: &Orders,
    tools: &Tools,
    cache: &Path,
    jobs: usize,
    configure: &dyn Fn(&str, KernelDir) -> Result<Boot>,
) -> Result<bool> {
    // What cannot be booted is found before an hour has gone into the rest.
    let boots: Vec<Boot> = orders
        .boots
        .iter()
        .map(|order| {
            order
                .boot(configure)
                .with_context(|| format!("boot {}", order.name))
        })
        .collect::<Result<_>>()?;
    let mut total = Totals::default();
    let mut failed = Vec::new();
    let mut summary = Vec::new();
    let mut tests_seen = false;
    let queue = Mutex::new(orders.boots.iter().zip(&boots).enumerate());
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| loop {
                let Some((number, (order, boot))) = queue.lock().unwrap().next() else {
                    return;
                };
                let judged = make(order, boot, tools, cache);
                results.lock().unwrap().insert(number, judged);
            });
        }
    });
    for (number, judged) in results.into_inner().unwrap() {
        let judged = judged?;
        tests_seen |= judged.tests_seen;
        let (name, seconds) = (&orders.boots[number].name, judged.elapsed.as_secs());
        summary.push(format!("{name}: {}, {seconds} s", judged.totals));
        total += judged.totals;
        failed.extend(judged.failed);
    }
    for (name, file) in &orders.meanwhile {
        await_output(name, file)?;
    }
    for (name, file) in orders.outputs.iter().chain(&orders.meanwhile) {
        let (totals, failures) = count_output(name, file)?;
        tests_seen |= totals != Totals::default();
        total += totals;
        failed.extend(failures);
        summary.push(format!("{name}: {totals}"));
    }
    if !tests_seen {
        total.failed += 1;
        failed.push("no test ran: does the filter match any name?".to_string());
    }
    println!();
    if !failed.is_empty() {
        println!("failures:");
        for name in &failed {
            println!("    {name}");
        }
        println!();
    }
    for line in &summary {
        println!("{line}");
    }
    println!("{total}");
    Ok(total.failed == 0)
}

/// Waits for an output that is still being written, and prints it.
fn await_output(name: &str, file: &Path) -> Result<()> {
    let mut complete = file.as_os_str().to_owned();
    complete.push(".complete");
    let complete = PathBuf::from(complete);
    let deadline = Instant::now() + MEANWHILE;
    while !complete.exists() {
        ensure!(Instant::now() < deadline, "{name}: no end of it");
        std::thread::sleep(Duration::from_millis(100));
    }
    let text = std::fs::read(file).with_context(|| format!("output {name}"))?;
    println!("\nMeanwhile: {name}\n{}", String::from_utf8_lossy(&text));
    Ok(())
}

/// Counts the tests of an output that is in a file.
fn count_output(name: &str, file: &Path) -> Result<(Totals, Vec<String>)> {
    let text = std::fs::read(file).with_context(|| format!("output {name}: {}", file.display()))?;
    let mut harness = Harness::default();
    harness.feed(&text);
    harness.finish();
    let mut totals = harness.totals();
    let mut failed: Vec<String> = harness
        .failed()
        .iter()
        .map(|test| format!("{name}::{test}"))
        .collect();
    if !harness.is_complete() {
        totals.failed += 1;
        failed.push(format!("{name} (printed no totals)"));
    }
    Ok((totals, failed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Ending;
    use crate::run::{Failure, ProgramEnd};

    const TEXT: &str = "\
        # all boots\n\
        variable RSM_SOAK=0\n\
        test /t/revoke-0123456789abcdef\n\
        \n\
        boot stock\n\
        kernel /k/stock\n\
        module /m/rsm.ko\n\
        boot debug\n\
        kernel /k/debug\n\
        module /m/rsm.ko a=1 b=2\n\
        program /t/demo\n\
        append page_table_check=on\n\
        timeout 60\n\
        output host /l/host.log\n\
        meanwhile costs /l/costs.log\n";

    #[test]
    fn the_text_is_understood() {
        let orders = Orders::parse(TEXT).unwrap();
        assert_eq!(
            orders.outputs,
            [("host".to_string(), PathBuf::from("/l/host.log"))]
        );
        assert_eq!(
            orders.meanwhile,
            [("costs".to_string(), PathBuf::from("/l/costs.log"))]
        );
        let [stock, debug] = &orders.boots[..] else {
            panic!()
        };
        assert_eq!(stock.programs.len(), 1);
        assert_eq!(stock.variables.len(), 1);
        assert_eq!(debug.programs.len(), 2);
        assert_eq!(
            debug.modules,
            [(PathBuf::from("/m/rsm.ko"), "a=1 b=2".to_string())]
        );
        assert_eq!(debug.timeout, Some(60));
        assert_eq!(stock.timeout, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| format!("{:#}", Orders::parse(text).unwrap_err());
        assert!(error("dance now").contains("line 1: dance now"));
        assert!(error("boot a").contains("boot a has no kernel"));
        assert!(error("kernel").contains("needs a value"));
        assert!(error("boot a\nkernel /k\ntimeout soon").contains("line 3"));
    }

    /// What `judge` makes of one test program.
    fn judge(output: &str, ending: Option<Ending>, failures: &[&str]) -> (String, Vec<String>) {
        let orders = Orders::parse("boot b\nkernel /k\ntest /t/revoke").unwrap();
        let mut follower = Follower {
            order: &orders.boots[0],
            names: vec!["revoke".into()],
            harnesses: BTreeMap::new(),
            since: Instant::now(),
        };
        follower.watch(&Record::Out {
            index: 0,
            bytes: output.as_bytes().to_vec(),
        });
        if let Some(ending) = &ending {
            follower.watch(&Record::Exit {
                index: 0,
                ending: ending.clone(),
            });
        }
        let (totals, failed) = follower.judge(&Outcome {
            programs: vec![ProgramEnd {
                name: "revoke".into(),
                ending,
            }],
            failures: failures
                .iter()
                .map(|name| Failure {
                    detector: name.to_string(),
                    text: String::new(),
                })
                .collect(),
            skipped: vec![],
            elapsed: Duration::ZERO,
            booted: true,
            finding: None,
        });
        (totals.to_string(), failed)
    }

    const TWO_GOOD: &str = "running 2 tests\ntest a ... ok\ntest b ... ok\n\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn a_good_boot_adds_its_detectors_as_one() {
        let (totals, failed) = judge(TWO_GOOD, Some(Ending::Exited(0)), &[]);
        assert_eq!(totals, "3 passed, 0 failed, 0 skipped");
        assert!(failed.is_empty());
    }

    #[test]
    fn a_detector_fails_the_suite() {
        let (totals, failed) = judge(TWO_GOOD, Some(Ending::Exited(0)), &["kasan"]);
        assert_eq!(totals, "2 passed, 1 failed, 0 skipped");
        assert!(failed[0].starts_with("b::detector::kasan"));
    }

    #[test]
    fn a_failed_test_counts_once() {
        let output = "running 1 test\ntest a ... FAILED\n\n\
            test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let (totals, failed) = judge(output, Some(Ending::Exited(101)), &[]);
        assert_eq!(totals, "1 passed, 1 failed, 0 skipped");
        assert_eq!(failed, ["b::revoke::a"]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure_where_it_was() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... ";
        for ending in [Some(Ending::Signalled(11)), Some(Ending::TimedOut(9)), None] {
            let (totals, failed) = judge(output, ending, &[]);
            assert_eq!(totals, "2 passed, 1 failed, 0 skipped");
            assert!(failed[0].starts_with("b::revoke::b ("), "{failed:?}");
        }
    }

    #[test]
    fn good_totals_do_not_hide_a_bad_ending() {
        let (totals, failed) = judge(TWO_GOOD, Some(Ending::Signalled(6)), &[]);
        assert_eq!(totals, "3 passed, 1 failed, 0 skipped");
        assert_eq!(failed, ["b::revoke (killed by SIGABRT)"]);
    }

    #[test]
    fn a_test_program_without_totals_is_a_failure() {
        let (totals, failed) = judge("", Some(Ending::Exited(0)), &[]);
        assert_eq!(totals, "1 passed, 1 failed, 0 skipped");
        assert_eq!(failed, ["b::revoke (printed no totals)"]);
    }
}
