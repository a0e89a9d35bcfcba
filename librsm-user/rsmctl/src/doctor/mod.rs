// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps remote shared memory from working, or its promise from holding, and what to do.

mod limits;
mod machine;
mod rights;

use crate::report::{Doctor, Finding, Level};

/// Looks at everything.
pub fn look() -> Doctor {
    let mut findings = Vec::new();
    machine::look(&mut findings);
    rights::look(&mut findings);
    limits::look(&mut findings);
    let number = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count() as u64
    };
    Doctor {
        problems: number(Level::Problem),
        warnings: number(Level::Warning),
        findings,
    }
}

fn finding(level: Level, check: &str, found: impl Into<String>) -> Finding {
    Finding {
        check: check.to_owned(),
        level,
        found: found.into(),
        advice: None,
    }
}

impl Finding {
    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
