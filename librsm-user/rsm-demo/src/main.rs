// SPDX-License-Identifier: MIT OR Apache-2.0
//! Three users and a file: one shares it, one reads it, one is kept out; then the owner
//! takes the memory back while it is being read.
//!
//! The program forks one process for each of the three; this one directs them, prints
//! what they report, and judges.

mod actor;
mod board;
mod exporter;
mod importer;
mod measure;
mod play;
mod screen;
mod stranger;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ColorChoice, Parser};

/// Share a file between processes, then take the memory back while it is being read.
///
/// Must be run as root, for it plays three users.
#[derive(Parser)]
#[command(version, about)]
struct Options {
    /// The file to share, at best 64 MiB or more
    file: PathBuf,

    /// Share ordinary 4 KiB pages in place of 2 MiB ones
    #[arg(long)]
    small_pages: bool,

    /// When to use colours; `auto` obeys NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: ColorChoice,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    match play::run(&options.file, options.small_pages) {
        Ok(verdict) if verdict.passed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            screen::complain(&error);
            ExitCode::from(2)
        }
    }
}
