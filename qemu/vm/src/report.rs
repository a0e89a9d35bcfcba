// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shows a person what went wrong in a boot.

use crate::boot::Outcome;
use std::path::{Path, PathBuf};

/// How many lines of a console are shown.
const SHOWN: usize = 30;

/// A path as the user knows it. The runner works in a sandbox where the cache
/// lies elsewhere; `RSM_CACHE_ON_HOST` says where it really is.
pub fn path_for_user(path: &Path, cache: &Path) -> PathBuf {
    let on_host = std::env::var_os("RSM_CACHE_ON_HOST");
    match (on_host, path.strip_prefix(cache)) {
        (Some(host), Ok(rest)) => Path::new(&host).join(rest),
        _ => path.to_path_buf(),
    }
}

/// The console's part that matters: from the first finding on, or the end.
pub fn console_excerpt(outcome: &Outcome, log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    excerpt(&String::from_utf8_lossy(&text), outcome.finding)
}

fn excerpt(text: &str, finding: Option<usize>) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let first = match finding {
        // Two lines before: a report often begins with a rule.
        Some(number) => number.saturating_sub(3),
        None => lines.len().saturating_sub(SHOWN),
    };
    lines
        .iter()
        .skip(first)
        .take(SHOWN)
        .map(|line| line.to_string())
        .collect()
}

/// Everything about a failed boot, one line each.
pub fn failure_lines(outcome: &Outcome) -> Vec<String> {
    let programs = outcome
        .programs
        .iter()
        .filter_map(|program| match &program.ending {
            Some(ending) if ending.is_success() => None,
            Some(ending) => Some(format!("{}: {ending}", program.name)),
            None => Some(format!("{}: did not come to its end", program.name)),
        });
    let detectors = outcome
        .failures
        .iter()
        .map(|failure| format!("detector {}: {}", failure.detector, failure.text));
    programs.chain(detectors).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excerpt_begins_at_the_finding() {
        let text: String = (1..=100)
            .map(|n| format!("line {n}"))
            .collect::<Vec<_>>()
            .join("\n");
        let lines = excerpt(&text, Some(50));
        assert_eq!(lines[0], "line 48");
        assert_eq!(lines.len(), SHOWN);
        assert_eq!(excerpt(&text, None).last().unwrap(), "line 100");
        assert_eq!(excerpt(&text, Some(1))[0], "line 1");
        assert!(excerpt("", None).is_empty());
    }
}
