// SPDX-License-Identifier: MIT OR Apache-2.0
//! Books of what must be given back: pins, locked memory, descriptors, the module's objects.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The module's counts of live objects.
const LIVE: &str = "/sys/kernel/debug/rsm";

/// The state of things at one moment. Two are equal if nothing was left behind between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// Pins taken less pins given back, by everybody.
    pins: i64,
    /// Bytes that this process has pinned.
    pinned_kib: u64,
    /// Bytes that this process has locked.
    locked_kib: u64,
    /// Open descriptors of this process.
    descriptors: usize,
    /// Live objects of the module.
    objects: BTreeMap<String, i64>,
}

impl Books {
    /// Looks when nobody is using the module, which must be so in a moment: what others have left
    /// behind until then is not to be put down to what comes.
    #[track_caller]
    pub fn open() -> Self {
        let idle = |books: &Self| books.objects.values().all(|&count| count == 0);
        let books = Self::read_until(idle);
        assert!(idle(&books), "somebody is using the module: {books:?}");
        books
    }

    /// Looks now, with objects that are to stay. Nobody else may be using the module.
    pub fn amid() -> Self {
        let (pinned_kib, locked_kib, descriptors) = Self::private_now();
        Self {
            pins: pins(),
            pinned_kib,
            locked_kib,
            descriptors,
            objects: objects(),
        }
    }

    /// What this process by itself has: pinned and locked KiB, descriptors. A user without
    /// privileges can look at it too.
    pub fn private_now() -> (u64, u64, usize) {
        let descriptors = fs::read_dir("/proc/self/fd").expect("descriptors").count();
        (status_kib("VmPin"), status_kib("VmLck"), descriptors)
    }

    /// The same, when the books were opened.
    pub fn private(&self) -> (u64, u64, usize) {
        (self.pinned_kib, self.locked_kib, self.descriptors)
    }

    /// Fails unless everything is as it was when the books were opened.
    ///
    /// Waits a little: what a dying process or a file's last reference gives back may come
    /// a moment later than the system call that caused it returns.
    #[track_caller]
    pub fn balance(&self) {
        let now = Self::read_until(|now| now == self);
        assert_eq!(now, *self, "left: now, right: before");
    }

    /// Looks until what is seen is `good`, or for long. Where this was in vain once, it is not
    /// waited for so long any more.
    fn read_until(good: impl Fn(&Self) -> bool) -> Self {
        static IN_VAIN: AtomicBool = AtomicBool::new(false);
        let seconds = if IN_VAIN.load(Relaxed) { 10 } else { 150 };
        let mut seen = None;
        let held = super::holds_within(seconds, || good(seen.insert(Self::amid())));
        IN_VAIN.fetch_or(!held, Relaxed);
        seen.expect("seen at least once")
    }
}

/// Pins taken and not given back, in the whole system.
pub fn pins() -> i64 {
    // Folds the counters of all CPUs into the total.
    run_everywhere();
    let vmstat = fs::read_to_string("/proc/vmstat").expect("vmstat");
    let value = |name: &str| -> i64 {
        vmstat
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no {name} in /proc/vmstat"))
            .parse()
            .expect("a number")
    };
    value("nr_foll_pin_acquired") - value("nr_foll_pin_released")
}

/// Has the kernel do some work on each processor, and waits for it.
pub fn run_everywhere() {
    fs::write("/proc/sys/vm/stat_refresh", "1").expect("stat_refresh (needs root)");
}

/// A quantity of this process in KiB, from `/proc/self/status`.
pub fn status_kib(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in /proc/self/status"));
    let number = line.trim_start_matches(':').trim_end_matches("kB").trim();
    number.parse().expect("a number of KiB")
}

/// The module's counts of live objects.
pub fn objects() -> BTreeMap<String, i64> {
    let files = fs::read_dir(LIVE).unwrap_or_else(|error| panic!("{LIVE}: {error}"));
    files
        .map(|file| file.expect("directory entry"))
        .map(|file| (file.file_name().into_string().expect("a plain name"), file))
        .filter(|(name, _)| name.starts_with("live_"))
        .map(|(name, file)| {
            let text = fs::read_to_string(file.path()).expect("a count");
            let count = text
                .trim()
                .parse()
                .unwrap_or_else(|_| panic!("{name}: {text:?}"));
            (name, count)
        })
        .collect()
}
