// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program; see the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match rsm_bench::run(&rsm_bench::Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rsm-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
