// SPDX-License-Identifier: MIT OR Apache-2.0
//! How things are measured, whatever they are.

mod clock;
mod report;
mod samples;
mod settle;
mod table;
mod verdict;

pub use clock::{Clock, Unit};
pub use report::{Figure, Report, Row};
pub use samples::Samples;
pub use settle::settle;
pub use table::grouped;
pub use verdict::{Bound, Verdict};
