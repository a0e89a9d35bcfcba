// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the caller may do, and the limits of its processes.

use nix::sys::resource::{getrlimit, Resource, RLIM_INFINITY};

use super::finding;
use crate::myself::Myself;
use crate::names::Users;
use crate::report::{Finding, Level};
use crate::units;

/// Less locked memory than this is in the way of many.
const LITTLE: u64 = 1 << 20;

pub fn look(findings: &mut Vec<Finding>) {
    let me = Myself::read();
    findings.push(rights(&me, &Users::read().name(me.uid)));
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) {
        findings.push(locked_memory(soft, hard, me.may_lock_all()));
    }
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        findings.push(descriptors(soft, hard));
    }
}

fn rights(me: &Myself, name: &str) -> Finding {
    let groups: Vec<String> = me.groups.iter().map(u32::to_string).collect();
    let mut text = format!("user {name} ({}), group {}", me.uid, me.gid);
    if !groups.is_empty() {
        text += &format!(", also {}", groups.join(" "));
    }
    let may = [
        (me.overrides_access(), "access lists (CAP_IPC_OWNER)"),
        (me.may_lock_all(), "the locked-memory limit (CAP_IPC_LOCK)"),
        (me.overrides_limits(), "limits per user (CAP_SYS_RESOURCE)"),
    ];
    let may: Vec<&str> = may
        .iter()
        .filter(|right| right.0)
        .map(|right| right.1)
        .collect();
    if !may.is_empty() {
        text += &format!("; exempt from {}", may.join(", "));
    }
    finding(Level::Ok, "rights", text)
}

fn locked_memory(soft: u64, hard: u64, exempt: bool) -> Finding {
    const CHECK: &str = "locked memory";
    if exempt || soft == RLIM_INFINITY {
        return finding(Level::Ok, CHECK, "no limit on what you may export");
    }
    let found = format!(
        "you may export {} at a time (RLIMIT_MEMLOCK)",
        units::bytes(soft)
    );
    let level = match soft {
        0 => Level::Problem,
        1..LITTLE => Level::Warning,
        _ => return finding(Level::Ok, CHECK, found),
    };
    let raise = if hard > soft {
        "`ulimit -l unlimited` in this shell"
    } else {
        "As root: `memlock` in /etc/security/limits.conf, or LimitMEMLOCK= of the service"
    };
    finding(level, CHECK, found).advise(format!("{raise}; exported memory counts against it."))
}

fn descriptors(soft: u64, hard: u64) -> Finding {
    const CHECK: &str = "descriptors";
    let found = format!("{soft} in a process; each segment and each import is one");
    if soft >= 256 {
        return finding(Level::Ok, CHECK, found);
    }
    let raise = if hard > soft {
        "`ulimit -n`"
    } else {
        "As root: `nofile` in /etc/security/limits.conf"
    };
    finding(Level::Warning, CHECK, found).advise(format!("Raise it: {raise}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_locked_memory() {
        let level = |soft, exempt| locked_memory(soft, RLIM_INFINITY, exempt).level;
        assert_eq!(level(0, false), Level::Problem);
        assert_eq!(level(65536, false), Level::Warning);
        assert_eq!(level(8 << 20, false), Level::Ok);
        assert_eq!(level(0, true), Level::Ok);
        assert_eq!(level(RLIM_INFINITY, false), Level::Ok);
        assert!(locked_memory(0, 0, false)
            .advice
            .unwrap()
            .contains("limits.conf"));
        assert!(locked_memory(0, 1, false)
            .advice
            .unwrap()
            .contains("ulimit"));
    }

    #[test]
    fn few_descriptors() {
        assert_eq!(descriptors(64, 64).level, Level::Warning);
        assert_eq!(descriptors(1024, 4096).level, Level::Ok);
    }

    #[test]
    fn rights_in_words() {
        let me = Myself::default();
        assert_eq!(rights(&me, "root").found, "user root (0), group 0");
    }
}
