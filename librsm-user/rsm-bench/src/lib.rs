// SPDX-License-Identifier: MIT OR Apache-2.0
//! Benchmarks of `/dev/rsm`, to be run on a machine that does nothing else. Where the clock counts
//! instructions, figures of two runs of the same build are the same.
//!
//! Each subcommand that measures is a directory; what they share is `measure` (clock, samples,
//! report), `device` (the commands) and `memory` (mappings). `baseline` and `chart` deal with what
//! was measured.

mod baseline;
mod chart;
mod device;
mod kernel_memory;
pub mod measure;
mod memory;
pub mod peers;
mod scale;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures what operations on segments cost.
///
/// Exit status: 0 if all is as it should be, 1 if a cost is beyond its limit, 2 if it could not be
/// measured.
#[derive(Parser)]
#[command(version, about)]
pub struct Cli {
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
    /// What do segments cost beside memfd, POSIX shm, process_vm_readv, sockets and pipes?
    Peers(peers::Options),
    /// Prints what is kept of a run of `peers` to compare others with
    Accept(baseline::Accept),
    /// Does anything cost more than it did?
    Compare(baseline::Compare),
    /// Draws a run of `peers`
    Chart(chart::Options),
}

/// Runs a command line, and says whether all is as it should be.
pub fn run(cli: &Cli) -> Result<bool> {
    let report = match &cli.command {
        Command::Scale(options) => scale::run(options)?,
        Command::Peers(options) => peers::run(options)?,
        Command::Accept(options) => return baseline::accept(options).map(|()| true),
        Command::Compare(options) => return baseline::compare(options),
        Command::Chart(options) => return chart::run(options).map(|()| true),
    };
    print!("{report}");
    if cli.json {
        println!("{}", report.to_json()?);
    }
    Ok(report.passed)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        for line in [
            &[
                "rsm-bench",
                "peers",
                "--only",
                "life,cycle",
                "--columns",
                "rsm,POSIX shm",
                "--importers",
                "1,3",
                "--json",
            ][..],
            &["rsm-bench", "scale", "--populations", "1,2"],
            &["rsm-bench", "accept", "a.json"],
            &[
                "rsm-bench",
                "compare",
                "a.json",
                "b.json",
                "--tolerance",
                "1",
                "--tests",
            ],
            &["rsm-bench", "chart", "a.json", "a.svg"],
        ] {
            assert!(Cli::try_parse_from(line).is_ok(), "{line:?}");
        }
        assert!(Cli::try_parse_from(["rsm-bench", "peers", "--only", "nothing"]).is_err());
    }
}
