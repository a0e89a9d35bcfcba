// SPDX-License-Identifier: MIT OR Apache-2.0
//! Something that was to be reached, and whether it was.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The less the better.
    AtMost,
    /// The more the better.
    AtLeast,
}

/// A target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Of what.
    pub name: String,
    /// Which way.
    pub bound: Bound,
    /// How far.
    pub limit: f64,
    /// What was measured; none if it was not.
    pub value: Option<f64>,
}

impl Verdict {
    /// Whether it was reached. What was not measured was not.
    pub fn met(&self) -> bool {
        self.value.is_some_and(|value| match self.bound {
            Bound::AtMost => value <= self.limit,
            Bound::AtLeast => value >= self.limit,
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = f.width().unwrap_or(0);
        let bound = match self.bound {
            Bound::AtMost => "at most ",
            Bound::AtLeast => "at least",
        };
        let value = self.value.map_or("–".to_owned(), shown);
        let verdict = match (self.value, self.met()) {
            (None, _) => "not measured",
            (_, true) => "met",
            (_, false) => "MISSED",
        };
        let (name, limit) = (&self.name, shown(self.limit));
        write!(
            f,
            "{name:width$}  {value:>11}  {bound} {limit:>9}  {verdict}"
        )
    }
}

/// Costs as they are, ratios with the digits that matter.
fn shown(value: f64) -> String {
    if value.fract() == 0.0 {
        super::grouped(value as u64)
    } else if value < 0.1 {
        format!("{value:.4}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bound: Bound, value: Option<f64>) -> Verdict {
        Verdict {
            name: "x".into(),
            bound,
            limit: 2.0,
            value,
        }
    }

    #[test]
    fn bounds_are_inclusive() {
        assert!(verdict(Bound::AtMost, Some(2.0)).met());
        assert!(!verdict(Bound::AtMost, Some(2.001)).met());
        assert!(verdict(Bound::AtLeast, Some(2.0)).met());
        assert!(!verdict(Bound::AtLeast, Some(1.999)).met());
    }

    #[test]
    fn what_was_not_measured_was_not_met() {
        let unknown = verdict(Bound::AtMost, None);
        assert!(!unknown.met());
        assert!(unknown.to_string().ends_with("not measured"));
        assert!(verdict(Bound::AtMost, Some(3.0))
            .to_string()
            .ends_with("MISSED"));
    }
}
