// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a benchmark has found: a table of costs, as JSON for programs. For people it is in `table`.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::clock::{Clock, Unit};
use super::samples::{Samples, Summary};
use super::verdict::Verdict;

/// What a benchmark has found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which benchmark.
    pub benchmark: String,
    /// Of the costs, where a row does not say otherwise.
    pub unit: Unit,
    /// The kernel's release.
    pub kernel: String,
    /// Which build of it.
    #[serde(default)]
    pub build: String,
    /// What was played, if the benchmark has scenes.
    #[serde(default)]
    pub scenes: Vec<String>,
    /// What the columns are of.
    pub across: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The costs.
    pub rows: Vec<Row>,
    /// Other numbers.
    pub figures: Vec<Figure>,
    /// The most that a cost may be of that in the first column.
    pub limit: Option<f64>,
    /// What was to be reached.
    #[serde(default)]
    pub verdicts: Vec<Verdict>,
    /// Whether nothing is beyond `limit`.
    pub passed: bool,
}

/// The costs of one operation.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// What is counted, if it is not what the clock counts.
    #[serde(default)]
    pub unit: Option<String>,
    /// In which scene the first column's cost arose.
    #[serde(default)]
    pub scene: Option<String>,
    /// One for each column; none where there is no such thing.
    pub cells: Vec<Option<Cell>>,
}

/// What an operation costs in one column.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// How much.
    #[serde(flatten)]
    pub cost: Summary,
    /// To the first column.
    pub ratio: Option<f64>,
}

/// A number that is not a cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: u64,
    /// Of what.
    pub unit: String,
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
            unit: None,
            scene: None,
            cells: costs.into_iter().map(|cost| cost.map(cell)).collect(),
        }
    }

    /// Of something else than what the clock counts.
    pub fn counting(mut self, unit: Option<&str>) -> Self {
        self.unit = unit.map(str::to_owned);
        self
    }

    /// What it costs in a column.
    pub fn cost(&self, column: usize) -> Option<Summary> {
        Some(self.cells.get(column)?.as_ref()?.cost)
    }

    /// Whether a cost is beyond `limit` times that in the first column.
    pub fn exceeds(&self, limit: f64) -> bool {
        let mut ratios = self.cells.iter().flatten().filter_map(|cell| cell.ratio);
        ratios.any(|ratio| ratio > limit)
    }
}

impl Report {
    /// An empty table, whose `columns` are of what `across` says.
    pub fn new(
        benchmark: &str,
        clock: &Clock,
        across: &str,
        columns: impl IntoIterator<Item = String>,
    ) -> Self {
        let kernel = |what: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{what}"));
            text.unwrap_or_default().trim().to_owned()
        };
        Self {
            benchmark: benchmark.to_owned(),
            unit: clock.unit(),
            kernel: kernel("osrelease"),
            build: kernel("version"),
            scenes: Vec::new(),
            across: across.to_owned(),
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            figures: Vec::new(),
            limit: None,
            verdicts: Vec::new(),
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

    /// Adds what was to be reached.
    pub fn require_all(&mut self, verdicts: Vec<Verdict>) {
        self.verdicts = verdicts;
    }

    /// The row of this name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// One that was written to a file.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let what = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(what)?;
        serde_json::from_str(&text).with_context(what)
    }

    /// All of it in one line.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
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
    fn the_limit_is_of_the_first_column() {
        let (ten, fifteen, sixteen) = (samples(10), samples(15), samples(16));
        let mut report = report();
        report.require(1.5);
        report.add(Row::new("good", [Some(&ten), Some(&fifteen)]));
        report.add(Row::new("missing", [Some(&ten), None]));
        report.add(Row::new("without reference", [None, Some(&sixteen)]));
        assert!(report.passed);
        report.add(Row::new("bad", [Some(&ten), Some(&sixteen)]));
        assert!(!report.passed);
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
            unit: "bytes".into(),
        });
        let text = report.to_json().unwrap();
        assert_eq!(text.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["rows"][0]["cells"][0]["median"], 10);
        assert_eq!(json["rows"][0]["cells"][0]["ratio"], 1.0);
        assert!(json["rows"][0]["cells"][1].is_null());
        assert_eq!(json["figures"][0]["value"], 7);
        assert_eq!(json["passed"], true);
        let again: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(again.row("a").unwrap().cost(0).unwrap().median, 10);
        assert!(again.row("a").unwrap().cost(1).is_none());
    }
}
