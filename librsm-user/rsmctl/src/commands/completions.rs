// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl completions`

use clap::CommandFactory;

use crate::cli::{Completions, Options};
use crate::failure::{Exit, Failure, Result};
use crate::screen;

pub fn run(options: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        options.shell,
        &mut Options::command(),
        "rsmctl",
        &mut script,
    );
    let script =
        String::from_utf8(script).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    screen::print(&script)
}
