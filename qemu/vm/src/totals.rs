// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what Rust's test harness prints, line by line, and counts.
//!
//! ```text
//! running 3 tests
//! test revoke::round ... ok
//! test revoke::fork ... ignored, needs two CPUs
//! test layout ... FAILED
//!
//! test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
//! ```
//!
//! A test that prints while it runs (`--nocapture`) may push its verdict onto a
//! later line; the counts of the `test result` line are what is added up, and
//! the single lines are for naming what failed.

/// How a single test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// ... ok
    Passed,
    /// ... FAILED
    Failed,
    /// ... ignored
    Skipped,
}

/// Counts of tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that are good.
    pub passed: u64,
    /// Tests that are not.
    pub failed: u64,
    /// Tests that were not run.
    pub skipped: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Follows one program's output.
#[derive(Debug, Default)]
pub struct Harness {
    partial: Vec<u8>,
    announced: Option<u64>,
    result: Option<Totals>,
    seen: Totals,
    failed: Vec<String>,
    begun: Option<String>,
}

impl Harness {
    /// Takes the next bytes; gives each line that is now complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_string();
            self.line(&line);
            lines.push(line);
        }
        self.begun = begun_test(&String::from_utf8_lossy(&self.partial)).map(str::to_string);
        lines
    }

    /// What is left of an unfinished line at the end.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        let line = String::from_utf8_lossy(&rest).trim_end().to_string();
        (!line.is_empty()).then(|| {
            self.line(&line);
            line
        })
    }

    fn line(&mut self, line: &str) {
        if let Some((name, verdict)) = test_line(line) {
            match verdict {
                Verdict::Passed => self.seen.passed += 1,
                Verdict::Skipped => self.seen.skipped += 1,
                Verdict::Failed => {
                    self.seen.failed += 1;
                    self.failed.push(name.to_string());
                }
            }
        } else if let Some(totals) = result_line(line) {
            let result = self.result.get_or_insert_with(Totals::default);
            *result += totals;
        } else if let Some(count) = running_line(line) {
            self.announced = Some(self.announced.unwrap_or(0) + count);
        }
    }

    /// Whether this was a test harness at all.
    pub fn is_harness(&self) -> bool {
        self.announced.is_some()
    }

    /// Whether it came to its end and printed its totals.
    pub fn is_complete(&self) -> bool {
        self.result.is_some()
    }

    /// Tests that failed, by name.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// The test that had begun when the output stopped.
    pub fn begun(&self) -> Option<&str> {
        self.begun.as_deref()
    }

    /// The harness's own totals, or what was seen before it died.
    pub fn totals(&self) -> Totals {
        self.result.unwrap_or(self.seen)
    }
}

/// `test NAME ... ` without a verdict yet.
fn begun_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?
        .split_once(" ... ")
        .map(|(name, _)| name)
}

/// `test NAME ... ok`, `FAILED` or `ignored`.
pub fn test_line(line: &str) -> Option<(&str, Verdict)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let verdict = match rest.split([',', ' ']).next()? {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        "ignored" => Verdict::Skipped,
        _ => return None,
    };
    Some((name, verdict))
}

/// `running 3 tests`
fn running_line(line: &str) -> Option<u64> {
    let (count, rest) = line.strip_prefix("running ")?.split_once(' ')?;
    (rest == "test" || rest == "tests").then(|| count.parse().ok())?
}

/// `test result: ok. 2 passed; 0 failed; 1 ignored; …`
pub fn result_line(line: &str) -> Option<Totals> {
    let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let mut totals = Totals::default();
    let mut found = 0;
    for part in counts.split(';') {
        let mut words = part.split_whitespace();
        let (Some(count), Some(word)) = (words.next(), words.next()) else {
            continue;
        };
        let field = match word {
            "passed" => &mut totals.passed,
            "failed" => &mut totals.failed,
            "ignored" => &mut totals.skipped,
            _ => continue,
        };
        *field = count.parse().ok()?;
        found += 1;
    }
    (found == 3).then_some(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\nrunning 3 tests\ntest a ... ok\ntest b::c - should panic ... ok\n\
        test d ... ignored, needs two CPUs\n\n\
        test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s\n\n";

    #[test]
    fn a_good_run_is_counted_however_it_is_cut() {
        for step in [1, 2, 7, 1000] {
            let mut harness = Harness::default();
            let mut lines = Vec::new();
            for portion in GOOD.as_bytes().chunks(step) {
                lines.extend(harness.feed(portion));
            }
            assert_eq!(lines.join("\n") + "\n", GOOD);
            assert_eq!(harness.finish(), None);
            assert!(harness.is_harness() && harness.is_complete());
            assert_eq!(
                harness.totals().to_string(),
                "2 passed, 0 failed, 1 skipped"
            );
            assert_eq!(harness.begun(), None);
        }
    }

    #[test]
    fn a_failure_is_named() {
        let mut harness = Harness::default();
        harness.feed(
            b"running 2 tests\ntest x ... FAILED\ntest y ... ok\n\n\
              test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s\n",
        );
        assert_eq!(harness.failed(), ["x"]);
        assert_eq!(harness.totals().failed, 1);
    }

    #[test]
    fn a_harness_that_dies_leaves_the_test_it_was_at() {
        let mut harness = Harness::default();
        harness.feed(b"running 2 tests\ntest x ... ok\ntest y ... ");
        assert!(harness.is_harness() && !harness.is_complete());
        assert_eq!(harness.begun(), Some("y"));
        assert_eq!(harness.totals().passed, 1);
        assert_eq!(harness.finish().as_deref(), Some("test y ..."));
    }

    #[test]
    fn other_programs_are_no_harness() {
        let mut harness = Harness::default();
        harness.feed(b"test of the ... mind\nrunning late\nrunning 4 times\ntest result: good\n");
        assert!(!harness.is_harness() && !harness.is_complete());
        assert_eq!(harness.totals(), Totals::default());
    }
}
