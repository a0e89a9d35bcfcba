// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel module writes in debugfs and fdinfo, read strictly: a line that is not
//! exactly as the module writes it is an error, so that nothing is shown that is not so.

pub mod debugfs;
pub mod fdinfo;

use crate::report::{Rights, State};

/// A line that was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}: {text:?}")]
pub struct ParseError {
    /// Its number, from 1.
    pub line: usize,
    /// What was expected.
    pub problem: &'static str,
    /// The line.
    pub text: String,
}

impl ParseError {
    fn new(index: usize, problem: &'static str, text: &str) -> Self {
        Self {
            line: index + 1,
            problem,
            text: text.to_owned(),
        }
    }
}

/// A decimal number without sign.
fn decimal(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A process number.
fn pid(text: &str) -> Option<u32> {
    u32::try_from(decimal(text)?).ok()
}

/// An id in hexadecimal.
fn id(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x")?;
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

fn state(text: &str) -> Option<State> {
    Some(match text {
        "bound" => State::Bound,
        "published" => State::Published,
        "dead" => State::Dead,
        _ => return None,
    })
}

fn rights(text: &str) -> Option<Rights> {
    Some(match text {
        "-" => Rights::None,
        "r" => Rights::Read,
        "w" => Rights::Write,
        "rw" => Rights::ReadWrite,
        _ => return None,
    })
}
