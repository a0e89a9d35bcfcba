// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest has said of its run, and what is missing in it.

use crate::plan::Plan;
use crate::protocol::{Ending, Record, Verdict, VERSION};

/// Something that makes a run fail, beside the programs' own endings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which detector says so.
    pub detector: String,
    /// What it found.
    pub text: String,
}

/// A program that was to run.
#[derive(Debug, Clone)]
pub struct ProgramEnd {
    /// Its name.
    pub name: String,
    /// How it ended; `None` if it never did, or never began.
    pub ending: Option<Ending>,
}

/// Detectors of which the guest gives a verdict in each run that has modules.
pub const GUEST_CHECKS: &[&str] = &[
    "processes",
    "live-objects",
    "rmmod",
    "pins",
    "locked-memory",
    "descriptors",
    "slab",
    "kmemleak",
];

/// What has been heard from the guest so far.
pub(crate) struct Run<'a> {
    plan: &'a Plan,
    records: u64,
    /// Whether process 1 has been reached.
    pub hello: bool,
    modules: usize,
    /// Each program of the plan.
    pub programs: Vec<ProgramEnd>,
    running: Option<usize>,
    checks: Vec<String>,
    /// Detectors that had nothing to look at.
    pub skipped: Vec<Failure>,
    reported: Vec<Failure>,
    end: Option<u64>,
}

impl<'a> Run<'a> {
    /// Nothing has been heard yet.
    pub fn new(plan: &'a Plan) -> Self {
        Run {
            plan,
            records: 0,
            hello: false,
            modules: 0,
            programs: plan
                .programs
                .iter()
                .map(|program| ProgramEnd {
                    name: program.name.clone(),
                    ending: None,
                })
                .collect(),
            running: None,
            checks: Vec::new(),
            skipped: Vec::new(),
            reported: Vec::new(),
            end: None,
        }
    }

    fn fail(&mut self, detector: &str, text: String) {
        self.reported.push(Failure {
            detector: detector.to_string(),
            text,
        });
    }

    /// Takes in one record.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::End(count) => self.end = Some(*count),
            _ => self.records += 1,
        }
        match record {
            Record::Hello { version, .. } => {
                self.hello = true;
                if version != VERSION {
                    self.fail(
                        "protocol",
                        format!("rsm-init speaks {version}, not {VERSION}"),
                    );
                }
            }
            Record::Module { name, problem } => {
                self.modules += 1;
                if !problem.is_empty() {
                    self.fail("insmod", format!("{name}: {problem}"));
                }
            }
            Record::Start { index, .. } => self.running = Some(*index),
            Record::Exit { index, ending } => {
                self.running = None;
                if let Some(program) = self.programs.get_mut(*index) {
                    program.ending = Some(ending.clone());
                }
            }
            Record::Check {
                name,
                verdict,
                text,
            } => {
                self.checks.push(name.clone());
                match verdict {
                    Verdict::Ok => {}
                    Verdict::Fail => self.fail(name, text.clone()),
                    Verdict::Skip => self.skipped.push(Failure {
                        detector: name.clone(),
                        text: text.clone(),
                    }),
                }
            }
            _ => {}
        }
    }

    /// Where the guest was, for a message.
    pub fn whereabouts(&self) -> String {
        match self.running.and_then(|index| self.programs.get(index)) {
            Some(program) => format!("; it was running {}", program.name),
            None if !self.hello => "; it never reached process 1".to_string(),
            None if self.modules < self.plan.modules.len() => "; it was loading modules".into(),
            None => format!("; its last detector was {:?}", self.checks.last()),
        }
    }

    /// Adds what the guest reported and what is missing in its report.
    pub fn finish(&mut self, explained: bool, failures: &mut Vec<Failure>) {
        failures.append(&mut self.reported);
        match self.end {
            Some(count) if count != self.records => failures.push(Failure {
                detector: "protocol".into(),
                text: format!("the guest sent {count} records, {} arrived", self.records),
            }),
            Some(_) => {
                let loaded = !self.plan.modules.is_empty();
                for check in GUEST_CHECKS.iter().filter(|_| loaded) {
                    if !self.checks.iter().any(|name| name == check) {
                        failures.push(Failure {
                            detector: check.to_string(),
                            text: "the guest gave no verdict".into(),
                        });
                    }
                }
            }
            None if explained => {}
            None => failures.push(Failure {
                detector: "guest-end".into(),
                text: format!("the guest ended before its time{}", self.whereabouts()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Module, Program};

    fn plan() -> Plan {
        Plan {
            modules: vec![Module {
                name: "rsm".into(),
                parameters: String::new(),
            }],
            programs: vec![Program {
                name: "one".into(),
                arguments: vec![],
            }],
            ..Plan::default()
        }
    }

    fn good_run() -> Vec<Record> {
        let mut records = vec![
            Record::Hello {
                version: VERSION.into(),
                release: "7.2".into(),
            },
            Record::Module {
                name: "rsm".into(),
                problem: String::new(),
            },
            Record::Start {
                index: 0,
                name: "one".into(),
            },
            Record::Exit {
                index: 0,
                ending: Ending::Exited(0),
            },
        ];
        records.extend(GUEST_CHECKS.iter().map(|name| Record::Check {
            name: name.to_string(),
            verdict: Verdict::Ok,
            text: String::new(),
        }));
        records.push(Record::End(records.len() as u64));
        records
    }

    fn judge(records: &[Record], explained: bool) -> Vec<Failure> {
        let plan = plan();
        let mut run = Run::new(&plan);
        for record in records {
            run.take(record);
        }
        let mut failures = Vec::new();
        run.finish(explained, &mut failures);
        failures
    }

    #[test]
    fn a_good_run_has_no_failures() {
        assert_eq!(judge(&good_run(), false), []);
    }

    #[test]
    fn any_lost_record_is_a_failure() {
        let good = good_run();
        for lost in 0..good.len() {
            let mut records = good.clone();
            records.remove(lost);
            assert!(
                !judge(&records, false).is_empty(),
                "record {lost} was lost unseen"
            );
        }
    }

    #[test]
    fn a_missing_verdict_is_a_failure() {
        let mut records = good_run();
        let count = records.len() as u64;
        records.retain(|record| !matches!(record, Record::Check { name, .. } if name == "pins"));
        *records.last_mut().unwrap() = Record::End(count - 2);
        let failures = judge(&records, false);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].detector, "pins");
    }
}
