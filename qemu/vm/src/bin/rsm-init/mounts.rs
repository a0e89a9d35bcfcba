// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the bare initial root look like a running system.

use nix::errno::Errno;
use nix::mount::{mount, MsFlags};

/// File system, place, options, and whether every kernel must have it.
const MOUNTS: &[(&str, &str, &str, bool)] = &[
    ("proc", "/proc", "", true),
    ("sysfs", "/sys", "", true),
    ("devtmpfs", "/dev", "mode=0755", true),
    ("devpts", "/dev/pts", "mode=0620,ptmxmode=0666", false),
    ("tmpfs", "/dev/shm", "mode=1777", true),
    ("tmpfs", "/tmp", "mode=1777", true),
    ("tmpfs", "/run", "mode=0755", true),
    ("debugfs", "/sys/kernel/debug", "mode=0755", false),
    ("tracefs", "/sys/kernel/tracing", "", false),
    ("cgroup2", "/sys/fs/cgroup", "", false),
];

/// Mounts everything; gives what is missing.
pub fn mount_all() -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, place, options, needed) in MOUNTS {
        let _ = std::fs::create_dir_all(place);
        let options = (!options.is_empty()).then_some(*options);
        match mount(Some(*kind), *place, Some(*kind), MsFlags::empty(), options) {
            Ok(()) => {}
            // Kernels with an initial devtmpfs may have it in place already.
            Err(Errno::EBUSY) => {}
            Err(Errno::ENODEV | Errno::ENOENT) if !needed => {}
            Err(error) => problems.push(format!("cannot mount {kind} on {place}: {error}")),
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        let _ = std::os::unix::fs::symlink(target, link);
    }
    problems
}
