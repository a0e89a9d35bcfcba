// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes the guest's initial root: process 1, busybox, the plan, modules,
//! programs and files, as one cpio archive in memory.
//!
//! The archive lives in a memfd that QEMU inherits, so that nothing is left
//! behind however the run ends. It is made anew for each run: that takes
//! milliseconds, and nothing can be out of date.

use crate::cpio::Archive;
use crate::plan::{self, Plan};
use anyhow::{bail, ensure, Context, Result};
use nix::sys::memfd::{memfd_create, MFdFlags};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the host that goes into the guest.
#[derive(Debug, Clone)]
pub struct Import {
    /// Where it is here.
    pub from: PathBuf,
    /// Where it shall be there, absolute.
    pub to: String,
}

/// Everything that goes into the archive.
#[derive(Debug)]
pub struct GuestRoot<'a> {
    /// Process 1.
    pub init: &'a Path,
    /// The statically linked busybox, for the shell and for tests that use its tools.
    pub busybox: Option<&'a Path>,
    /// What process 1 shall do.
    pub plan: &'a Plan,
    /// Modules, programs and other files.
    pub imports: &'a [Import],
}

const DIRECTORIES: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "tmp",
    "root",
    "etc",
    "bin",
    "run",
    "rsm",
    "rsm/bin",
    "rsm/modules",
];

/// Users for tests that need more than one; numbers work as well.
const PASSWD: &str = "\
root:x:0:0:root:/tmp:/bin/sh
alice:x:1000:1000:alice:/tmp:/bin/sh
bob:x:1001:1001:bob:/tmp:/bin/sh
carol:x:1002:1002:carol:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/tmp:/bin/sh
";
const GROUP: &str = "root:x:0:\nalice:x:1000:\nbob:x:1001:\ncarol:x:1002:\nnogroup:x:65534:\n";

impl GuestRoot<'_> {
    /// Writes the archive. The descriptor stays open across exec.
    pub fn build(&self) -> Result<File> {
        let memory = memfd_create(c"rsm-initramfs", MFdFlags::empty()).context("memfd_create")?;
        let mut archive = Archive::new(BufWriter::with_capacity(1 << 20, File::from(memory)));
        let mut present: BTreeSet<String> = BTreeSet::new();
        for directory in DIRECTORIES {
            archive.directory(directory, 0o755)?;
            present.insert(directory.to_string());
        }
        // Process 1 finds its standard streams here before it mounts anything.
        archive.device("dev/console", 0o600, (5, 1))?;
        archive.device("dev/null", 0o666, (1, 3))?;
        archive.file("etc/passwd", 0o644, PASSWD.as_bytes())?;
        archive.file("etc/group", 0o644, GROUP.as_bytes())?;
        let plan_path = plan::PATH.trim_start_matches('/');
        archive.file(plan_path, 0o644, self.plan.to_text().as_bytes())?;
        add(&mut archive, self.init, "init")?;
        if let Some(busybox) = self.busybox {
            add(&mut archive, busybox, "bin/busybox")?;
            for tool in tools_of(busybox)? {
                archive.link(&format!("bin/{tool}"), "busybox")?;
            }
        }
        for import in self.imports {
            let name = import.to.trim_start_matches('/');
            for directory in parents(name) {
                if present.insert(directory.to_string()) {
                    archive.directory(directory, 0o755)?;
                }
            }
            ensure!(
                present.insert(name.to_string()),
                "two files would both be {} in the guest",
                import.to
            );
            add(&mut archive, &import.from, name)?;
        }
        let mut file = archive.finish()?.into_inner().context("guest root")?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// The names that busybox answers to.
fn tools_of(busybox: &Path) -> Result<Vec<String>> {
    let output = Command::new(busybox)
        .arg("--list")
        .output()
        .with_context(|| format!("cannot run {}", busybox.display()))?;
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_string)
        .collect())
}

/// The directories above `name`, outermost first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

/// Adds a file of the host; its permission to execute goes with it.
fn add(archive: &mut Archive<BufWriter<File>>, from: &Path, name: &str) -> Result<()> {
    let open = || -> Result<(File, std::fs::Metadata)> {
        let file = File::open(from)?;
        let metadata = file.metadata()?;
        ensure!(metadata.is_file(), "not a file");
        Ok((file, metadata))
    };
    let (file, metadata) = open().with_context(|| format!("cannot read {}", from.display()))?;
    let permissions = {
        use std::os::unix::fs::PermissionsExt;
        if metadata.permissions().mode() & 0o111 != 0 {
            0o755
        } else {
            0o644
        }
    };
    archive
        .stream(name, permissions, metadata.len(), file)
        .with_context(|| format!("cannot pack {}", from.display()))
}

/// Refuses a program that needs a dynamic linker: the guest has none, and the
/// kernel would only say "No such file or directory".
pub fn check_static(program: &Path) -> Result<()> {
    let mut file =
        File::open(program).with_context(|| format!("cannot read {}", program.display()))?;
    let mut start = Vec::new();
    file.by_ref().take(1 << 16).read_to_end(&mut start)?;
    if needs_interpreter(&start) {
        bail!(
            "{} is dynamically linked; build it with RUSTFLAGS=-Ctarget-feature=+crt-static",
            program.display()
        );
    }
    Ok(())
}

/// Whether an ELF file that begins with `start` names a program interpreter.
fn needs_interpreter(start: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = start.get(at..at + length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |sum, &byte| (sum << 8) | byte as usize),
        )
    };
    let look = || -> Option<bool> {
        if !start.starts_with(b"\x7fELF") {
            return Some(false);
        }
        // ELF64 and ELF32: offset, size and number of the program headers.
        let (at, size, count) = if start.get(4) == Some(&2) {
            (number(32, 8)?, number(54, 2)?, number(56, 2)?)
        } else {
            (number(28, 4)?, number(42, 2)?, number(44, 2)?)
        };
        let kinds = (0..count).filter_map(|n| number(at + n * size, 4));
        Some(kinds.into_iter().any(|kind| kind == PT_INTERP as usize))
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_outermost_first() {
        assert_eq!(parents("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(parents("a").count(), 0);
    }

    #[test]
    fn interpreters_are_seen() {
        let mut elf = vec![0u8; 64 + 2 * 56];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        elf[32] = 64;
        elf[54] = 56;
        elf[56] = 2;
        elf[64] = 1;
        elf[64 + 56] = 6;
        assert!(!needs_interpreter(&elf));
        elf[64 + 56] = 3;
        assert!(needs_interpreter(&elf));
        assert!(!needs_interpreter(b"#!/bin/sh\n"));
        assert!(!needs_interpreter(b"\x7fELF"));
    }

    #[test]
    fn one_name_cannot_hold_two_files() {
        let plan = Plan::default();
        let import = Import {
            from: "/proc/self/exe".into(),
            to: "/rsm/bin/x".into(),
        };
        let twice = [import.clone(), import];
        let root = GuestRoot {
            init: Path::new("/proc/self/exe"),
            busybox: None,
            plan: &plan,
            imports: &twice,
        };
        assert!(root.build().unwrap_err().to_string().contains("/rsm/bin/x"));
    }
}
