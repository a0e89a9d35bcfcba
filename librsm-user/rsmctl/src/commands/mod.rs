// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the program can do, a file for each command.

mod bench;
mod cat;
mod completions;
mod content;
mod doctor;
mod list;
mod publish;
mod put;
mod show;
mod signal;
mod top;
mod wait;

use std::process::ExitCode;

use crate::cli::{Command, Options};
use crate::failure::Result;
use crate::interrupt;

/// Carries out a command.
pub fn run(options: &Options) -> Result<ExitCode> {
    // Who stays does not end because nobody reads any more.
    if !matches!(options.command, Command::Publish(_)) {
        interrupt::end_at_closed_pipes();
    }
    let json = options.json;
    match &options.command {
        Command::List(list) => list::run(list, json)?,
        Command::Show(show) => show::run(show, json)?,
        Command::Top(top) => top::run(top, json)?,
        Command::Publish(publish) => publish::run(publish, json)?,
        Command::Cat(cat) => cat::run(cat, json)?,
        Command::Put(put) => put::run(put, json)?,
        Command::Wait(wait) => wait::run(wait, json)?,
        Command::Signal(signal) => signal::run(signal, json)?,
        Command::Doctor => return doctor::run(json),
        Command::Bench(bench) => bench::run(bench, json)?,
        Command::Completions(completions) => completions::run(completions)?,
    }
    Ok(ExitCode::SUCCESS)
}
