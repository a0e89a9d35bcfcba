// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks of `/dev/rsm`, to be run in a guest that does nothing else. Where the clock counts
//! instructions, figures of two runs agree within a percent.
//!
//! Each subcommand is a directory; what they share is `measure` (clock, samples, report),
//! `device` (the commands) and `memory` (mappings).

mod device;
mod measure;
mod memory;
mod scale;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures what operations on segments cost.
///
/// Exit status: 0 if all is as it should be, 1 if a cost is beyond its limit, 2 if it could not be
/// measured.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// After the table, all figures as one line of JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Do operations cost the same with few segments and with many?
    Scale(scale::Options),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Scale(options) => scale::run(options),
    };
    let result = result.and_then(|report| {
        print!("{report}");
        if cli.json {
            println!("{}", report.to_json()?);
        }
        Ok(report.passed())
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rsm-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
