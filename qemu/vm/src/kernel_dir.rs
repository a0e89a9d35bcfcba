// SPDX-License-Identifier: MIT OR Apache-2.0
//! A directory with a kernel ready to boot, as `scripts/kernel` makes it:
//! `vmlinuz`, `release` (as `uname -r` prints it) and `kind`.

use anyhow::{bail, Context, Result};
use std::path::{Path, PathBuf};

/// What a kernel was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As the distribution ships it.
    Stock,
    /// With the checkers on; slow.
    Debug,
}

impl Kind {
    /// The word in the file `kind`, and in the guest's `RSM_KERNEL_KIND`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Stock => "stock",
            Kind::Debug => "debug",
        }
    }
}

/// A prepared kernel.
#[derive(Debug, Clone)]
pub struct KernelDir {
    /// The directory.
    pub path: PathBuf,
    /// The file to boot.
    pub image: PathBuf,
    /// As `uname -r` prints it.
    pub release: String,
    /// What it was built for.
    pub kind: Kind,
}

impl KernelDir {
    /// Looks at `path`; says which part is missing.
    pub fn open(path: &Path) -> Result<KernelDir> {
        let read = |name: &str| -> Result<String> {
            let file = path.join(name);
            let text = std::fs::read_to_string(&file).with_context(|| {
                format!(
                    "{} is not a prepared kernel: {name} cannot be read",
                    path.display()
                )
            })?;
            Ok(text.trim().to_string())
        };
        let kind = match read("kind")?.as_str() {
            "stock" => Kind::Stock,
            "debug" => Kind::Debug,
            other => bail!("{}/kind says {other:?}, not stock or debug", path.display()),
        };
        let image = path.join("vmlinuz");
        if !image.is_file() {
            bail!("{} is not a prepared kernel: no vmlinuz", path.display());
        }
        Ok(KernelDir {
            path: path.to_path_buf(),
            image,
            release: read("release")?,
            kind,
        })
    }
}
