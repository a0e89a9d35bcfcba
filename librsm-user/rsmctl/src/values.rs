// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of arguments, from text.

use std::time::Duration;

use rsm::{AccessEntry, NodeId, SegmentId};

/// Ids that publishers may choose.
const CHOSEN: std::ops::RangeInclusive<u32> = 0x40_0000..=0x7fff_ffff;

/// A number in decimal, or hexadecimal with 0x.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // No signs, which the standard library would take.
    let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    plain
        .then(|| u64::from_str_radix(digits, radix).ok())
        .flatten()
}

/// A segment id that may be published.
pub fn id(text: &str) -> Result<SegmentId, String> {
    match number(text).map(u32::try_from) {
        Some(Ok(0)) => Err("no segment has the id 0".into()),
        Some(Ok(id)) => Ok(SegmentId::new(id)),
        Some(Err(_)) => Err("ids have 32 bits: at most 0xffffffff".into()),
        None => Err("write it in decimal, or in hexadecimal with 0x, as `rsmctl list` does".into()),
    }
}

/// A segment id that a publisher may choose.
pub fn chosen_id(text: &str) -> Result<SegmentId, String> {
    match id(text)? {
        id if CHOSEN.contains(&id.get()) => Ok(id),
        _ => Err(
            "ids of one's own choice are 0x400000 to 0x7fffffff; leave --id out to get one".into(),
        ),
    }
}

/// A number of bytes: a number, and K, M, G or T.
pub fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let plain = text.strip_suffix("iB").unwrap_or(text);
    let unit = UNITS.iter().find_map(|&(letter, shift)| {
        Some((
            plain.strip_suffix([letter, letter.to_ascii_lowercase()])?,
            shift,
        ))
    });
    let (digits, shift) = match unit {
        Some(found) => found,
        None if plain == text => (text, 0),
        None => return Err("the units are K, M, G and T".into()),
    };
    let number = number(digits)
        .ok_or("a number of bytes, in decimal or hexadecimal, perhaps with K, M, G or T")?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "more than 64 bits can hold".into())
}

/// A time: seconds, perhaps with decimals, or with ms, s, m or h.
pub fn time(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (digits, unit) = UNITS
        .iter()
        .find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, 1.0));
    let plain = digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let seconds: Option<f64> = plain.then(|| digits.parse().ok()).flatten();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds * unit).ok())
        .ok_or_else(|| "a time such as 5, 1.5s, 200ms, 2m or 1h".into())
}

/// As [`time`], but some.
pub fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("not 0".into()),
        time => Ok(time),
    }
}

/// The mode of an access list: three octal digits of read (4) and write (2).
pub fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let plain = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(8));
    let mode = plain.then(|| u32::from_str_radix(digits, 8).ok()).flatten();
    match mode {
        Some(mode) if mode & !0o666 == 0 => Ok(mode),
        Some(mode) if mode <= 0o777 => Err(format!(
            "segments know reading (4) and writing (2) only: did you mean {:04o}?",
            mode & 0o666
        )),
        _ => Err("three octal digits for user, group and others, such as 0640".into()),
    }
}

/// An entry of an access list: node and mode.
pub fn access(text: &str) -> Result<AccessEntry, String> {
    let (node, digits) = text
        .split_once(':')
        .ok_or("a node and a mode, such as 0:0640")?;
    let node = number(node)
        .and_then(|node| u32::try_from(node).ok())
        .filter(|&node| node <= 64)
        .ok_or("nodes are 0 to 64")?;
    Ok(AccessEntry::new(NodeId::new(node), mode(digits)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert_eq!(id("4194304"), Ok(SegmentId::new(0x40_0000)));
        assert_eq!(id("0x400000"), id("0X400000"));
        assert_eq!(id("0xffffffff"), Ok(SegmentId::new(u32::MAX)));
        for bad in [
            "",
            "0",
            "0x0",
            "0x",
            "+5",
            "-5",
            "0x-5",
            "5 ",
            "abc",
            "0x100000000",
            "1e6",
        ] {
            assert!(id(bad).is_err(), "{bad}");
        }
        assert!(chosen_id("0x7fffffff").is_ok());
        for bad in ["0x3fffff", "0x80000000"] {
            assert!(chosen_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, number) in [
            ("0", 0),
            ("4096", 4096),
            ("0x1000", 4096),
            ("4K", 4096),
            ("4k", 4096),
            ("4KiB", 4096),
            ("2M", 2 << 20),
            ("3GiB", 3 << 30),
            ("1T", 1 << 40),
        ] {
            assert_eq!(bytes(text), Ok(number), "{text}");
        }
        for bad in ["", "K", "4iB", "4KB", "1.5M", "-1", "16777216T", "4 K"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times() {
        for (text, ms) in [
            ("5", 5000),
            ("0", 0),
            ("1.5s", 1500),
            ("200ms", 200),
            ("2m", 120_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "s",
            "-1",
            "+1",
            "1.2.3",
            "inf",
            "nan",
            "1e3",
            "5 s",
            "1d",
            &"9".repeat(40),
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(some_time("0ms").is_err() && some_time("1ms").is_ok());
    }

    #[test]
    fn modes() {
        for text in ["0640", "640", "0o640"] {
            assert_eq!(mode(text), Ok(0o640));
        }
        assert_eq!(mode("0"), Ok(0));
        assert!(mode("0755").unwrap_err().contains("0644"));
        for bad in ["", "0o", "648", "1640", "rw", "+640", "-1"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn access_entries() {
        let entry = access("3:0640").unwrap();
        assert_eq!((entry.node().get(), entry.mode()), (3, 0o640));
        for bad in ["0640", ":0640", "0:", "65:0640", "0:0777", "a:0640"] {
            assert!(access(bad).is_err(), "{bad}");
        }
    }
}
