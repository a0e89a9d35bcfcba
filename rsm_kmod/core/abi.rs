// SPDX-License-Identifier: GPL-2.0

//! Which structures of the ioctl interface are understood. They grow at their end: callers may have
//! been built with an older or a newer header than the module.
//!
//! | structure | |
//! |---|---|
//! | shorter than its first version | `EINVAL` |
//! | says of itself another size than the command | `EINVAL` |
//! | longer than known here, and what is not known is not all zero | `E2BIG` |
//! | shorter than known here | what is missing is zero |
//! | has a bit in a flag or reserved member that is not known | `EOPNOTSUPP` |

use core::ops::{BitAnd, Not};

/// How much of a structure there is to read, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Bytes that both sides know.
    pub common: usize,
    /// Bytes behind them that have to be zero.
    pub tail: usize,
}

/// How a structure of `given` bytes is read where `known` are known and the first version had
/// `least`; `None` if it is too short.
#[inline(always)]
pub fn lengths(given: usize, known: usize, least: usize) -> Option<Lengths> {
    if given < least {
        return None;
    }
    Some(Lengths {
        common: given.min(known),
        tail: given.saturating_sub(known),
    })
}

/// Whether a structure says of itself that it has the size that the command gives.
#[inline(always)]
pub fn says_its_size(says: u32, given: usize) -> bool {
    says as usize == given
}

/// Whether a flag or reserved member has no bits but `known` ones.
#[inline(always)]
pub fn only_known<T>(value: T, known: T) -> bool
where
    T: BitAnd<Output = T> + Not<Output = T> + Default + PartialEq,
{
    value & !known == T::default()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// A structure is understood if and only if there is one of the known size that means the
        /// same: that, cut or filled up with zeros to the caller's length, is what the caller gave.
        #[test]
        fn what_is_read_means_what_was_given(
            given in proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..48),
            least in 8usize..24,
            more in 0usize..16,
        ) {
            let known = least + more;
            match lengths(given.len(), known, least) {
                None => prop_assert!(given.len() < least),
                Some(Lengths { common, tail }) => {
                    prop_assert!(given.len() >= least && common <= known);
                    prop_assert_eq!(common + tail, given.len());
                    let mut read: Vec<u8> = given[..common].to_vec();
                    read.resize(known, 0);
                    let mut back = read.clone();
                    back.resize(given.len(), 0);
                    let understood = given[common..].iter().all(|&byte| byte == 0);
                    prop_assert_eq!(back == given, understood);
                    prop_assert!(tail == 0 || common == known);
                }
            }
        }

        #[test]
        fn no_unknown_bit_passes(value: u64, known: u64) {
            let unknown = (0..64).any(|bit| (value >> bit) & 1 == 1 && (known >> bit) & 1 == 0);
            prop_assert_eq!(only_known(value, known), !unknown);
        }

        #[test]
        fn sizes_agree(says: u32, given in 0usize..1 << 14) {
            prop_assert_eq!(says_its_size(says, given), says as u64 == given as u64);
            prop_assert!(says_its_size(given as u32, given));
        }
    }
}
