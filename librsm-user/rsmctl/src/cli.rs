// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use rsm::{AccessEntry, SegmentId};

use crate::values;

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not permitted, 5 taken back by the
exporter, 6 not in time, 7 over a limit. See rsmctl(8).";

/// Shows, shares, reads and writes segments of remote shared memory
#[derive(Debug, Parser)]
#[command(name = "rsmctl", version, after_help = EXIT_CODES)]
pub struct Options {
    /// Print one JSON object in place of text; errors too, on stderr
    #[arg(long, global = true)]
    pub json: bool,

    /// When to use colours; `auto` obeys NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List segments
    List(List),
    /// Show a segment: who made it, who has it, what you may do
    Show(Show),
    /// Watch segments, counters and times of revocation
    Top(Top),
    /// Export a file, and stay until it is to be taken back
    Publish(Publish),
    /// Write a segment's bytes to stdout
    Cat(Cat),
    /// Write a file into a segment
    Put(Put),
    /// Wait for an event of a segment's exporter
    Wait(Wait),
    /// Post an event to a segment's exporter
    Signal(Signal),
    /// Look for what keeps remote shared memory from working, and say what to do
    Doctor,
    /// Measure against other ways of sharing memory (runs `rsm-bench peers`)
    #[command(disable_help_flag = true)]
    Bench(Bench),
    /// Print completions for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct List {
    /// Show imports below their segments
    #[arg(short, long)]
    pub imports: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// The segment, in decimal or in hexadecimal with 0x
    #[arg(value_parser = values::id)]
    pub id: SegmentId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// By length
    Length,
    /// By number of imports
    Imports,
    /// By bytes that imports have mapped
    Mapped,
    /// By pending events
    Events,
}

#[derive(Debug, Args)]
pub struct Top {
    /// Time between looks, such as 1.5s
    #[arg(short, long, value_name = "TIME", default_value = "2", value_parser = values::some_time)]
    pub interval: Duration,

    /// End after so many looks
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Which segments come first
    #[arg(short, long, value_name = "COLUMN", default_value = "length")]
    pub sort: Sort,
}

#[derive(Debug, Args)]
pub struct Publish {
    /// The file; `-` for stdin
    pub file: PathBuf,

    /// Publish under this id, 0x400000 to 0x7fffffff, in place of one that was never used
    #[arg(long, value_parser = values::chosen_id)]
    pub id: Option<SegmentId>,

    /// Who may read (4) and write (2): digits for user, group and others, such as 0640. If left
    /// out, the umask decides, as for files
    #[arg(short, long, value_parser = values::mode, conflicts_with = "access")]
    pub mode: Option<u32>,

    /// An access list: nodes with a mode for each, such as 0:0640. Other nodes are kept out
    #[arg(short, long, value_name = "NODE:MODE", value_delimiter = ',', value_parser = values::access)]
    pub access: Vec<AccessEntry>,

    /// Take it back after this time
    #[arg(short, long, value_name = "TIME", value_parser = values::some_time)]
    pub timeout: Option<Duration>,

    /// Take it back when an importer posts an event
    #[arg(short, long)]
    pub until_event: bool,

    /// Pass events that importers post on to all importers
    #[arg(short, long)]
    pub relay: bool,
}

#[derive(Debug, Args)]
pub struct Cat {
    /// The segment, in decimal or in hexadecimal with 0x
    #[arg(value_parser = values::id)]
    pub id: SegmentId,

    /// Begin at this byte; K, M, G and T are units
    #[arg(short, long, value_name = "BYTES", default_value = "0", value_parser = values::bytes)]
    pub offset: u64,

    /// So many bytes, in place of all up to the end
    #[arg(short, long, value_name = "BYTES", value_parser = values::bytes)]
    pub length: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Put {
    /// The segment, in decimal or in hexadecimal with 0x
    #[arg(value_parser = values::id)]
    pub id: SegmentId,

    /// The file; stdin if left out or `-`
    #[arg(default_value = "-")]
    pub file: PathBuf,

    /// Begin at this byte; K, M, G and T are units
    #[arg(short, long, value_name = "BYTES", default_value = "0", value_parser = values::bytes)]
    pub offset: u64,

    /// Post an event to the exporter afterwards
    #[arg(short, long)]
    pub signal: bool,
}

#[derive(Debug, Args)]
pub struct Wait {
    /// The segment, in decimal or in hexadecimal with 0x
    #[arg(value_parser = values::id)]
    pub id: SegmentId,

    /// Give up after this time
    #[arg(short, long, value_name = "TIME", value_parser = values::time)]
    pub timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Signal {
    /// The segment, in decimal or in hexadecimal with 0x
    #[arg(value_parser = values::id)]
    pub id: SegmentId,

    /// Post nothing where an event is pending already
    #[arg(long)]
    pub no_accumulate: bool,
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Arguments of `rsm-bench peers`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_manual_page_has_every_command_and_option() {
        let page = include_str!("../man/rsmctl.8");
        let command = Options::command();
        let options = |command: &clap::Command| {
            let longs = command.get_arguments().filter_map(clap::Arg::get_long);
            longs.map(str::to_owned).collect::<Vec<_>>()
        };
        let mut long = options(&command);
        for command in command.get_subcommands() {
            let heading = format!(".It Cm {}", command.get_name());
            assert!(page.contains(&heading), "{heading}");
            long.extend(options(command));
        }
        for name in long
            .iter()
            .filter(|name| !["help", "version"].contains(&name.as_str()))
        {
            let escaped = name.replace('-', "\\-");
            assert!(page.contains(&format!("Fl \\-{escaped}")), "--{name}");
        }
    }

    #[test]
    fn arguments_of_bench_are_left_alone() {
        let options = Options::try_parse_from(["rsmctl", "bench", "-x", "--help"]);
        let Ok(Options {
            command: Command::Bench(bench),
            ..
        }) = options
        else {
            panic!("{options:?}");
        };
        assert_eq!(bench.arguments, ["-x", "--help"]);
    }

    #[test]
    fn usage_errors() {
        for bad in [
            &["rsmctl"] as &[&str],
            &["rsmctl", "lst"],
            &["rsmctl", "cat"],
            &["rsmctl", "cat", "0"],
            &["rsmctl", "cat", "5", "--offset", "x"],
            &["rsmctl", "publish"],
            &["rsmctl", "publish", "f", "--id", "5"],
            &["rsmctl", "publish", "f", "--mode", "0777"],
            &[
                "rsmctl", "publish", "f", "--mode", "0600", "--access", "0:0600",
            ],
            &["rsmctl", "publish", "f", "--timeout", "0"],
            &["rsmctl", "top", "--count", "0"],
            &["rsmctl", "wait", "5", "--timeout", "soon"],
        ] {
            assert!(Options::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
