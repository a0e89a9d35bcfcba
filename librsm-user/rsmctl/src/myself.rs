// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this process is and may do, from `/proc/self/status`.

use std::fs;

/// Capabilities that matter here, by number.
const IPC_LOCK: u32 = 14;
const IPC_OWNER: u32 = 15;
const SYS_RESOURCE: u32 = 24;

/// This process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Myself {
    /// Effective user and group, supplementary groups.
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    capabilities: u64,
    ignored: u64,
    initial_namespace: bool,
}

impl Myself {
    /// Whatever cannot be read is taken as not allowed.
    pub fn read() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self::parse(&read("/proc/self/status"), &read("/proc/self/uid_map"))
    }

    fn parse(status: &str, uid_map: &str) -> Self {
        let line = |name: &str| {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().trim()
        };
        // Real, effective, saved, of the file system.
        let effective = |name| {
            let field = line(name).split_whitespace().nth(1);
            field.and_then(|id| id.parse().ok()).unwrap_or(u32::MAX)
        };
        let mask = |name| u64::from_str_radix(line(name), 16).unwrap_or(0);
        Self {
            uid: effective("Uid"),
            gid: effective("Gid"),
            groups: line("Groups")
                .split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect(),
            capabilities: mask("CapEff"),
            ignored: mask("SigIgn"),
            initial_namespace: uid_map.split_whitespace().eq(["0", "0", "4294967295"]),
        }
    }

    /// The module asks for capabilities in the initial user namespace.
    fn capable(&self, capability: u32) -> bool {
        self.initial_namespace && (self.capabilities >> capability) & 1 == 1
    }

    /// May it lock more memory than the limit says?
    pub fn may_lock_all(&self) -> bool {
        self.capable(IPC_LOCK)
    }

    /// Does it override access lists?
    pub fn overrides_access(&self) -> bool {
        self.capable(IPC_OWNER)
    }

    /// Does it override the limits of users?
    pub fn overrides_limits(&self) -> bool {
        self.capable(SYS_RESOURCE)
    }

    /// Was it started so that this signal does nothing?
    pub fn ignores(&self, signal: i32) -> bool {
        (self.ignored >> (signal - 1)) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\trsmctl\nUid:\t1000\t0\t1000\t1000\nGid:\t1000\t100\t1000\t1000\n\
        Groups:\t4 27 1000 \nSigIgn:\t0000000000001001\nCapEff:\t0000000000004000\n";
    const INITIAL: &str = "         0          0 4294967295\n";

    #[test]
    fn as_the_kernel_writes_it() {
        let me = Myself::parse(STATUS, INITIAL);
        assert_eq!((me.uid, me.gid), (0, 100));
        assert_eq!(me.groups, [4, 27, 1000]);
        assert!(me.may_lock_all() && !me.overrides_access() && !me.overrides_limits());
        assert!(me.ignores(1) && me.ignores(13) && !me.ignores(2));
    }

    #[test]
    fn capabilities_of_other_namespaces_do_not_count() {
        assert!(!Myself::parse(STATUS, "0 100000 65536\n").may_lock_all());
        assert!(!Myself::parse("", "").may_lock_all());
    }
}
