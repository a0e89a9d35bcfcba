// SPDX-License-Identifier: MIT OR Apache-2.0
//! Settings of the kernel that a test changes and that are what they were afterwards.

use std::fs;
use std::path::{Path, PathBuf};

/// A setting that is changed until this is dropped.
#[derive(Debug)]
pub struct Knob {
    path: PathBuf,
    before: String,
}

impl Knob {
    #[track_caller]
    pub fn set(path: impl Into<PathBuf>, value: impl ToString) -> Self {
        let path = path.into();
        let before = fs::read_to_string(&path);
        let before = before.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let knob = Self {
            path,
            before: before.trim().to_owned(),
        };
        knob.turn(value);
        knob
    }

    /// A parameter of the module.
    #[track_caller]
    pub fn parameter(name: &str, value: impl ToString) -> Self {
        Self::set(format!("/sys/module/rsm/parameters/{name}"), value)
    }

    /// Keeps the kernel from taking access to memory away for moments, to see which node uses it.
    /// `None` if it never does.
    #[track_caller]
    pub fn no_numa_balancing() -> Option<Self> {
        let path = Path::new("/proc/sys/kernel/numa_balancing");
        path.exists().then(|| Self::set(path, 0))
    }

    /// Changes it again.
    #[track_caller]
    pub fn turn(&self, value: impl ToString) {
        let result = fs::write(&self.path, value.to_string());
        result.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }
}

impl Drop for Knob {
    fn drop(&mut self) {
        let result = fs::write(&self.path, &self.before);
        if !std::thread::panicking() {
            result.unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        }
    }
}
