// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-bench accept` and `rsm-bench compare`: what segments cost when a result was last accepted,
//! and whether anything costs more now.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::measure::{grouped, Report, Row, Unit};

/// Of which column: the first is that of segments. What peers cost is not ours to answer for.
const COLUMN: usize = 0;

/// Unit of rows that are not compared: memory depends on which pages the kernel had free.
const CHANCE: &str = "bytes";

/// What was accepted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Baseline {
    /// The kernel's release.
    kernel: String,
    /// Medians by row.
    costs: BTreeMap<String, u64>,
}

impl Baseline {
    fn of(report: &Report) -> Result<Self> {
        let unit = report.unit;
        ensure!(
            unit == Unit::Instructions,
            "{unit} cannot be compared with another run"
        );
        let cost = |row: &Row| Some((row.name.clone(), row.cost(COLUMN)?.median));
        let compared = report
            .rows
            .iter()
            .filter(|row| row.unit.as_deref() != Some(CHANCE));
        Ok(Self {
            kernel: report.kernel.clone(),
            costs: compared.filter_map(cost).collect(),
        })
    }

    fn read(path: &Path) -> Result<Self> {
        let what = || path.display().to_string();
        serde_json::from_str(&std::fs::read_to_string(path).with_context(what)?).with_context(what)
    }

    /// For which kernels: those with the same first two numbers.
    fn series(&self) -> Option<(&str, &str)> {
        let mut parts = self.kernel.splitn(3, ['.', '-']);
        Some((parts.next()?, parts.next()?))
    }
}

/// What is accepted from now on.
#[derive(Args)]
pub struct Accept {
    /// What a run left as JSON
    report: PathBuf,
}

/// Prints what is to be kept.
pub fn accept(options: &Accept) -> Result<()> {
    let baseline = Baseline::of(&Report::read(&options.report)?)?;
    println!("{}", serde_json::to_string_pretty(&baseline)?);
    Ok(())
}

/// What is compared.
#[derive(Args)]
pub struct Compare {
    /// What was accepted
    baseline: PathBuf,
    /// What a run left as JSON
    report: PathBuf,
    /// The most that a cost may have grown, in per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 3.0)]
    tolerance: f64,
}

/// Compares, prints what differs, and says whether all is as good as it was.
pub fn compare(options: &Compare) -> Result<bool> {
    let old = Baseline::read(&options.baseline)?;
    let new = Baseline::of(&Report::read(&options.report)?)?;
    let comparison = Comparison::of(&old, &new, options.tolerance / 100.0)?;
    print!("{comparison}");
    Ok(comparison.passed())
}

/// What has become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Lost,
    Gained,
    Missing,
    New,
}

#[derive(Debug)]
struct Comparison {
    rows: usize,
    kernels: (String, String),
    tolerance: f64,
    /// Those that differ.
    changes: Vec<(String, Change, u64, u64)>,
}

impl Comparison {
    fn of(old: &Baseline, new: &Baseline, tolerance: f64) -> Result<Self> {
        ensure!(
            old.series().is_some() && old.series() == new.series(),
            "Linux {} and {} are not of one series",
            old.kernel,
            new.kernel
        );
        let mut changes = Vec::new();
        for (name, &was) in &old.costs {
            let (change, is) = match new.costs.get(name) {
                None => (Change::Missing, 0),
                Some(&is) if is as f64 > was as f64 * (1.0 + tolerance) => (Change::Lost, is),
                Some(&is) if (is as f64) < was as f64 * (1.0 - tolerance) => (Change::Gained, is),
                Some(_) => continue,
            };
            changes.push((name.clone(), change, was, is));
        }
        let added = new
            .costs
            .iter()
            .filter(|(name, _)| !old.costs.contains_key(*name));
        changes.extend(added.map(|(name, &is)| (name.clone(), Change::New, 0, is)));
        Ok(Self {
            rows: old.costs.len(),
            kernels: (old.kernel.clone(), new.kernel.clone()),
            tolerance,
            changes,
        })
    }

    fn passed(&self) -> bool {
        let bad = |change| matches!(change, Change::Lost | Change::Missing);
        !self.changes.iter().any(|&(_, change, ..)| bad(change))
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (old, new) = &self.kernels;
        writeln!(
            f,
            "\n{} rows, Linux {new}, with the result accepted on {old}",
            self.rows
        )?;
        for (name, change, was, is) in &self.changes {
            let (was_text, is_text) = (grouped(*was), grouped(*is));
            let percent = 100.0 * (*is as f64 / *was as f64 - 1.0);
            match change {
                Change::Lost => writeln!(
                    f,
                    "  LOST    {name}: {was_text} → {is_text} ({percent:+.1} %)"
                )?,
                Change::Gained => writeln!(
                    f,
                    "  gained  {name}: {was_text} → {is_text} ({percent:+.1} %)"
                )?,
                Change::Missing => writeln!(f, "  MISSING {name}: {was_text}")?,
                Change::New => writeln!(f, "  new     {name}: {is_text}")?,
            }
        }
        let most = 100.0 * self.tolerance;
        let verdict = if self.passed() { "kept" } else { "NOT kept" };
        writeln!(
            f,
            "nothing costs more than {most} % more than it did: {verdict}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline(kernel: &str, costs: &[(&str, u64)]) -> Baseline {
        let costs = costs.iter().map(|&(name, cost)| (name.to_owned(), cost));
        Baseline {
            kernel: kernel.into(),
            costs: costs.collect(),
        }
    }

    fn changes(old: &[(&str, u64)], new: &[(&str, u64)]) -> (Vec<(String, Change)>, bool) {
        let (old, new) = (baseline("7.2.12-x", old), baseline("7.2.13-y", new));
        let comparison = Comparison::of(&old, &new, 0.03).unwrap();
        let passed = comparison.passed();
        let changes = comparison.changes.into_iter();
        (
            changes.map(|(name, change, ..)| (name, change)).collect(),
            passed,
        )
    }

    #[test]
    fn three_per_cent_are_borne_and_no_more() {
        assert_eq!(changes(&[("a", 1000)], &[("a", 1030)]), (vec![], true));
        let lost = vec![("a".to_owned(), Change::Lost)];
        assert_eq!(changes(&[("a", 1000)], &[("a", 1031)]), (lost, false));
        let gained = vec![("a".to_owned(), Change::Gained)];
        assert_eq!(changes(&[("a", 1000)], &[("a", 900)]), (gained, true));
    }

    #[test]
    fn what_cost_nothing_may_not_cost_anything() {
        assert!(!changes(&[("a", 0)], &[("a", 1)]).1);
        assert!(changes(&[("a", 0)], &[("a", 0)]).1);
    }

    #[test]
    fn a_row_cannot_get_lost_but_may_be_added() {
        let (found, passed) = changes(&[("a", 1)], &[("b", 1)]);
        assert_eq!(
            found,
            [
                ("a".to_owned(), Change::Missing),
                ("b".to_owned(), Change::New)
            ]
        );
        assert!(!passed);
        assert!(changes(&[], &[("b", 1)]).1);
    }

    #[test]
    fn kernels_of_other_series_are_not_compared() {
        let of = |kernel| baseline(kernel, &[]);
        assert!(Comparison::of(&of("7.2.12+deb13"), &of("7.3.1"), 0.03).is_err());
        assert!(Comparison::of(&of("7.2.12"), &of("7.20.1"), 0.03).is_err());
        assert!(Comparison::of(&of("7.2-rc1"), &of("7.2.1"), 0.03).is_ok());
        assert!(Comparison::of(&of("?"), &of("?"), 0.03).is_err());
    }

    #[test]
    fn only_what_segments_execute_is_kept() {
        let text = r#"{"benchmark": "peers", "unit": "instructions", "kernel": "7.2.12", "across": "",
            "columns": ["rsm", "memfd"], "figures": [], "limit": null, "passed": true, "rows": [
            {"name": "a", "cells": [{"median": 7, "low": 7, "high": 7, "rounds": 3, "ratio": 1.0}, null]},
            {"name": "m", "unit": "bytes", "cells": [{"median": 5, "low": 5, "high": 5, "rounds": 3, "ratio": 1.0}]},
            {"name": "b", "cells": [null, {"median": 9, "low": 9, "high": 9, "rounds": 3, "ratio": null}]}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(
            Baseline::of(&report).unwrap(),
            baseline("7.2.12", &[("a", 7)])
        );
        let time: Report =
            serde_json::from_str(&text.replace("instructions", "nanoseconds")).unwrap();
        assert!(Baseline::of(&time).is_err());
    }
}
