// SPDX-License-Identifier: GPL-2.0

//! Buckets for durations.

/// Number of buckets.
pub const BUCKETS: usize = 24;

/// The bucket of a duration: bucket 0 is below one microsecond, bucket n below 2^n microseconds, and
/// the last one everything above.
pub fn bucket(nanoseconds: u64) -> usize {
    let microseconds = nanoseconds / 1000;
    let bits = u64::BITS - microseconds.leading_zeros();
    (bits as usize).min(BUCKETS - 1)
}

/// The duration in microseconds that those of a bucket are below; `None` for the last one.
pub fn below(bucket: usize) -> Option<u64> {
    (bucket + 1 < BUCKETS).then(|| 1 << bucket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn borders() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(999), 0);
        assert_eq!(bucket(1000), 1);
        assert_eq!(bucket(1999), 1);
        assert_eq!(bucket(2000), 2);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(below(0), Some(1));
        assert_eq!(below(BUCKETS - 1), None);
    }

    proptest! {
        #[test]
        fn each_duration_is_in_its_bucket(nanoseconds: u64) {
            let bucket = bucket(nanoseconds);
            if let Some(limit) = below(bucket) {
                prop_assert!(nanoseconds / 1000 < limit);
            }
            if bucket > 0 {
                prop_assert!(nanoseconds / 1000 >= below(bucket - 1).unwrap());
            }
        }
    }
}
