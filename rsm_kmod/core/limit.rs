// SPDX-License-Identifier: GPL-2.0

//! Limits that the administrator sets: what is allowed of a number that goes up and down.

/// The value of a limit after adding `add` to `now`; `None` if that is more than `most` allows. A
/// limit of 0 allows everything that can be counted.
pub fn raised(now: u64, add: u64, most: u64) -> Option<u64> {
    let new = now.checked_add(add)?;
    (most == 0 || new <= most).then_some(new)
}

/// The smaller of two limits, of which 0 means none.
pub fn stricter(a: u64, b: u64) -> u64 {
    match (a, b) {
        (0, other) | (other, 0) => other,
        (a, b) => a.min(b),
    }
}

/// A limit as it is shown to users: no limit is the largest number.
pub fn shown(limit: u64) -> u64 {
    match limit {
        0 => u64::MAX,
        limit => limit,
    }
}

/// Pages that a percentage of the machine's memory is; 0, which is no limit, for 0. At least one
/// page otherwise.
pub fn percent_of(percent: u64, total: u64) -> u64 {
    match percent {
        0 => 0,
        percent => {
            let percent = percent.min(100);
            // In two parts, so that nothing overflows.
            let whole = (total / 100).wrapping_mul(percent);
            let rest = (total % 100).wrapping_mul(percent) / 100;
            whole.wrapping_add(rest).max(1)
        }
    }
}

/// Pages that a limit in bytes allows; 0, which is no limit, for 0. At least one page otherwise.
pub fn pages_of(bytes: u64, page_size: u64) -> u64 {
    match bytes {
        0 => 0,
        bytes => (bytes / page_size.max(1)).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_no_limit() {
        assert_eq!(raised(7, 5, 0), Some(12));
        assert_eq!(raised(u64::MAX, 1, 0), None);
        assert_eq!(stricter(0, 0), 0);
        assert_eq!(stricter(0, 9), 9);
        assert_eq!(stricter(9, 0), 9);
        assert_eq!(stricter(3, 9), 3);
        assert_eq!(percent_of(0, 1000), 0);
        assert_eq!(pages_of(0, 4096), 0);
        assert_eq!(shown(0), u64::MAX);
        assert_eq!(shown(5), 5);
    }

    #[test]
    fn shares_of_memory() {
        assert_eq!(percent_of(50, 1000), 500);
        assert_eq!(percent_of(100, 1000), 1000);
        assert_eq!(percent_of(250, 1000), 1000);
        assert_eq!(percent_of(1, 10), 1);
        assert_eq!(percent_of(100, u64::MAX), u64::MAX);
        assert_eq!(pages_of(8192, 4096), 2);
        assert_eq!(pages_of(1, 4096), 1);
    }

    proptest! {
        #[test]
        fn shares_are_exact(percent in 1u64..=100, total: u64) {
            let exact = (total as u128 * percent as u128 / 100).max(1) as u64;
            prop_assert_eq!(percent_of(percent, total), exact);
        }

        #[test]
        fn never_above_the_limit(now: u64, add: u64, most in 1u64..) {
            match raised(now, add, most) {
                Some(new) => prop_assert!(new <= most && new == now + add),
                None => prop_assert!(now as u128 + add as u128 > most as u128),
            }
        }
    }
}
