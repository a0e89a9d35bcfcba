// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel has allocated.

use anyhow::{Context, Result};

/// Bytes of memory that the kernel has allocated for its own objects.
pub fn kernel_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let kib = ["Slab:", "VmallocUsed:"].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    let kib: Option<u64> = kib.into_iter().sum();
    Ok(kib.context("Slab and VmallocUsed in /proc/meminfo")? << 10)
}
