// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl doctor`

use std::fmt::Write;
use std::process::ExitCode;

use crate::doctor;
use crate::failure::{Exit, Result};
use crate::report::{Doctor, Level};
use crate::screen::{self, BAD, DIM, GOOD, NOTE, WARN};
use crate::units;

pub fn run(json: bool) -> Result<ExitCode> {
    let doctor = doctor::look();
    if json {
        screen::print_json(&doctor)?;
    } else {
        screen::print(&text(&doctor))?;
    }
    Ok(match doctor.problems {
        0 => ExitCode::SUCCESS,
        _ => Exit::Failed.into(),
    })
}

fn text(doctor: &Doctor) -> String {
    let mut text = String::new();
    for finding in &doctor.findings {
        let (style, level) = match finding.level {
            Level::Ok => (GOOD, "ok"),
            Level::Note => (NOTE, "note"),
            Level::Warning => (WARN, "warning"),
            Level::Problem => (BAD, "problem"),
        };
        let _ = writeln!(
            text,
            "{style}{level:<8}{style:#} {:<15} {}",
            finding.check, finding.found
        );
        if let Some(advice) = &finding.advice {
            let _ = writeln!(text, "{:24} {DIM}→ {advice}{DIM:#}", "");
        }
    }
    let problems = units::count(doctor.problems, "problem");
    let warnings = units::count(doctor.warnings, "warning");
    let _ = match (doctor.problems, doctor.warnings) {
        (0, 0) => writeln!(text, "\n{GOOD}All is well.{GOOD:#}"),
        (0, _) => writeln!(text, "\n{WARN}{warnings}.{WARN:#}"),
        _ => writeln!(text, "\n{BAD}{problems}, {warnings}.{BAD:#}"),
    };
    text
}
