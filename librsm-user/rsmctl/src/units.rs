// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers for people.

use std::time::Duration;

/// Bytes in the largest unit of which there is one, with one decimal where it is not exact.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let exponent = (bytes.ilog2() / 10).min(6);
    let unit = 1_u64 << (10 * exponent);
    let name = UNITS[exponent as usize - 1];
    if bytes % unit == 0 {
        format!("{} {name}", bytes / unit)
    } else {
        // Rounded down: less than there is, never more.
        let tenths = u128::from(bytes) * 10 / u128::from(unit);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A number with its noun: `1 segment`, `2 segments`.
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Microseconds, as milliseconds or seconds where there are that many.
pub fn microseconds(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// A time limit.
pub fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1025, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (12288, "12 KiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (64 << 20, "64 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn nouns_and_times() {
        assert_eq!(count(0, "segment"), "0 segments");
        assert_eq!(count(1, "segment"), "1 segment");
        assert_eq!(microseconds(64), "64 µs");
        assert_eq!(microseconds(1024), "1.0 ms");
        assert_eq!(microseconds(4 << 20), "4.2 s");
        assert_eq!(seconds(Duration::from_millis(250)), "0.25 s");
    }
}
