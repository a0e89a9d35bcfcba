// SPDX-License-Identifier: GPL-2.0

//! Runs of pages.

/// The pages from `first` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    first: u64,
    end: u64,
}

impl Span {
    /// The pages from `first` up to `end`.
    pub fn new(first: u64, end: u64) -> Self {
        Self { first, end }
    }

    /// The first page.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The first page beyond.
    pub fn end(self) -> u64 {
        self.end
    }

    /// The shortest run that holds both.
    pub fn join(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            end: self.end.max(other.end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_join_holds_both_and_no_more(a: u64, b: u64, c: u64, d: u64) {
            let joined = Span::new(a, b).join(Span::new(c, d));
            prop_assert_eq!(joined.first(), a.min(c));
            prop_assert_eq!(joined.end(), b.max(d));
        }
    }
}
