// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine had before the modules came and must have again when they
//! are gone.

use crate::link::Link;
use crate::slab::{self, Counts};
use crate::{kmemleak, locked};
use rsm_vm::protocol::{Record, Verdict};
use std::fs;
use std::time::{Duration, Instant};

/// The kernel frees some things a little later; a difference must outlive this,
const PATIENCE: Duration = Duration::from_secs(6);
/// and as many looks: one look may take long.
const LOOKS: u32 = 3;

/// Reports a detector that found these problems.
pub fn report(link: &mut Link, name: &str, problems: &[String]) {
    let (verdict, text) = crate::verdict(problems);
    send(link, name, verdict, text);
}

fn send(link: &mut Link, name: &str, verdict: Verdict, text: String) {
    link.send(&Record::Check {
        name: name.to_string(),
        verdict,
        text,
    });
}

/// Numbers that the kernel gives of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    /// Pages pinned and not yet unpinned (kernels that count them).
    pins: Option<i64>,
    /// Pages of mlock.
    locked: i64,
    /// Open files.
    files: i64,
}

impl Counters {
    fn read() -> Counters {
        // Each processor keeps small differences to itself; this adds them up.
        let _ = fs::write("/proc/sys/vm/stat_refresh", "1");
        let vmstat = fs::read_to_string("/proc/vmstat").unwrap_or_default();
        let value = |name: &str| -> Option<i64> {
            vmstat
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        let files = fs::read_to_string("/proc/sys/fs/file-nr").unwrap_or_default();
        Counters {
            pins: value("nr_foll_pin_acquired ")
                .zip(value("nr_foll_pin_released "))
                .map(|(acquired, released)| acquired - released),
            locked: value("nr_mlock ").unwrap_or(0),
            files: files
                .split_whitespace()
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(0),
        }
    }
}

/// The state before the modules were loaded.
pub struct Baseline {
    counters: Counters,
    lockable: Vec<Option<i64>>,
    slab: Counts,
}

impl Baseline {
    /// Looks at everything.
    pub fn take() -> Baseline {
        kmemleak::stop_scanning();
        // The first probe makes the kernel allocate what it then keeps.
        locked::available(0);
        Baseline {
            lockable: lockable(),
            slab: Counts::read(),
            counters: Counters::read(),
        }
    }

    /// Looks again, and reports one verdict per detector. `unloaded` says
    /// whether the modules are gone, so that their code is not there any more.
    pub fn compare(&self, link: &mut Link, unloaded: bool) {
        let begin = Instant::now();
        let now = settled(Counters::read, |now| *now == self.counters);
        let before = self.counters;
        match before.pins.zip(now.pins) {
            None => send(
                link,
                "pins",
                Verdict::Skip,
                "this kernel does not count pins".into(),
            ),
            Some((before, now)) => report(link, "pins", &changed("pinned pages", before, now)),
        }
        self.compare_locked(link, now.locked);
        report(
            link,
            "descriptors",
            &changed("open files", before.files, now.files),
        );
        self.compare_slab(link, unloaded);
        match kmemleak::lost_objects(begin) {
            None => send(
                link,
                "kmemleak",
                Verdict::Skip,
                "this kernel has no kmemleak".into(),
            ),
            Some(lost) => report(link, "kmemleak", &lost),
        }
    }

    fn compare_locked(&self, link: &mut Link, locked: i64) {
        let mut problems = changed("pages locked with mlock", self.counters.locked, locked);
        let now = settled(lockable, |now| *now == self.lockable);
        for ((user, before), now) in locked::USERS.iter().zip(&self.lockable).zip(&now) {
            match before.zip(*now) {
                Some((before, now)) => {
                    let what = format!("pages that user {user} can lock");
                    problems.extend(changed(&what, before, now));
                }
                None => link.note(&format!("user {user}: locked memory cannot be measured")),
            }
        }
        report(link, "locked-memory", &problems);
    }

    fn compare_slab(&self, link: &mut Link, unloaded: bool) {
        if self.slab.is_empty() {
            let text = "this kernel does not count slab objects".to_string();
            return send(link, "slab", Verdict::Skip, text);
        }
        let look = || {
            let now = Counts::read();
            let mut problems = now.grown_since(&self.slab);
            if unloaded {
                problems.extend(slab::orphaned_areas());
                problems.extend(slab::orphaned_objects().unwrap_or_default());
            }
            (now, problems)
        };
        let (now, problems) = settled(look, |(_, problems)| problems.is_empty());
        crate::log(&format!("slab: {}", now.largest_changes(&self.slab)));
        report(link, "slab", &problems);
    }
}

/// What each of the tests' users can lock.
fn lockable() -> Vec<Option<i64>> {
    locked::USERS
        .iter()
        .map(|user| locked::available(*user))
        .collect()
}

/// Reads until the value is good or the kernel has had its time.
fn settled<T>(read: impl Fn() -> T, is_good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut looks = 0;
    loop {
        let value = read();
        looks += 1;
        if is_good(&value) || (looks >= LOOKS && Instant::now() >= deadline) {
            return value;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn changed(what: &str, before: i64, now: i64) -> Vec<String> {
    if before == now {
        Vec::new()
    } else {
        vec![format!(
            "{what}: {now} now, {before} before the modules were loaded"
        )]
    }
}

/// The modules' own counts of living objects: `live_*` files in their directory
/// of debugfs, each 0 once every descriptor is closed.
pub fn live_objects(link: &mut Link, modules: &[String]) {
    let (seen, problems) = settled(
        || read_live_objects(modules),
        |(_, problems)| problems.is_empty(),
    );
    if seen == 0 {
        let text = "the modules show no live_* counts".to_string();
        return send(link, "live-objects", Verdict::Skip, text);
    }
    report(link, "live-objects", &problems);
}

fn read_live_objects(modules: &[String]) -> (usize, Vec<String>) {
    let mut seen = 0;
    let mut problems = Vec::new();
    for module in modules {
        let directory = format!("/sys/kernel/debug/{module}");
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with("live_") {
                continue;
            }
            seen += 1;
            match fs::read_to_string(entry.path()) {
                Ok(text) if text.trim() == "0" => {}
                Ok(text) => problems.push(format!("{module}/{name} is {}", text.trim())),
                Err(error) => problems.push(format!("{module}/{name}: {error}")),
            }
        }
    }
    (seen, problems)
}
