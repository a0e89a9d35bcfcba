// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program; everything is in the library.

#![deny(missing_docs)]

use std::process::ExitCode;

fn main() -> ExitCode {
    rsmctl::run()
}
