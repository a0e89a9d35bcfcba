// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run beside what was accepted: row by row, for people and as tests.

use std::fmt::{self, Write as _};

use anyhow::{ensure, Result};

use super::Baseline;
use crate::measure::grouped;

/// What has become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Kept,
    Lost,
    Gained,
    /// It was measured, and is not any more.
    Missing,
    New,
}

impl Change {
    fn is_bad(self) -> bool {
        matches!(self, Self::Lost | Self::Missing)
    }
}

#[derive(Debug)]
struct Compared {
    name: String,
    change: Change,
    was: u64,
    is: u64,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, was, is, .. } = self;
        let percent = 100.0 * (*is as f64 / *was as f64 - 1.0);
        let (was, is) = (grouped(*was), grouped(*is));
        match self.change {
            Change::Kept => write!(f, "kept    {name}: {was} → {is} ({percent:+.1} %)"),
            Change::Lost => write!(f, "LOST    {name}: {was} → {is} ({percent:+.1} %)"),
            Change::Gained => write!(f, "gained  {name}: {was} → {is} ({percent:+.1} %)"),
            Change::Missing => write!(f, "MISSING {name}: {was}"),
            Change::New => write!(f, "new     {name}: {is}"),
        }
    }
}

/// A run beside what was accepted.
#[derive(Debug)]
pub struct Comparison {
    /// Of what was accepted, and of the run.
    kernels: (String, String),
    tolerance: f64,
    /// Rows of the scenes that the run has played; none, if the kernels are not the same.
    rows: Vec<Compared>,
    /// Other scenes.
    left_out: Vec<String>,
}

impl Comparison {
    /// Compares what two kernels of one series have executed.
    pub fn of(old: &Baseline, new: &Baseline, tolerance: f64) -> Result<Self> {
        ensure!(
            old.series().is_some() && old.series() == new.series(),
            "Linux {} and {} are not of one series",
            old.kernel,
            new.kernel
        );
        let mut comparison = Self {
            kernels: (old.exact_kernel(), new.exact_kernel()),
            tolerance,
            rows: Vec::new(),
            left_out: Vec::new(),
        };
        if comparison.is_of_one_kernel() {
            comparison.compare(old, new);
        }
        Ok(comparison)
    }

    fn is_of_one_kernel(&self) -> bool {
        self.kernels.0 == self.kernels.1
    }

    fn compare(&mut self, old: &Baseline, new: &Baseline) {
        let (most, least) = (1.0 + self.tolerance, 1.0 - self.tolerance);
        for (scene, rows) in &old.costs {
            let Some(measured) = new.costs.get(scene) else {
                self.left_out.push(scene.clone());
                continue;
            };
            for (name, &was) in rows {
                let (change, is) = match measured.get(name) {
                    None => (Change::Missing, 0),
                    Some(&is) if is as f64 > was as f64 * most => (Change::Lost, is),
                    Some(&is) if (is as f64) < was as f64 * least => (Change::Gained, is),
                    Some(&is) => (Change::Kept, is),
                };
                let name = name.clone();
                let row = Compared {
                    name,
                    change,
                    was,
                    is,
                };
                self.rows.push(row);
            }
        }
        for (scene, rows) in &new.costs {
            let before = old.costs.get(scene);
            for (name, &is) in rows {
                if !before.is_some_and(|rows| rows.contains_key(name)) {
                    let (name, change) = (name.clone(), Change::New);
                    let row = Compared {
                        name,
                        change,
                        was: 0,
                        is,
                    };
                    self.rows.push(row);
                }
            }
        }
    }

    /// Whether nothing has become dearer, as far as was compared.
    pub fn passed(&self) -> bool {
        !self.rows.iter().any(|row| row.change.is_bad())
    }

    fn no_comparison(&self) -> String {
        let (old, new) = &self.kernels;
        format!(
            "accepted of {old}, this is {new}: instructions are of one build, nothing is compared"
        )
    }

    /// As Rust's test harness prints tests: each row is one. Without a comparison one test is
    /// ignored.
    pub fn as_tests(&self) -> String {
        let mut text = String::new();
        let mut line = |arguments: fmt::Arguments<'_>| {
            // Strings take everything.
            let _ = writeln!(text, "{arguments}");
        };
        if !self.is_of_one_kernel() {
            line(format_args!("running 1 test"));
            line(format_args!(
                "test costs ... ignored, {}",
                self.no_comparison()
            ));
            line(format_args!(
                "\ntest result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"
            ));
            return text;
        }
        let (mut good, mut bad, mut new) = (0, 0, 0);
        line(format_args!("running {} tests", self.rows.len()));
        for row in &self.rows {
            let verdict = match row.change {
                change if change.is_bad() => {
                    bad += 1;
                    "FAILED"
                }
                Change::New => {
                    new += 1;
                    "ignored, nothing was accepted"
                }
                _ => {
                    good += 1;
                    "ok"
                }
            };
            line(format_args!("test {} ... {verdict}", row.name));
        }
        line(format_args!("{self}"));
        let verdict = if bad == 0 && good > 0 { "ok" } else { "FAILED" };
        line(format_args!(
            "test result: {verdict}. {good} passed; {bad} failed; {new} ignored; 0 measured; 0 filtered out"
        ));
        text
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_of_one_kernel() {
            return writeln!(f, "\n{}", self.no_comparison());
        }
        let old = self.rows.iter().filter(|row| row.change != Change::New);
        let (rows, kernel) = (old.count(), &self.kernels.0);
        writeln!(f, "\n{rows} rows beside the accepted result, {kernel}")?;
        for row in self.rows.iter().filter(|row| row.change != Change::Kept) {
            writeln!(f, "  {row}")?;
        }
        if !self.left_out.is_empty() {
            writeln!(f, "  scenes not played: {}", self.left_out.join(", "))?;
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
    use std::collections::BTreeMap;

    /// Of one scene.
    fn baseline(kernel: &str, costs: &[(&str, u64)]) -> Baseline {
        let costs = costs.iter().map(|&(name, cost)| (name.to_owned(), cost));
        Baseline {
            kernel: kernel.into(),
            build: "1".into(),
            costs: BTreeMap::from([("scene".to_owned(), costs.collect())]),
        }
    }

    fn compared(old: &[(&str, u64)], new: &[(&str, u64)]) -> Comparison {
        let (old, new) = (baseline("7.2.12-x", old), baseline("7.2.12-x", new));
        Comparison::of(&old, &new, 0.03).unwrap()
    }

    fn changes(old: &[(&str, u64)], new: &[(&str, u64)]) -> (Vec<(String, Change)>, bool) {
        let comparison = compared(old, new);
        let passed = comparison.passed();
        let rows = comparison.rows.into_iter();
        (rows.map(|row| (row.name, row.change)).collect(), passed)
    }

    #[test]
    fn three_per_cent_are_borne_and_no_more() {
        let of = |change| vec![("a".to_owned(), change)];
        assert_eq!(
            changes(&[("a", 1000)], &[("a", 1030)]),
            (of(Change::Kept), true)
        );
        assert_eq!(
            changes(&[("a", 1000)], &[("a", 1031)]),
            (of(Change::Lost), false)
        );
        assert_eq!(
            changes(&[("a", 1000)], &[("a", 900)]),
            (of(Change::Gained), true)
        );
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
    fn only_scenes_that_were_not_played_may_be_absent() {
        let old = baseline("7.2.12", &[("a", 1)]);
        let mut new = baseline("7.2.12", &[]);
        assert!(!Comparison::of(&old, &new, 0.03).unwrap().passed());
        new.costs = BTreeMap::from([("other".to_owned(), BTreeMap::new())]);
        let comparison = Comparison::of(&old, &new, 0.03).unwrap();
        assert!(comparison.passed());
        assert!(comparison.to_string().contains("not played: scene"));
        // Where nothing at all is compared nothing has been shown either.
        assert!(comparison.as_tests().contains("test result: FAILED."));
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
    fn another_build_is_skipped_however_dear() {
        let old = baseline("7.2.12", &[("a", 1)]);
        let mut rebuilt = baseline("7.2.12", &[("a", 9)]);
        assert!(!Comparison::of(&old, &rebuilt, 0.03).unwrap().passed());
        rebuilt.build = "2".into();
        for new in [rebuilt, baseline("7.2.13", &[("a", 9)])] {
            let comparison = Comparison::of(&old, &new, 0.03).unwrap();
            assert!(comparison.passed());
            assert!(comparison.to_string().contains("nothing is compared"));
            let tests = comparison.as_tests();
            assert!(tests.contains("running 1 test\ntest costs ... ignored, "));
            assert!(tests.contains("test result: ok. 0 passed; 0 failed; 1 ignored;"));
        }
    }

    #[test]
    fn each_row_is_a_test() {
        let text = compared(
            &[("a", 100), ("b", 100)],
            &[("a", 100), ("b", 104), ("c", 1)],
        )
        .as_tests();
        for line in [
            "running 3 tests",
            "test a ... ok",
            "test b ... FAILED",
            "test c ... ignored, nothing was accepted",
            "  LOST    b: 100 → 104 (+4.0 %)",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let good = compared(&[("a", 100)], &[("a", 103)]).as_tests();
        assert!(good.contains("test result: ok. 1 passed; 0 failed; 0 ignored;"));
    }
}
