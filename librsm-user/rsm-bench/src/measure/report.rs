// SPDX-License-Identifier: MIT OR Apache-2.0
//! A table of costs: for people, and as JSON for programs.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use super::clock::{Clock, Unit};
use super::samples::{Samples, Summary};

/// What a benchmark has found.
#[derive(Debug, Serialize)]
pub struct Report {
    benchmark: &'static str,
    unit: Unit,
    kernel: String,
    /// What the columns are of.
    across: &'static str,
    columns: Vec<String>,
    rows: Vec<Row>,
    figures: Vec<Figure>,
    /// The most that a cost may be of that in the first column.
    limit: Option<f64>,
    passed: bool,
}

/// The costs of one operation.
#[derive(Debug, Serialize)]
pub struct Row {
    name: String,
    /// One for each column; none where there is no such thing.
    cells: Vec<Option<Cell>>,
}

#[derive(Debug, Serialize)]
struct Cell {
    #[serde(flatten)]
    cost: Summary,
    /// To the first column.
    ratio: Option<f64>,
}

/// A number that is not a cost.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: u64,
    /// Of what.
    pub unit: &'static str,
}

impl Row {
    /// Of samples for each column.
    pub fn new<'a>(
        name: impl Into<String>,
        samples: impl IntoIterator<Item = Option<&'a Samples>>,
    ) -> Self {
        let costs: Vec<_> = samples
            .into_iter()
            .map(|samples| samples.and_then(Samples::summary))
            .collect();
        let first = costs.first().copied().flatten();
        let cell = |cost: Summary| Cell {
            cost,
            ratio: first.map(|first| cost.ratio(&first)),
        };
        Self {
            name: name.into(),
            cells: costs.into_iter().map(|cost| cost.map(cell)).collect(),
        }
    }

    fn exceeds(&self, limit: f64) -> bool {
        let mut ratios = self.cells.iter().flatten().filter_map(|cell| cell.ratio);
        ratios.any(|ratio| ratio > limit)
    }
}

impl Report {
    /// An empty table, whose `columns` are of what `across` says.
    pub fn new(
        benchmark: &'static str,
        clock: &Clock,
        across: &'static str,
        columns: impl IntoIterator<Item = String>,
    ) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            benchmark,
            unit: clock.unit(),
            kernel: release.trim().to_owned(),
            across,
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            figures: Vec::new(),
            limit: None,
            passed: true,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
        self.judge();
    }

    /// Adds a figure.
    pub fn note(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// From now on the report fails if a cost is more than `limit` times that in the first column.
    pub fn require(&mut self, limit: f64) {
        self.limit = Some(limit);
        self.judge();
    }

    fn judge(&mut self) {
        let exceeds = |limit| self.rows.iter().any(|row| row.exceeds(limit));
        self.passed = !self.limit.is_some_and(exceeds);
    }

    /// Whether nothing is beyond its limit.
    pub fn passed(&self) -> bool {
        self.passed
    }

    /// All of it in one line.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// Width of a column.
const WIDTH: usize = 18;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: median {}, and how many times the first column; Linux {}",
            self.benchmark, self.unit, self.kernel
        )?;
        let names = self.rows.iter().map(|row| row.name.chars().count());
        let first = names
            .chain([self.across.chars().count()])
            .max()
            .unwrap_or(0);
        write!(f, "{:first$}", self.across)?;
        for column in &self.columns {
            write!(f, "{column:>WIDTH$}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:first$}", row.name)?;
            for cell in &row.cells {
                let text = match cell {
                    Some(Cell { cost, ratio }) => {
                        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:6.2}"));
                        format!("{}{ratio}", grouped(cost.median))
                    }
                    None => "–".to_owned(),
                };
                write!(f, "{text:>WIDTH$}")?;
            }
            let beyond = self.limit.is_some_and(|limit| row.exceeds(limit));
            writeln!(f, "{}", if beyond { "  too much" } else { "" })?;
        }
        for figure in &self.figures {
            let value = grouped(figure.value);
            writeln!(f, "{}: {value} {}", figure.name, figure.unit)?;
        }
        if let Some(limit) = self.limit {
            let verdict = if self.passed { "kept" } else { "NOT kept" };
            writeln!(f, "at most {limit} times the first column: {verdict}")?;
        }
        Ok(())
    }
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

    fn samples(cost: u64) -> Samples {
        let mut samples = Samples::default();
        samples.add(cost);
        samples
    }

    fn report() -> Report {
        let columns = ["10", "1,000"].map(String::from);
        Report::new("test", &Clock::new().unwrap(), "segments", columns)
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }

    #[test]
    fn the_limit_is_of_the_first_column() {
        let (ten, fifteen, sixteen) = (samples(10), samples(15), samples(16));
        let mut report = report();
        report.require(1.5);
        report.add(Row::new("good", [Some(&ten), Some(&fifteen)]));
        report.add(Row::new("missing", [Some(&ten), None]));
        report.add(Row::new("without reference", [None, Some(&sixteen)]));
        assert!(report.passed());
        report.add(Row::new("bad", [Some(&ten), Some(&sixteen)]));
        assert!(!report.passed());
        let text = report.to_string();
        let bad = text.lines().find(|line| line.ends_with("too much"));
        assert!(bad.unwrap().starts_with("bad "), "{text}");
        assert!(text.contains("NOT kept"), "{text}");
    }

    #[test]
    fn json_has_every_figure_in_one_line() {
        let mut report = report();
        report.add(Row::new("a", [Some(&samples(10)), None]));
        report.note(Figure {
            name: "memory".into(),
            value: 7,
            unit: "bytes",
        });
        let text = report.to_json().unwrap();
        assert_eq!(text.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["rows"][0]["cells"][0]["median"], 10);
        assert_eq!(json["rows"][0]["cells"][0]["ratio"], 1.0);
        assert!(json["rows"][0]["cells"][1].is_null());
        assert_eq!(json["figures"][0]["value"], 7);
        assert_eq!(json["passed"], true);
    }
}
