// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which accelerator a guest runs on.
//!
//! TCG works everywhere. KVM is used only where it has been seen to work: a
//! `/dev/kvm` that opens and even creates a machine may still never bring a
//! guest to its first line. So KVM is tried once per boot of this machine, with
//! the kernel at hand and for a few seconds at most, and the answer is kept.

use anyhow::{bail, Result};
use std::path::{Path, PathBuf};

/// How QEMU executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// Translation in software.
    Tcg,
    /// The processor's own virtualisation.
    Kvm,
    /// Translation in software of one processor whose clock counts instructions: a nanosecond each.
    Icount,
}

impl std::fmt::Display for Accel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Accel::Tcg => "tcg",
            Accel::Kvm => "kvm",
            Accel::Icount => "icount",
        })
    }
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// KVM if a probe boot succeeds, else TCG.
    Auto,
    /// TCG.
    Tcg,
    /// KVM, or an error.
    Kvm,
    /// TCG with one processor, whose clock counts instructions.
    Icount,
}

/// The answer, and how it came about.
#[derive(Debug)]
pub struct Answer {
    /// What to use.
    pub accel: Accel,
    /// Why, in a few words.
    pub reason: String,
}

/// Decides. `probe` boots a guest under KVM and says whether it came up.
pub fn choose(
    choice: Choice,
    cache: Option<&Path>,
    probe: impl FnOnce() -> std::result::Result<(), String>,
) -> Result<Answer> {
    let answer = |accel, reason: String| Ok(Answer { accel, reason });
    match choice {
        Choice::Tcg => return answer(Accel::Tcg, "asked for".into()),
        Choice::Icount => return answer(Accel::Icount, "asked for".into()),
        Choice::Kvm => {
            if let Err(error) = open_device() {
                bail!("KVM was asked for, but /dev/kvm cannot be opened: {error}");
            }
            return answer(Accel::Kvm, "asked for".into());
        }
        Choice::Auto => {}
    }
    if let Err(error) = open_device() {
        return answer(Accel::Tcg, format!("/dev/kvm: {error}"));
    }
    let kept = cache.and_then(answer_file);
    if let Some(text) = kept
        .as_ref()
        .and_then(|file| std::fs::read_to_string(file).ok())
    {
        return match text.trim().split_once(' ') {
            Some(("kvm", reason)) => answer(Accel::Kvm, reason.to_string()),
            Some((_, reason)) => answer(Accel::Tcg, reason.to_string()),
            None => answer(Accel::Tcg, "an earlier probe".into()),
        };
    }
    let (accel, reason) = match probe() {
        Ok(()) => (Accel::Kvm, "a probe boot under KVM succeeded".to_string()),
        Err(problem) => (
            Accel::Tcg,
            format!("a probe boot under KVM failed: {problem}"),
        ),
    };
    if let Some(file) = kept {
        // Written whole or not at all: another run may read it now. If it cannot
        // be kept, the next run probes again.
        let unique = std::time::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_nanos();
        let draft = file.with_extension(unique.to_string());
        let _ = std::fs::write(&draft, format!("{accel} {}\n", reason.replace('\n', " ")))
            .and_then(|()| std::fs::rename(&draft, &file));
    }
    answer(accel, reason)
}

/// The file that keeps the answer while this machine is up.
fn answer_file(cache: &Path) -> Option<PathBuf> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(cache.join(format!("kvm-probe-{}", boot.trim())))
}

fn open_device() -> std::io::Result<()> {
    std::fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcg_is_never_probed() {
        let answer = choose(Choice::Tcg, None, || panic!("probed")).unwrap();
        assert_eq!(answer.accel, Accel::Tcg);
    }

    #[test]
    fn a_failed_probe_means_tcg_and_is_kept() {
        if open_device().is_err() {
            return; // Nothing to probe on this machine.
        }
        let cache = std::env::temp_dir().join(format!("rsm-vm-accel-{}", std::process::id()));
        std::fs::create_dir_all(&cache).unwrap();
        let first = choose(Choice::Auto, Some(&cache), || Err("silence".into())).unwrap();
        assert_eq!(first.accel, Accel::Tcg);
        assert!(first.reason.contains("silence"));
        let second = choose(Choice::Auto, Some(&cache), || panic!("probed again")).unwrap();
        assert_eq!(second.accel, Accel::Tcg);
        assert!(second.reason.contains("silence"));
        std::fs::remove_dir_all(&cache).unwrap();
    }
}
