// SPDX-License-Identifier: GPL-2.0

//! Sets of small numbers, a bit each. Numbers beyond the end are in no set.

/// Puts `number` into the set.
pub fn set(words: &mut [u64], number: usize) {
    if let Some(word) = words.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}

/// Takes `number` out of the set.
pub fn clear(words: &mut [u64], number: usize) {
    if let Some(word) = words.get_mut(number / 64) {
        *word &= !(1 << (number % 64));
    }
}

/// The smallest number that is in the set.
pub fn first_set(words: &[u64]) -> Option<usize> {
    let word = words.iter().position(|&word| word != 0)?;
    Some(word * 64 + words.get(word)?.trailing_zeros() as usize)
}

/// The smallest number that is not in the set.
pub fn first_clear(words: &[u64]) -> Option<usize> {
    let word = words.iter().position(|&word| word != u64::MAX)?;
    Some(word * 64 + words.get(word)?.trailing_ones() as usize)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// What a set of numbers from the library does.
        #[test]
        fn is_a_set(changes in prop::collection::vec((0usize..200, any::<bool>()), 0..400)) {
            let mut words = [0; 3];
            let mut model = BTreeSet::new();
            for (number, add) in changes {
                if add {
                    set(&mut words, number);
                    model.extend(Some(number).filter(|&number| number < 192));
                } else {
                    clear(&mut words, number);
                    model.remove(&number);
                }
                prop_assert_eq!(first_set(&words), model.first().copied());
                let missing = (0..192).find(|number| !model.contains(number));
                prop_assert_eq!(first_clear(&words), missing);
            }
        }
    }

    #[test]
    fn the_ends() {
        assert_eq!(first_set(&[]), None);
        assert_eq!(first_clear(&[]), None);
        assert_eq!(first_clear(&[u64::MAX; 2]), None);
        assert_eq!(first_set(&[0, 1 << 63]), Some(127));
    }
}
