// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl`, the operator's tool: what there is, who uses it, and sharing by hand.
//!
//! What it prints with `--json` is [`report`], which programs in Rust can read it back with.
//! The texts of the kernel module are read in [`parse`] and nowhere else. All work on segments
//! is that of the crate `rsm`.

#![deny(missing_docs)]

mod cli;
mod commands;
mod connect;
mod doctor;
mod failure;
mod interrupt;
mod myself;
mod names;
mod observe;
pub mod parse;
mod progress;
pub mod report;
mod screen;
mod table;
mod units;
mod values;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program with the arguments of this process.
pub fn run() -> ExitCode {
    let options = match cli::Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            // Help and version are no mistakes, and go to stdout.
            let _ = error.print();
            return if error.use_stderr() {
                failure::Exit::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    screen::set_up(options.color);
    match commands::run(&options) {
        Ok(code) => code,
        Err(failure) => {
            failure.print(options.json);
            failure.exit().into()
        }
    }
}
