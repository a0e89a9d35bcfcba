// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many costs of one thing, and what they come to.

use serde::{Deserialize, Serialize};

/// Costs of one thing, measured again and again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Samples(Vec<u64>);

/// What samples come to. A median does not mind the rounds in which the kernel did something else
/// too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As many are above as below.
    pub median: u64,
    /// A quarter is below this.
    pub low: u64,
    /// A quarter is above this.
    pub high: u64,
    /// How many there are.
    pub rounds: usize,
}

impl Samples {
    /// Adds one.
    pub fn add(&mut self, cost: u64) {
        self.0.push(cost);
    }

    /// Adds all of another.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What they come to; `None` if there are none.
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = |part: usize| {
            sorted
                .get((sorted.len().checked_sub(1)?) * part / 4)
                .copied()
        };
        Some(Summary {
            median: at(2)?,
            low: at(1)?,
            high: at(3)?,
            rounds: sorted.len(),
        })
    }
}

impl Summary {
    /// Half of the samples lie within this part of the median above and below it, or less.
    pub fn spread(&self) -> f64 {
        let reach = (self.high - self.median).max(self.median - self.low);
        reach as f64 / self.median.max(1) as f64
    }

    /// How many times as much as `other` it is. Of nothing, everything is infinitely many times as
    /// much; and nothing just once.
    pub fn ratio(&self, other: &Summary) -> f64 {
        match (self.median, other.median) {
            (0, 0) => 1.0,
            (this, other) => this as f64 / other as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(costs: &[u64]) -> Option<Summary> {
        let mut samples = Samples::default();
        costs.iter().for_each(|&cost| samples.add(cost));
        samples.summary()
    }

    #[test]
    fn quartiles_are_samples() {
        assert_eq!(summary(&[]), None);
        let one = summary(&[7]).unwrap();
        assert_eq!((one.low, one.median, one.high, one.rounds), (7, 7, 7, 1));
        let five = summary(&[50, 10, 30, 20, 1_000_000]).unwrap();
        assert_eq!((five.low, five.median, five.high), (20, 30, 50));
    }

    #[test]
    fn the_spread_is_the_farther_quartile() {
        assert_eq!(summary(&[1, 10, 10, 10, 99]).unwrap().spread(), 0.0);
        let wide = summary(&[50, 90, 100, 140, 900]).unwrap();
        assert_eq!(wide.spread(), 0.4);
        assert_eq!(summary(&[0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn ratios_are_of_medians() {
        let (a, b) = (summary(&[30]).unwrap(), summary(&[20]).unwrap());
        assert_eq!(a.ratio(&b), 1.5);
        let nothing = summary(&[0]).unwrap();
        assert_eq!(nothing.ratio(&nothing), 1.0);
        assert!(a.ratio(&nothing).is_infinite());
    }
}
