// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report as a table for people.

use std::fmt;

use super::clock::Unit;
use super::report::{Cell, Report, Row};

/// Between columns.
const GAP: usize = 2;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.unit {
            Unit::Instructions => "median instructions, and how many times the first column",
            Unit::Nanoseconds => "median of how many times the first column, and its spread",
        };
        writeln!(f, "{}: {what}; Linux {}", self.benchmark, self.kernel)?;
        let mut lines = vec![vec![self.across.clone()]];
        lines[0].extend(self.columns.iter().cloned());
        lines.extend(self.rows.iter().map(|row| self.line(row)));
        let widths: Vec<_> = (0..=self.columns.len())
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let ends = [""].into_iter().chain(self.rows.iter().map(|row| {
            let beyond = self.limit.is_some_and(|limit| row.exceeds(limit));
            if beyond {
                "  too much"
            } else {
                ""
            }
        }));
        for (line, end) in lines.iter().zip(ends) {
            for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
                match column {
                    0 => write!(f, "{cell:width$}")?,
                    _ => write!(f, "{cell:>width$}", width = width + GAP)?,
                }
            }
            writeln!(f, "{end}")?;
        }
        for figure in &self.figures {
            let value = grouped(figure.value);
            writeln!(f, "{}: {value} {}", figure.name, figure.unit)?;
        }
        if let Some(limit) = self.limit {
            let verdict = if self.passed { "kept" } else { "NOT kept" };
            writeln!(f, "at most {limit} times the first column: {verdict}")?;
        }
        if !self.verdicts.is_empty() {
            writeln!(f, "\nTargets")?;
        }
        let width = self
            .verdicts
            .iter()
            .map(|verdict| verdict.name.chars().count())
            .max()
            .unwrap_or(0);
        for verdict in &self.verdicts {
            writeln!(f, "{verdict:width$}")?;
        }
        Ok(())
    }
}

impl Report {
    fn line(&self, row: &Row) -> Vec<String> {
        let unit = row
            .unit
            .as_ref()
            .map_or(String::new(), |unit| format!(" ({unit})"));
        let cells = row.cells.iter().map(|cell| match cell {
            Some(cell) if self.unit == Unit::Instructions || row.unit.is_some() => number(cell),
            Some(cell) => ratio(cell),
            None => "–".to_owned(),
        });
        [format!("{}{unit}", row.name)]
            .into_iter()
            .chain(cells)
            .collect()
    }
}

fn number(cell: &Cell) -> String {
    let ratio = cell
        .ratio
        .map_or(String::new(), |ratio| format!(" {ratio:5.2}"));
    format!("{}{ratio}", grouped(cell.cost.median))
}

/// Times depend on the machine, ratios less so.
fn ratio(cell: &Cell) -> String {
    let spread = 100.0 * cell.cost.spread();
    let ratio = cell
        .ratio
        .map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
    format!("{ratio} ±{spread:3.0}%")
}

/// A number with its thousands set apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn times_are_shown_as_ratios() {
        let text = r#"{"benchmark": "b", "unit": "nanoseconds", "kernel": "k", "across": "a",
            "columns": ["x", "y"], "figures": [], "limit": null, "passed": true, "rows": [
            {"name": "r", "cells": [null,
                {"median": 12345, "low": 12345, "high": 13580, "rounds": 9, "ratio": 1.5}]},
            {"name": "s", "unit": "faults", "cells": [
                {"median": 32, "low": 32, "high": 32, "rounds": 9, "ratio": 1.0}, null]}]}"#;
        let mut report: Report = serde_json::from_str(text).unwrap();
        let shown = report.to_string();
        assert!(shown.contains("1.50 ± 10%"), "{shown}");
        assert!(!shown.contains("12,345"), "{shown}");
        assert!(shown.contains("s (faults)  32"), "{shown}");
        report.unit = Unit::Instructions;
        assert!(report.to_string().contains("12,345  1.50"));
    }
}
