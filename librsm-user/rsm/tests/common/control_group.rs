// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control groups with a limit of memory.

use std::fs;
use std::path::PathBuf;

const ROOT: &str = "/sys/fs/cgroup";

/// A group of processes, which must be gone when it is dropped.
#[derive(Debug)]
pub struct Group {
    path: PathBuf,
}

impl Group {
    pub fn new(name: &str) -> Self {
        fs::write(format!("{ROOT}/cgroup.subtree_control"), "+memory").expect("controllers");
        let path = PathBuf::from(format!("{ROOT}/{name}"));
        fs::create_dir(&path).expect("mkdir");
        Self { path }
    }

    fn set(&self, file: &str, value: &str) {
        let result = fs::write(self.path.join(file), value);
        result.unwrap_or_else(|error| panic!("{file}: {value}: {error}"));
    }

    /// Most bytes that its processes may have, or "max".
    pub fn limit(&self, bytes: impl ToString) {
        self.set("memory.max", &bytes.to_string());
    }

    /// Puts the calling process into it.
    pub fn enter(&self) {
        self.set("cgroup.procs", "0");
    }

    /// Bytes that its processes have.
    pub fn current(&self) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.current")).expect("memory.current");
        text.trim().parse().expect("a number")
    }

    /// How often something has happened: "max" (at the limit), "oom_kill".
    pub fn events(&self, what: &str) -> u64 {
        let text = fs::read_to_string(self.path.join("memory.events")).expect("memory.events");
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, count) = lines.find(|(name, _)| *name == what).expect("an event");
        count.parse().expect("a number")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process may still be about to go.
        let gone = super::holds_within(150, || fs::remove_dir(&self.path).is_ok());
        assert!(gone || std::thread::panicking(), "cannot remove the group");
    }
}
