// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults on request: the Nth allocation or user copy of a thread fails.
//!
//! The kernel counts in `/proc/thread-self/fail-nth`: slabs, pages and copies from and to user
//! space together. Once that counter is used up, a thread marked with `make-it-fail` is served as
//! the settings of each kind say.
//!
//! What happens to be allocated now and then, in whatever call, is left out: new pages for a cache
//! of objects, and the leak finder's own records. Else the same call would count differently from
//! one round to the next, and some allocation never be the one to fail.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use crate::common::knob::Knob;

const DEBUGFS: &str = "/sys/kernel/debug";

/// The kinds of allocations.
const ALLOCATIONS: [&str; 2] = ["failslab", "fail_page_alloc"];

/// Functions whose allocations are left out, by kind.
const LEFT_OUT: [(&str, &str); 2] = [
    (ALLOCATIONS[0], "__alloc_object"),
    (ALLOCATIONS[1], "allocate_slab"),
];

/// Settings of all kinds of faults, by kind.
const SETTINGS: [(&str, &[(&str, &str)]); 3] = [
    (
        ALLOCATIONS[0],
        &[
            ("ignore-gfp-wait", "N"),
            ("cache-filter", "N"),
            // Of marked threads all.
            ("task-filter", "Y"),
            ("interval", "1"),
            ("space", "0"),
            ("probability", "100"),
        ],
    ),
    (
        ALLOCATIONS[1],
        &[
            ("ignore-gfp-wait", "N"),
            ("ignore-gfp-highmem", "N"),
            ("min-order", "0"),
            ("task-filter", "Y"),
            ("interval", "1"),
            ("space", "0"),
            ("probability", "100"),
        ],
    ),
    ("fail_usercopy", &[("probability", "0")]),
];

/// Which allocations and copies are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that the thread makes in the kernel.
    Kernel,
    /// Those that the module makes, or functions that it has called.
    Module,
    /// Those that a function of the kernel makes, or functions that it has called.
    Under(&'static str),
}

/// What happens after the first fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spell {
    /// All is well again.
    Once,
    /// Allocations go on failing, as long as any call may try for. Takes CAP_SYS_RESOURCE.
    Lasting,
}

/// Allocations that fail in a lasting spell. Not all: a page fault that fails is tried again
/// for ever.
const LASTING: &[u8] = b"100";

/// Faults for the calling thread.
#[derive(Debug)]
pub struct Injection {
    nth: File,
    mark: File,
    /// How many allocations of each kind are to fail for marked threads.
    times: Vec<File>,
    _knobs: Vec<Knob>,
}

impl Injection {
    pub fn new(scope: Scope) -> Self {
        // Scans allocate, on behalf of whoever runs.
        let mut knobs = Vec::from_iter(Knob::no_numa_balancing());
        for (kind, settings) in SETTINGS {
            let mut set = |name: &str, value: &str| {
                knobs.push(Knob::set(format!("{DEBUGFS}/{kind}/{name}"), value));
            };
            set("verbose", "0");
            set("times", "0");
            settings.iter().for_each(|(name, value)| set(name, value));
            set("stacktrace-depth", "32");
            let mut range = |rule: &str, (start, end): (u64, u64)| {
                set(&format!("{rule}-start"), &start.to_string());
                set(&format!("{rule}-end"), &end.to_string());
            };
            match scope {
                Scope::Kernel => (),
                Scope::Module => range("require", text_of_module()),
                Scope::Under(function) => range("require", text_of_function(function)),
            }
            for (_, function) in LEFT_OUT.iter().filter(|(of, _)| *of == kind) {
                range("reject", text_of_function(function));
            }
        }
        Self::of_thread(knobs)
    }

    /// The same for a process that was forked, before it gives its rights away.
    pub fn of_child(&self) -> Self {
        Self::of_thread(Vec::new())
    }

    fn of_thread(knobs: Vec<Knob>) -> Self {
        let times = ALLOCATIONS.map(|kind| open(&format!("{DEBUGFS}/{kind}/times")));
        Self {
            nth: open("/proc/thread-self/fail-nth"),
            mark: open("/proc/thread-self/make-it-fail"),
            times: times.into(),
            _knobs: knobs,
        }
    }

    /// Lets the `nth` allocation or copy from now on fail, counted from 1.
    pub fn arm(&self, nth: usize, spell: Spell) {
        if spell == Spell::Lasting {
            for mut times in &self.times {
                times.write_all(LASTING).expect("times");
            }
            // The counter, not used up yet, keeps what follows from failing.
            self.nth.write_all_at(b"1000", 0).expect("fail-nth");
            self.mark.write_all_at(b"1", 0).expect("make-it-fail");
        }
        let text = nth.to_string();
        self.nth.write_all_at(text.as_bytes(), 0).expect("fail-nth");
    }

    /// Runs `call` and lets its `nth` allocation or copy fail. Says whether there was one.
    pub fn strike<T>(&self, nth: usize, spell: Spell, call: impl FnOnce() -> T) -> (T, bool) {
        self.arm(nth, spell);
        let result = call();
        // To look is to copy, too, so that what has not struck may strike now.
        let mut left = [0; 16];
        let struck = match self.nth.read_at(&mut left, 0) {
            Ok(len) => left[..len] == *b"0\n",
            Err(_) => false,
        };
        while self.nth.write_all_at(b"0", 0).is_err() {}
        if spell == Spell::Lasting {
            self.mark.write_all_at(b"0", 0).expect("make-it-fail");
        }
        (result, struck)
    }
}

fn open(path: &str) -> File {
    let file = File::options().read(true).write(true).open(path);
    file.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where the module's code is. (The length is that of code and data.)
fn text_of_module() -> (u64, u64) {
    let modules = fs::read_to_string("/proc/modules").expect("modules");
    let line = modules.lines().find(|line| line.starts_with("rsm "));
    let words: Vec<&str> = line.expect("the module").split(' ').collect();
    let start = words[5].trim_start_matches("0x");
    let start = u64::from_str_radix(start, 16).expect("an address");
    assert_ne!(start, 0, "addresses are hidden");
    (start, start + words[1].parse::<u64>().expect("a length"))
}

/// Where a function of the kernel's is.
fn text_of_function(name: &str) -> (u64, u64) {
    static SYMBOLS: LazyLock<String> =
        LazyLock::new(|| fs::read_to_string("/proc/kallsyms").expect("kallsyms"));
    let address = |line: &str| {
        let hex = line.split(' ').next().expect("an address");
        u64::from_str_radix(hex, 16).expect("an address")
    };
    let mut lines = SYMBOLS.lines();
    let found = lines.find(|line| line.split(' ').nth(2) == Some(name));
    let start = address(found.unwrap_or_else(|| panic!("no function {name}")));
    let end = lines.map(address).find(|&end| end > start);
    (start, end.expect("not the last"))
}
