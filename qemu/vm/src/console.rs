// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a kernel's console and finds what a kernel only says when something
//! is wrong.

/// A kind of trouble that the console tells of. The order is that of [`TROUBLE`].
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
    // lockdep
    ("possible circular locking dependency detected", "lockdep"),
    ("possible recursive locking detected", "lockdep"),
    ("possible irq lock inversion dependency detected", "lockdep"),
    ("lock order inversion detected", "lockdep"),
    ("-safe -> ", "lockdep"),
    ("inconsistent lock state", "lockdep"),
    ("bad unlock balance detected", "lockdep"),
    ("bad contention detected", "lockdep"),
    ("held lock freed!", "lockdep"),
    ("lock held when returning to user space!", "lockdep"),
    ("exit with locks held", "lockdep"),
    ("Invalid wait context", "lockdep"),
    ("Nested lock was not taken", "lockdep"),
    ("suspicious RCU usage", "lockdep"),
    ("DEBUG_LOCKS_WARN_ON", "lockdep"),
    ("INFO: trying to register non-static key", "lockdep"),
    // The checker switches itself off when its tables are full; then it checks nothing.
    ("turning off the locking correctness validator", "lockdep"),
    ("possible deadlock", "lockdep"),
    // sanitizers
    ("BUG: KASAN", "kasan"),
    ("BUG: KFENCE", "kfence"),
    ("BUG: KCSAN", "kcsan"),
    ("UBSAN: ", "ubsan"),
    ("page_table_check", "page-table-check"),
    ("kernel BUG at mm/page_table_check.c", "page-table-check"),
    // memory
    ("unreferenced object 0x", "kmemleak"),
    ("Objects remaining", "slab-remains"),
    ("Object already free", "slab"),
    ("Redzone overwritten", "slab"),
    ("Poison overwritten", "slab"),
    ("pagealloc: memory corruption", "slab"),
    ("BUG: Bad page", "bad-page"),
    ("BUG: Bad rss-counter", "bad-page"),
    ("BUG: non-zero pgtables_bytes", "bad-page"),
    ("Out of memory: Killed process", "oom"),
    // time
    ("blocked for more than", "hung-task"),
    ("blocked in I/O wait for more than", "hung-task"),
    ("BUG: soft lockup", "lockup"),
    ("hard LOCKUP", "lockup"),
    ("BUG: workqueue lockup", "lockup"),
    ("detected stalls on CPUs/tasks", "rcu-stall"),
    ("self-detected stall on CPU", "rcu-stall"),
    ("rcu_preempt kthread starved", "rcu-stall"),
    // context
    (
        "sleeping function called from invalid context",
        "atomic-sleep",
    ),
    ("BUG: scheduling while atomic", "atomic-sleep"),
    // death
    ("kernel BUG at ", "bug"),
    ("BUG: unable to handle", "oops"),
    ("BUG: kernel NULL pointer dereference", "oops"),
    ("general protection fault", "oops"),
    ("Oops: ", "oops"),
    ("rust_kernel: panicked at", "rust-panic"),
    ("panicked at", "rust-panic"),
    ("Kernel panic - not syncing", "panic"),
    ("WARNING: ", "warn"),
    ("BUG: ", "bug"),
    ("refcount_t: ", "warn"),
    ("cut here ]---", "warn"),
];

/// Lines that look like trouble and are none, each with the reason.
const HARMLESS: &[(&str, &str)] = &[];

/// What follows from an earlier finding and says nothing new: the panic that
/// `panic_on_warn` makes of a warning, the oops that a `BUG()` ends in.
const CONSEQUENCES: &[&str] = &["panic", "oops"];

/// Reads a whole console log. Gives the first line of each report.
pub fn scan(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut cut: Option<Finding> = None;
    for (at, raw) in text.lines().enumerate() {
        let line = without_stamp(raw);
        let Some((needle, detector)) = TROUBLE.iter().find(|(needle, _)| line.contains(needle))
        else {
            continue;
        };
        if HARMLESS.iter().any(|(harmless, _)| line.contains(harmless)) {
            continue;
        }
        let finding = Finding {
            detector,
            line: line.to_string(),
            number: at + 1,
        };
        if *needle == "cut here ]---" {
            // Only announces: the next line says what it is.
            cut = Some(finding);
            continue;
        }
        cut = None;
        if CONSEQUENCES.contains(detector) && !findings.is_empty() {
            continue;
        }
        findings.push(finding);
    }
    findings.extend(cut);
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
