// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks the kernel's leak finder, where there is one.
//!
//! It believes an object lost when it is 5 s old and no pointer to it is found;
//! a pointer that lives only in a register at that moment makes it err. So it
//! is asked again, and only what it says each time counts.

use std::fs;
use std::time::{Duration, Instant};

const FILE: &str = "/sys/kernel/debug/kmemleak";

/// Younger objects are not reported.
const AGE: Duration = Duration::from_millis(5500);

/// How often it is asked before it is believed that something is lost.
const SCANS: u32 = 3;

/// Its own scans would take time from the tests.
pub fn stop_scanning() {
    let _ = fs::write(FILE, "scan=off");
}

/// What is lost of what was allocated before `since`; `None` if this kernel cannot tell.
pub fn lost_objects(since: Instant) -> Option<Vec<String>> {
    // A kernel that has it, but off, refuses the command.
    fs::write(FILE, "scan").ok()?;
    std::thread::sleep((since + AGE).saturating_duration_since(Instant::now()));
    let mut lost = Vec::new();
    for _ in 1..SCANS {
        fs::write(FILE, "scan").ok()?;
        lost = reports(&fs::read_to_string(FILE).ok()?);
        if lost.is_empty() {
            break;
        }
    }
    Some(lost)
}

/// One text per object: what it is and where it was allocated.
fn reports(text: &str) -> Vec<String> {
    let mut reports: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.starts_with("unreferenced object") {
            reports.push(line.trim_end_matches(':').to_string());
        } else if let (Some(report), Some(frame)) = (reports.last_mut(), frame(line)) {
            report.push_str(&format!(" < {frame}"));
        }
    }
    reports
}

/// A line of the backtrace: "    [<0000000012345678>] function+0x1/0x2" or
/// without the address, depending on the version.
fn frame(line: &str) -> Option<&str> {
    let line = line.trim();
    let function = line
        .split_once(">] ")
        .map_or(line, |(_, function)| function);
    let first = function.split(' ').next()?;
    (first.contains("+0x") || (first.starts_with("0x") && first == function)).then_some(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_keep_their_backtrace() {
        let text = "unreferenced object 0xffff888003a1b2c0 (size 64):\n  \
            comm \"init\", pid 1, jiffies 4294894\n  \
            hex dump (first 32 bytes):\n    \
            00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  ................\n  \
            backtrace (crc 0):\n    \
            __kmalloc_cache_noprof+0x2a6/0x3b0\n    \
            fault_kmemleak+0x1f/0x30 [faulty]\n    \
            0xffffffffa0008010\n    \
            [<00000000deadbeef>] do_one_initcall+0x5b/0x300\n\
            unreferenced object (percpu) 0x1 (size 8):\n";
        let reports = reports(text);
        assert_eq!(reports.len(), 2);
        assert_eq!(
            reports[0],
            "unreferenced object 0xffff888003a1b2c0 (size 64) < __kmalloc_cache_noprof+0x2a6/0x3b0 \
             < fault_kmemleak+0x1f/0x30 [faulty] < 0xffffffffa0008010 \
             < do_one_initcall+0x5b/0x300"
        );
    }
}
