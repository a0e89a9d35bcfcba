// SPDX-License-Identifier: MIT OR Apache-2.0
//! Output: colours where there is a terminal, errors where it cannot be written.

use std::io::Write;
use std::os::fd::AsFd;

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use serde::Serialize;

use crate::failure::{Failure, Result};

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const NOTE: Style = AnsiColor::Cyan.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub const BAD: Style = AnsiColor::Red.on_default().bold();

/// Colours for all that follows; `auto` obeys NO_COLOR and CLICOLOR_FORCE.
pub fn set_up(color: ColorChoice) {
    match color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// Prints to stdout, at once.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::io("cannot write to stdout", &error))
}

/// Prints an object as one line of JSON to stdout.
pub fn print_json(object: &impl Serialize) -> Result<()> {
    print(&json(object)?)
}

/// An object as one line of JSON.
pub fn json(object: &impl Serialize) -> Result<String> {
    serde_json::to_string(object)
        .map(|text| text + "\n")
        .map_err(|error| Failure::io("cannot write JSON", &error.into()))
}

/// Can something short be written there without waiting for those who read it?
pub fn is_ready(output: impl AsFd) -> bool {
    let mut output = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
    poll(&mut output, PollTimeout::ZERO).is_ok() && output[0].revents() == Some(PollFlags::POLLOUT)
}

/// Tells a person something beside the output, on stderr. Nothing depends on it.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{DIM}{text}{DIM:#}");
}
