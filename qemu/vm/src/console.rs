// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a kernel's console and finds what a kernel only says when something
//! is wrong. Pure: text in, findings out.

/// Something that a console tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Name of the detector.
    pub detector: &'static str,
    /// The line that says so, without its time stamp.
    pub line: String,
    /// Where it stands, counted from 1.
    pub number: usize,
}

/// Texts and the detector each belongs to. The first that occurs in a line
/// names it, so what is more special stands first.
const TROUBLE: &[(&str, &str)] = &[
    // Its line repeats what led to it.
    ("Kernel panic - not syncing", "panic"),
    // Locks.
    ("possible circular locking dependency detected", "lockdep"),
    ("possible recursive locking detected", "lockdep"),
    ("possible irq lock inversion dependency detected", "lockdep"),
    ("-safe -> ", "lockdep"),
    ("inconsistent lock state", "lockdep"),
    ("bad unlock balance detected", "lockdep"),
    ("bad contention detected", "lockdep"),
    ("held lock freed!", "lockdep"),
    ("lock held when returning to user space!", "lockdep"),
    ("still has locks held!", "lockdep"),
    ("Invalid wait context", "lockdep"),
    ("Nested lock was not taken", "lockdep"),
    ("suspicious RCU usage", "lockdep"),
    ("DEBUG_LOCKS_WARN_ON", "lockdep"),
    ("INFO: trying to register non-static key", "lockdep"),
    // Its tables are full: it switches itself off and checks nothing any more.
    ("BUG: MAX_", "lockdep"),
    ("turning off the locking correctness validator", "lockdep"),
    // Memory.
    ("BUG: KASAN", "kasan"),
    ("BUG: KFENCE", "kfence"),
    ("BUG: KCSAN", "kcsan"),
    ("UBSAN: ", "ubsan"),
    ("kernel BUG at mm/page_table_check.c", "page-table-check"),
    ("Objects remaining", "slab-remains"),
    ("Object already free", "slab-damage"),
    ("Redzone overwritten", "slab-damage"),
    ("Poison overwritten", "slab-damage"),
    ("pagealloc: memory corruption", "slab-damage"),
    ("unreferenced object 0x", "kmemleak"),
    ("BUG: Bad page", "bad-page"),
    ("BUG: Bad rss-counter", "bad-page"),
    ("BUG: non-zero pgtables_bytes", "bad-page"),
    // Of the whole machine; a control group that is out of memory says so in lower case.
    ("Out of memory: Killed process", "out-of-memory"),
    // Time.
    ("blocked for more than", "hung-task"),
    ("blocked in I/O wait for more than", "hung-task"),
    ("BUG: soft lockup", "lockup"),
    ("hard LOCKUP", "lockup"),
    ("BUG: workqueue lockup", "lockup"),
    ("detected stalls on CPUs/tasks", "rcu-stall"),
    ("detected expedited stalls on CPUs/tasks", "rcu-stall"),
    ("self-detected stall on CPU", "rcu-stall"),
    ("kthread starved for", "rcu-stall"),
    // Context.
    (
        "sleeping function called from invalid context",
        "atomic-sleep",
    ),
    ("BUG: scheduling while atomic", "atomic-sleep"),
    // The end.
    ("rust_kernel: panicked at", "rust-panic"),
    ("kernel BUG at ", "bug"),
    ("BUG: unable to handle", "oops"),
    ("BUG: kernel NULL pointer dereference", "oops"),
    ("Oops: ", "oops"),
    // Everything else.
    ("WARNING: ", "warn"),
    ("refcount_t: ", "warn"),
    (CUT_HERE, "warn"),
    ("BUG: ", "bug"),
];

/// Announces a report; the next line says what it is.
const CUT_HERE: &str = "cut here ]---";

/// Starts of lines that may hold such a text and are no trouble, with the reason.
const HARMLESS: &[(&str, &str)] = &[
    (
        "rsm-init: ",
        "process 1 says what it runs; its verdicts come over the link",
    ),
    ("Command line: ", "holds whatever the user appended"),
    ("Kernel command line: ", "the same, once more"),
    (
        "Unknown kernel command line parameters",
        "the same, in parts",
    ),
    (
        "INFO: task swapper/0:1 blocked for more than",
        "the kernel waits for a large root to be unpacked; whether it comes to process 1 is guest-boot's",
    ),
];

/// What only follows from an earlier finding and says nothing new: the panic
/// that `panic_on_warn` makes of a warning, the oops in which a `BUG()` ends.
fn follows(later: &str, earlier: &str) -> bool {
    match later {
        "panic" | "oops" => true,
        "bug" => earlier == "rust-panic",
        _ => false,
    }
}

/// Lines within which a second text of the same detector belongs to the same report.
const REPORT: usize = 12;

/// Reads a whole console log. Gives the first line of each report.
pub fn scan(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut announced: Option<Finding> = None;
    for (at, raw) in text.lines().enumerate() {
        let line = without_stamp(raw);
        if HARMLESS.iter().any(|(start, _)| line.starts_with(start)) {
            continue;
        }
        let Some((needle, detector)) = TROUBLE.iter().find(|(needle, _)| line.contains(needle))
        else {
            continue;
        };
        let finding = Finding {
            detector,
            line: line.to_string(),
            number: at + 1,
        };
        // An announcement that nothing known came after was of something unknown.
        findings.extend(
            announced
                .take()
                .filter(|cut| finding.number - cut.number > 3),
        );
        if *needle == CUT_HERE {
            announced = Some(finding);
            continue;
        }
        let known = findings.last().is_some_and(|last| {
            follows(detector, last.detector)
                || (last.detector == *detector && finding.number - last.number <= REPORT)
        });
        if !known {
            findings.push(finding);
        }
    }
    // The console ended before it said what it had to say.
    findings.extend(announced);
    findings
}

/// Cuts off `[   12.345678] ` and, where printk shows it, `[   T12] `.
fn without_stamp(line: &str) -> &str {
    let mut rest = line.trim_end();
    while let Some((stamp, after)) = rest
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        let is_stamp = stamp
            .chars()
            .all(|c| c.is_ascii_digit() || " .TC".contains(c));
        if !is_stamp {
            break;
        }
        rest = after;
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a console tells of, without the details.
    fn detectors(text: &str) -> Vec<&'static str> {
        scan(text)
            .into_iter()
            .map(|finding| finding.detector)
            .collect()
    }

    #[test]
    fn waiting_for_the_root_is_no_hang() {
        let blocked = |task: &str| {
            format!("[   32.954021] INFO: task {task} blocked for more than 10 seconds.\n")
        };
        assert!(detectors(&blocked("swapper/0:1")).is_empty());
        assert_eq!(detectors(&blocked("init:1")), ["hung-task"]);
    }

    /// Consoles of guests in which `qemu/faulty` did what the file's name says.
    #[test]
    fn real_reports_are_found_once() {
        for (text, expected) in [
            (include_str!("../testdata/console/warn.txt"), "warn"),
            (include_str!("../testdata/console/bug.txt"), "bug"),
            (include_str!("../testdata/console/oops.txt"), "oops"),
            (include_str!("../testdata/console/panic.txt"), "panic"),
            (include_str!("../testdata/console/rmmod-crash.txt"), "oops"),
            (
                include_str!("../testdata/console/hung-task.txt"),
                "hung-task",
            ),
            (include_str!("../testdata/console/lockup.txt"), "lockup"),
            (
                include_str!("../testdata/console/rcu-stall.txt"),
                "rcu-stall",
            ),
            (include_str!("../testdata/console/ubsan.txt"), "ubsan"),
            (include_str!("../testdata/console/kasan.txt"), "kasan"),
            (include_str!("../testdata/console/lockdep.txt"), "lockdep"),
            (
                include_str!("../testdata/console/atomic-sleep.txt"),
                "atomic-sleep",
            ),
        ] {
            assert_eq!(detectors(text), [expected]);
        }
    }

    #[test]
    fn good_boots_have_no_findings() {
        for text in [
            include_str!("../testdata/console/good-stock.txt"),
            include_str!("../testdata/console/good-debug.txt"),
        ] {
            assert!(text.lines().count() > 200);
            assert_eq!(scan(text), []);
        }
    }

    /// First lines of reports, as the kernel's sources print them.
    #[test]
    fn each_report_has_its_detector() {
        for (line, expected) in [
            ("WARNING: possible recursive locking detected", "lockdep"),
            (
                "WARNING: possible irq lock inversion dependency detected",
                "lockdep",
            ),
            (
                "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
                "lockdep",
            ),
            ("WARNING: inconsistent lock state", "lockdep"),
            ("WARNING: bad unlock balance detected!", "lockdep"),
            ("WARNING: held lock freed!", "lockdep"),
            (
                "WARNING: lock held when returning to user space!",
                "lockdep",
            ),
            ("WARNING: init/1 still has locks held!", "lockdep"),
            ("WARNING: suspicious RCU usage", "lockdep"),
            ("[ BUG: Invalid wait context ]", "lockdep"),
            ("DEBUG_LOCKS_WARN_ON(depth <= 0)", "lockdep"),
            ("BUG: MAX_LOCKDEP_CHAINS too low!", "lockdep"),
            ("BUG: KASAN: wild-memory-access in f+0x1/0x2", "kasan"),
            (
                "kernel BUG at mm/page_table_check.c:118!",
                "page-table-check",
            ),
            ("kernel BUG at mm/memory.c:2767!", "bug"),
            (
                "BUG: unable to handle page fault for address: ffffc90000000000",
                "oops",
            ),
            (
                "Oops: general protection fault, probably for non-canonical address 0xdead",
                "oops",
            ),
            ("BUG: Bad page state in process init  pfn:12345", "bad-page"),
            (
                "BUG: Bad rss-counter state mm:0 type:MM_ANONPAGES val:1",
                "bad-page",
            ),
            (
                "BUG rsm_import (Tainted: G O): Objects remaining on __kmem_cache_shutdown()",
                "slab-remains",
            ),
            (
                "BUG kmalloc-64 (Not tainted): Poison overwritten",
                "slab-damage",
            ),
            (
                "unreferenced object 0xffff888003a1b2c0 (size 64):",
                "kmemleak",
            ),
            (
                "BUG: scheduling while atomic: init/1/0x00000002",
                "atomic-sleep",
            ),
            (
                "rcu: INFO: rcu_preempt self-detected stall on CPU",
                "rcu-stall",
            ),
            (
                "rust_kernel: panicked at rsm_kmod/segment.rs:12:3:",
                "rust-panic",
            ),
            (
                "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
                "panic",
            ),
            (
                "Out of memory: Killed process 77 (revoke) total-vm:1kB",
                "out-of-memory",
            ),
            ("refcount_t: underflow; use-after-free.", "warn"),
            ("------------[ cut here ]------------", "warn"),
        ] {
            for stamp in [
                "",
                "[   12.345678] ",
                "[   12.345678][   T12] ",
                "[    1.0] [  C1] ",
            ] {
                assert_eq!(
                    detectors(&format!("{stamp}{line}\r\n")),
                    [expected],
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn ordinary_lines_are_left_alone() {
        for line in [
            "rsm: loading out-of-tree module taints kernel.",
            "rsm: module verification failed: signature and/or required key missing - tainting kernel",
            "mtrr: probably your BIOS does not setup all CPUs.",
            "Kernel command line: panic_on_warn=1 BUG: page_table_check=on WARNING: x",
            "Memory cgroup out of memory: Killed process 77 (revoke) total-vm:1kB",
            "revoke[77]: segfault at 0 ip 0000000000401000 sp 00007ffd error 4 in revoke",
            "traps: revoke[77] general protection fault ip:401000 sp:7ffd error:0 in revoke",
            "FAULT_INJECTION: forcing a failure.",
            "rsm-init: end revoke: WARNING: killed by SIGSEGV",
            "debug: unmapping init",
            "Warning: unable to open an initial console.",
        ] {
            assert_eq!(scan(&format!("[    1.234567] {line}\n")), [], "{line}");
        }
    }

    #[test]
    fn what_follows_from_a_finding_is_none_of_its_own() {
        let text = "BUG: KASAN: slab-use-after-free in f\nKernel panic - not syncing: KASAN: x\n";
        assert_eq!(detectors(text), ["kasan"]);
        let text = "rust_kernel: panicked at x\n---[ cut here ]---\nkernel BUG at x!\nOops: x\n";
        assert_eq!(detectors(text), ["rust-panic"]);
        assert_eq!(
            detectors("Oops: 0002\nKernel panic - not syncing: Fatal exception\n"),
            ["oops"]
        );
    }

    #[test]
    fn two_reports_are_two_findings() {
        let pause = "line\n".repeat(REPORT);
        let text = format!("WARNING: a\n{pause}WARNING: b\nBUG: KASAN: c\n");
        let findings = scan(&text);
        assert_eq!(detectors(&text), ["warn", "warn", "kasan"]);
        assert_eq!((findings[0].number, findings[1].number), (1, REPORT + 2));
        // An announcement whose report got lost is a finding too.
        assert_eq!(
            detectors("---[ cut here ]---\na\nb\nc\nd\nBUG: KASAN: c\n"),
            ["warn", "kasan"]
        );
    }
}
