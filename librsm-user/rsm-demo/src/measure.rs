// SPDX-License-Identifier: MIT OR Apache-2.0
//! Quantities: the clock, pinned memory, and how to write them down.

use std::fmt;
use std::fs;
use std::time::Duration;

use nix::time::{clock_gettime, ClockId};

/// Nanoseconds of the monotonic clock, comparable between processes.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock always runs");
    Duration::from(time).as_nanos() as u64
}

/// Bytes that this process has pinned, as the kernel counts them.
pub fn pinned() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    parse_pinned(&status).unwrap_or(u64::MAX)
}

fn parse_pinned(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPin:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// A number of bytes.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1024 => write!(f, "{} B", self.0),
            1024..1_048_576 => write!(f, "{:.1} KiB", self.0 as f64 / 1024.0),
            _ => write!(f, "{:.1} MiB", self.0 as f64 / 1_048_576.0),
        }
    }
}

/// A time span in nanoseconds.
pub struct Nanos(pub u64);

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{} ns", self.0),
            1_000..1_000_000 => write!(f, "{:.0} µs", self.0 as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} ms", self.0 as f64 / 1e6),
            _ => write!(f, "{:.2} s", self.0 as f64 / 1e9),
        }
    }
}

/// A rate.
pub struct Rate {
    pub bytes: u64,
    pub nanos: u64,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.bytes as f64 * 1e9 / self.nanos.max(1) as f64;
        write!(f, "{}/s", Bytes(per_second as u64))
    }
}

/// A number with its thousands set apart.
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.char_indices() {
            if i > 0 && (digits.len() - i) % 3 == 0 {
                write!(f, ",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(1536).to_string(), "1.5 KiB");
        assert_eq!(Bytes(64 << 20).to_string(), "64.0 MiB");
        assert_eq!(Nanos(999).to_string(), "999 ns");
        assert_eq!(Nanos(12_345).to_string(), "12 µs");
        assert_eq!(Nanos(1_500_000).to_string(), "1.5 ms");
        assert_eq!(Nanos(2_500_000_000).to_string(), "2.50 s");
        assert_eq!(Count(7).to_string(), "7");
        assert_eq!(Count(1_234_567).to_string(), "1,234,567");
        let rate = Rate {
            bytes: 10 << 20,
            nanos: 500_000_000,
        };
        assert_eq!(rate.to_string(), "20.0 MiB/s");
    }

    #[test]
    fn pinned_memory_is_found() {
        let status = "VmLck:\t       0 kB\nVmPin:\t  154892 kB\nVmHWM:\t 1 kB\n";
        assert_eq!(parse_pinned(status), Some(154_892 << 10));
        assert_eq!(parse_pinned("Name:\tx\n"), None);
    }
}
