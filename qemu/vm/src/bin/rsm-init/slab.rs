// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds kernel memory that a module took and did not give back.
//!
//! Three ways, as far as the kernel offers them:
//!
//! | way | where | how exact |
//! |---|---|---|
//! | who allocated it | caches with user tracking (`slab_debug=U`, our debug kernel) | to the object: whatever was allocated by code that is no longer loaded is a leak |
//! | who allocated it | `/proc/vmallocinfo`, every kernel | to the area, in the same way |
//! | how many there are | `/proc/slabinfo`, every kernel | up to an allowance, because the rest of the kernel allocates too |
//!
//! Code that is no longer loaded shows as a bare address where a stack or a
//! caller is printed with symbols. So the exact ways look after rmmod, and only
//! if it succeeded.

use std::collections::BTreeMap;
use std::fs;

/// Caches that are counted, by the start of their name, and how many objects
/// may be there more than before. A counted leak must be larger than what the
/// kernel's own work makes the number move; these are about four times what was
/// seen to move in runs without a module.
const COUNTED: &[(&str, u64)] = &[
    ("kmalloc-", 400),
    ("rsm", 0),
    // A processor's idle thread may still borrow one.
    ("mm_struct", 4),
    ("uid_cache", 0),
    ("mmu_", 0),
];

/// Functions that allocate what the kernel keeps for whoever comes next, and why that is no leak
/// of the one who came first.
const KEPT: &[(&str, &str)] = &[
    (
        "alloc_slab_obj_exts",
        "belongs to the page of a cache in which the object lies, for as long as there is the page",
    ),
    (
        "alloc_vmap_area",
        "describes free addresses once the area is gone; areas in use are found by vmallocinfo",
    ),
    (
        "preload_this_cpu_lock",
        "the same, in reserve for the next area",
    ),
];

/// How many objects each counted cache has.
#[derive(Debug, Clone, Default)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Counts, after everything that is free has been given back.
    pub fn read() -> Counts {
        give_back();
        let text = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        Counts(
            text.lines()
                .filter_map(|line| {
                    let mut words = line.split_whitespace();
                    let name = words.next()?;
                    allowance(name)?;
                    Some((name.to_string(), words.next()?.parse().ok()?))
                })
                .collect(),
        )
    }

    /// Whether there was anything to count.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has grown by more than its allowance since `before`.
    pub fn grown_since(&self, before: &Counts) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, now) in &self.0 {
            let before = before.0.get(name).copied().unwrap_or(0);
            let allowed = allowance(name).unwrap_or(0);
            if *now > before + allowed {
                problems.push(format!(
                    "{name} has {now} objects, {before} before the modules were loaded \
                     ({allowed} more would be allowed)"
                ));
            }
        }
        problems
    }

    /// The largest changes, for a reader who wonders about the allowances.
    pub fn largest_changes(&self, before: &Counts) -> String {
        let mut changes: Vec<(i64, &str)> = self
            .0
            .iter()
            .map(|(name, now)| {
                (
                    *now as i64 - before.0.get(name).copied().unwrap_or(0) as i64,
                    name.as_str(),
                )
            })
            .filter(|(change, _)| *change != 0)
            .collect();
        changes.sort_by_key(|(change, _)| -change.abs());
        changes.truncate(6);
        let words: Vec<String> = changes
            .iter()
            .map(|(change, name)| format!("{name} {change:+}"))
            .collect();
        words.join(", ")
    }
}

fn allowance(cache: &str) -> Option<u64> {
    COUNTED
        .iter()
        .find(|(start, _)| cache.starts_with(start))
        .map(|(_, allowed)| *allowed)
}

/// Has the kernel finish freeing and release what is free: objects that wait
/// for a grace period, per-processor stocks, quarantined objects.
fn give_back() {
    // The shrinkers push out what kfree_rcu has gathered.
    let _ = fs::write("/proc/sys/vm/drop_caches", "3");
    for cache in fs::read_dir("/sys/kernel/slab")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = cache.file_name();
        let name = name.to_string_lossy();
        // Merged caches are listed once more as ":size"; one visit is enough.
        if !name.starts_with(':') && allowance(&name).is_some() {
            let _ = fs::write(cache.path().join("shrink"), "1");
        }
    }
}

/// Allocations whose code is no longer loaded, from the slab caches that keep
/// track. `None` if none does.
pub fn orphaned_objects() -> Option<Vec<String>> {
    let mut tracked = false;
    let mut problems = Vec::new();
    for cache in fs::read_dir("/sys/kernel/debug/slab")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = cache.file_name().to_string_lossy().into_owned();
        let Ok(text) = fs::read_to_string(cache.path().join("alloc_traces")) else {
            continue;
        };
        tracked = true;
        if orphans_in_traces(&text).is_empty() {
            continue;
        }
        // Look again at what is really there once this cache has been shrunk.
        let _ = fs::write(format!("/sys/kernel/slab/{name}/shrink"), "1");
        let text = fs::read_to_string(cache.path().join("alloc_traces")).unwrap_or_default();
        for orphan in orphans_in_traces(&text) {
            problems.push(format!("{name}: {orphan}"));
        }
    }
    tracked.then_some(problems)
}

/// Takes `alloc_traces` apart: entries with a count and a first line, then their stack.
fn orphans_in_traces(text: &str) -> Vec<String> {
    let mut orphans = Vec::new();
    for entry in text.split("\n\n") {
        let mut lines = entry.lines().filter(|line| !line.trim().is_empty());
        let Some(head) = lines.next() else { continue };
        let mut words = head.split_whitespace();
        let (Some(count), Some(site)) = (words.next(), words.next()) else {
            continue;
        };
        let function = site.split('+').next().unwrap_or(site);
        if KEPT.iter().any(|(kept, _)| *kept == function) {
            continue;
        }
        let frames: Vec<&str> = std::iter::once(site).chain(lines.map(str::trim)).collect();
        if frames.iter().any(|frame| is_bare_address(frame)) {
            orphans.push(format!(
                "{count} objects allocated from {}",
                frames.join(" < ")
            ));
        }
    }
    orphans
}

/// Areas of `vmalloc` whose code is no longer loaded.
pub fn orphaned_areas() -> Vec<String> {
    orphans_in_vmallocinfo(&fs::read_to_string("/proc/vmallocinfo").unwrap_or_default())
}

/// A line: range, size, caller, pages=…
fn orphans_in_vmallocinfo(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (_range, size, caller) = (words.next()?, words.next()?, words.next()?);
            is_bare_address(caller)
                .then(|| format!("vmalloc: {size} bytes allocated from {caller}"))
        })
        .collect()
}

/// Whether an address was printed as a number because nothing is known there.
fn is_bare_address(word: &str) -> bool {
    word.strip_prefix("0x")
        .is_some_and(|digits| digits.len() == 16 && digits.chars().all(|c| c.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACES: &str = "      2 kernfs_new_node+0x55/0x90 age=10/20/30 pid=1 cpus=0\n        \
        __kmem_cache_alloc+0x1/0x2\n        kernfs_new_node+0x55/0x90\n\n      \
        7 __kmalloc_cache_noprof+0x5/0x6 waste=8/1 age=5 pid=1 cpus=1\n        \
        __kmalloc_cache_noprof+0x5/0x6\n        0xffffffffc0201044\n        \
        do_one_initcall+0x4/0x5\n\n";

    #[test]
    fn an_object_of_unloaded_code_is_found() {
        let orphans = orphans_in_traces(TRACES);
        assert_eq!(orphans.len(), 1);
        assert!(orphans[0].starts_with("7 objects allocated from __kmalloc_cache_noprof"));
        assert!(orphans_in_traces("No data\n").is_empty());
    }

    #[test]
    fn what_the_kernel_keeps_is_let_pass() {
        let of = |site: &str| format!("      1 {site} age=1\n        0xffffffffc0201044\n");
        for (function, _) in KEPT {
            assert!(orphans_in_traces(&of(&format!("{function}+0x51/0x180"))).is_empty());
        }
        assert_eq!(orphans_in_traces(&of("alloc_inode+0x51/0x180")).len(), 1);
    }

    #[test]
    fn an_area_of_unloaded_code_is_found() {
        let text = "0xffffc90000000000-0xffffc90000005000   20480 map_irq+0x1/0x2 pages=4 vmalloc\n\
                    0xffffc90000008000-0xffffc90000049000  266240 0xffffffffc0201044 pages=64 vmalloc\n\
                    0xffffc90000050000-0xffffc90000052000    8192 unpurged vm_area\n";
        let orphans = orphans_in_vmallocinfo(text);
        assert_eq!(
            orphans,
            ["vmalloc: 266240 bytes allocated from 0xffffffffc0201044"]
        );
    }

    #[test]
    fn growth_is_measured_against_the_allowance() {
        let counts = |n: u64, m: u64| {
            Counts(BTreeMap::from([
                ("kmalloc-64".to_string(), n),
                ("rsm_import".to_string(), m),
            ]))
        };
        assert!(counts(1400, 0).grown_since(&counts(1000, 0)).is_empty());
        assert!(counts(900, 0).grown_since(&counts(1000, 0)).is_empty());
        assert_eq!(counts(1401, 0).grown_since(&counts(1000, 0)).len(), 1);
        assert_eq!(counts(1000, 1).grown_since(&counts(1000, 0)).len(), 1);
    }
}
