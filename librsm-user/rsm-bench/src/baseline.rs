// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-bench accept` and `rsm-bench compare`: what segments cost when a result was last accepted,
//! and whether anything costs more now.

mod comparison;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::measure::{Report, Row, Unit};
use comparison::Comparison;

/// Of which column: the first is that of segments. What peers cost is not ours to answer for.
const COLUMN: usize = 0;

/// Unit of rows that are not compared: memory depends on which pages the kernel had free.
const CHANCE: &str = "bytes";

/// What was accepted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Baseline {
    /// The kernel's release.
    kernel: String,
    /// Which build of it: another one executes other instructions.
    build: String,
    /// Lower quartiles by row, of each scene that was played: where instructions are counted,
    /// what the kernel does besides only adds to a cost.
    costs: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Baseline {
    fn of(report: &Report) -> Result<Self> {
        let unit = report.unit;
        ensure!(
            unit == Unit::Instructions,
            "{unit} cannot be compared with another run"
        );
        let scenes = report.scenes.iter();
        let mut costs: BTreeMap<_, BTreeMap<_, _>> = scenes
            .map(|scene| (scene.clone(), BTreeMap::new()))
            .collect();
        let chance = |row: &&Row| row.unit.as_deref() == Some(CHANCE);
        for row in report.rows.iter().filter(|row| !chance(row)) {
            if let (Some(scene), Some(cost)) = (&row.scene, row.cost(COLUMN)) {
                let rows = costs.entry(scene.clone()).or_default();
                rows.insert(row.name.clone(), cost.low);
            }
        }
        Ok(Self {
            kernel: report.kernel.clone(),
            build: report.build.clone(),
            costs,
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

    /// Release and build.
    fn exact_kernel(&self) -> String {
        format!("Linux {} ({})", self.kernel, self.build)
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
    /// Print each row as Rust's test harness prints a test
    #[arg(long)]
    tests: bool,
}

/// Compares, prints what differs, and says whether all is as good as it was.
pub fn compare(options: &Compare) -> Result<bool> {
    let old = Baseline::read(&options.baseline)?;
    let new = Baseline::of(&Report::read(&options.report)?)?;
    let comparison = Comparison::of(&old, &new, options.tolerance / 100.0)?;
    if options.tests {
        print!("{}", comparison.as_tests());
    } else {
        print!("{comparison}");
    }
    Ok(comparison.passed())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"benchmark": "peers", "unit": "instructions", "kernel": "7.2.12", "build": "Z",
        "across": "", "scenes": ["x", "y"], "columns": ["rsm", "memfd"], "figures": [], "limit": null,
        "passed": true, "rows": [
        {"name": "a", "scene": "x", "cells": [{"median": 8, "low": 7, "high": 9, "rounds": 3, "ratio": 1.0}, null]},
        {"name": "m", "scene": "x", "unit": "bytes",
         "cells": [{"median": 5, "low": 5, "high": 5, "rounds": 3, "ratio": 1.0}]},
        {"name": "b", "cells": [null, {"median": 9, "low": 9, "high": 9, "rounds": 3, "ratio": null}]}]}"#;

    #[test]
    fn only_what_segments_execute_is_kept() {
        let kept = Baseline::of(&serde_json::from_str(REPORT).unwrap()).unwrap();
        let row = BTreeMap::from([("a".to_owned(), 7)]);
        let costs = [("x".to_owned(), row), ("y".to_owned(), BTreeMap::new())];
        let expected = Baseline {
            kernel: "7.2.12".into(),
            build: "Z".into(),
            costs: costs.into(),
        };
        assert_eq!(kept, expected);
        let time = REPORT.replace("instructions", "nanoseconds");
        assert!(Baseline::of(&serde_json::from_str(&time).unwrap()).is_err());
    }

    #[test]
    fn what_is_kept_is_what_the_next_run_is_compared_with() {
        let kept = Baseline::of(&serde_json::from_str(REPORT).unwrap()).unwrap();
        let text = serde_json::to_string_pretty(&kept).unwrap();
        let read: Baseline = serde_json::from_str(&text).unwrap();
        assert!(Comparison::of(&read, &kept, 0.0).unwrap().passed());
    }
}
