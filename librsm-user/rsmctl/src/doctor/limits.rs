// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module's limits, and how much of them is used.

use std::path::Path;

use super::finding;
use super::machine::read;
use crate::observe;
use crate::report::{Finding, Level, Live};
use crate::units;

const PARAMETERS: &str = "/sys/module/rsm/parameters";

pub fn look(findings: &mut Vec<Finding>) {
    if !Path::new(PARAMETERS).exists() {
        return;
    }
    let parameter =
        |name: &str| -> Option<u64> { read(&format!("{PARAMETERS}/{name}"))?.parse().ok() };
    let live = match observe::statistics() {
        Ok(statistics) => statistics.map(|(live, ..)| live),
        Err(failure) => {
            findings.push(
                finding(Level::Warning, "limits", failure.to_string())
                    .advise("Install programs and module of the same release."),
            );
            None
        }
    };
    let memory = read("/proc/meminfo").and_then(|text| total(&text));
    let exported = exported(
        parameter("max_exported_mem"),
        parameter("max_exported_percent"),
        memory,
    );
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten()
        .unwrap_or(4096) as u64;
    let used = |get: fn(&Live) -> u64| live.as_ref().map(get);
    let plain = |number: u64| number.to_string();
    findings.extend([
        usage(
            "segments",
            used(|live| live.segments),
            parameter("max_segments"),
            plain,
            "max_segments",
        ),
        usage(
            "exported memory",
            used(|live| live.pinned_pages).map(|pages| pages.saturating_mul(page)),
            exported,
            units::bytes,
            "max_exported_mem or max_exported_percent",
        ),
        usage(
            "imports",
            used(|live| live.imports),
            parameter("max_imports"),
            plain,
            "max_imports",
        ),
    ]);
    let per_user: Vec<String> = ["segments", "imports", "mappings"]
        .iter()
        .filter_map(|what| {
            Some(format!(
                "{} {what}",
                limit(parameter(&format!("max_user_{what}"))?)
            ))
        })
        .collect();
    if !per_user.is_empty() {
        findings.push(finding(Level::Ok, "limits per user", per_user.join(", ")));
    }
}

/// A limit in words: 0 is none.
fn limit(most: u64) -> String {
    match most {
        0 => "any number of".into(),
        most => most.to_string(),
    }
}

/// The stricter one of two limits, each 0 for none; `Some(0)` if there is none.
fn exported(bytes: Option<u64>, percent: Option<u64>, memory: Option<u64>) -> Option<u64> {
    let bytes = bytes?;
    let of_memory = match percent? {
        0 => 0,
        percent => u64::try_from(u128::from(memory?) * u128::from(percent) / 100).ok()?,
    };
    Some(match (bytes, of_memory) {
        (0, other) | (other, 0) => other,
        (one, other) => one.min(other),
    })
}

fn usage(
    check: &str,
    used: Option<u64>,
    most: Option<u64>,
    text: fn(u64) -> String,
    parameter: &str,
) -> Finding {
    let found = match (used, most) {
        (Some(used), Some(0)) => format!("{}; no limit", text(used)),
        (Some(used), Some(most)) => format!("{} of {}", text(used), text(most)),
        (Some(used), None) => format!("{}; the limit cannot be read", text(used)),
        (None, Some(0)) => "no limit; how much there is only root sees".into(),
        (None, Some(most)) => format!("at most {}; how much there is only root sees", text(most)),
        (None, None) => "only root sees how much there is".into(),
    };
    let full = match (used, most) {
        (Some(used), Some(most)) if most > 0 => u128::from(used) * 10 >= u128::from(most) * 9,
        _ => false,
    };
    if full {
        finding(Level::Warning, check, found).advise(format!(
            "Nearly used up. `rsmctl top` shows who has it; {parameter} in {PARAMETERS} raises it."
        ))
    } else {
        finding(Level::Ok, check, found)
    }
}

/// Bytes of memory of the machine.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_limit_counts() {
        let memory = Some(1000);
        assert_eq!(exported(Some(0), Some(0), memory), Some(0));
        assert_eq!(exported(Some(70), Some(0), memory), Some(70));
        assert_eq!(exported(Some(0), Some(5), memory), Some(50));
        assert_eq!(exported(Some(70), Some(5), memory), Some(50));
        assert_eq!(exported(None, Some(5), memory), None);
    }

    #[test]
    fn nearly_used_up() {
        let level = |used, most| usage("x", used, most, |n| n.to_string(), "p").level;
        assert_eq!(level(Some(89), Some(100)), Level::Ok);
        assert_eq!(level(Some(90), Some(100)), Level::Warning);
        assert_eq!(level(Some(90), Some(0)), Level::Ok);
        assert_eq!(level(None, Some(100)), Level::Ok);
        assert_eq!(level(Some(u64::MAX), Some(u64::MAX)), Level::Warning);
    }
}
