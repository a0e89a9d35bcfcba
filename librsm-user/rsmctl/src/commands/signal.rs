// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl signal`

use rsm::{Access, Post};

use crate::cli;
use crate::connect::{connect, controller};
use crate::failure::{Failure, Result};
use crate::report::Signal;
use crate::screen;

pub fn run(options: &cli::Signal, json: bool) -> Result<()> {
    let id = options.id;
    let how = if options.no_accumulate {
        Post::NoAccumulate
    } else {
        Post::Accumulate
    };
    connect(&controller()?, id, Access::None)?
        .signal()
        .post(how)
        .map_err(|error| Failure::rsm(format!("cannot signal segment {id}"), error))?;
    if json {
        return screen::print_json(&Signal {
            id: id.get(),
            posted: true,
        });
    }
    Ok(())
}
