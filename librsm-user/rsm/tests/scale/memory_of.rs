// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel memory that a process has caused to be allocated.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::holds_within;
use crate::common::process::in_child;

const ROOT: &str = "/sys/fs/cgroup";

/// A memory cgroup, to which the kernel charges what it allocates for those in it.
#[derive(Debug)]
struct Group {
    path: PathBuf,
}

impl Group {
    fn new(name: &str) -> Self {
        fs::write(Path::new(ROOT).join("cgroup.subtree_control"), "+memory").expect("+memory");
        let path = Path::new(ROOT).join(name);
        fs::create_dir(&path).expect("a new cgroup");
        Self { path }
    }

    /// Moves the calling process here.
    fn join(&self) {
        fs::write(self.path.join("cgroup.procs"), "0").expect("cgroup.procs");
    }

    /// Bytes of kernel memory. The kernel may leave some dozen pages per processor out.
    fn kernel_bytes(&self) -> u64 {
        let stat = fs::read_to_string(self.path.join("memory.stat")).expect("memory.stat");
        let line = stat.lines().find_map(|line| line.strip_prefix("kernel "));
        line.and_then(|number| number.parse().ok())
            .expect("a number of bytes")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty for the file system only when those in it have been reaped and are gone.
        let gone = holds_within(150, || fs::remove_dir(&self.path).is_ok());
        assert!(gone || std::thread::panicking(), "cannot remove the cgroup");
    }
}

/// Checks bytes of kernel memory that one of what `make` makes takes, in a process of its own.
/// `prepare` makes what is not to be counted. `copies` are made: they must take some MiB together,
/// so that it does not matter what the kernel leaves out.
#[track_caller]
pub fn assert_memory<P, T>(
    copies: usize,
    prepare: impl FnOnce() -> P,
    make: impl Fn(&P) -> T,
    check: impl FnOnce(u64),
) {
    let group = Group::new("rsm-test-memory");
    in_child(|| {
        group.join();
        let prepared = prepare();
        // What the first one needs by the way: page tables, say.
        drop(make(&prepared));
        let mut all = Vec::with_capacity(copies);
        let before = group.kernel_bytes();
        all.extend((0..copies).map(|_| make(&prepared)));
        let after = group.kernel_bytes();
        drop(all);
        check(after.saturating_sub(before) / copies as u64);
    });
}
