// SPDX-License-Identifier: MIT OR Apache-2.0
//! How things are measured, whatever they are.

mod clock;
mod report;
mod samples;

pub use clock::Clock;
pub use report::{grouped, Figure, Report, Row};
pub use samples::Samples;
