// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl wait`

use std::time::Instant;

use rsm::{Access, Status};

use crate::cli;
use crate::connect::{connect, controller};
use crate::failure::{Failure, Result};
use crate::report::Wait;
use crate::screen;
use crate::units;

pub fn run(options: &cli::Wait, json: bool) -> Result<()> {
    let id = options.id;
    // It takes no rights to be told.
    let import = connect(&controller()?, id, Access::None)?;
    let start = Instant::now();
    loop {
        let left = options
            .timeout
            .map(|time| time.saturating_sub(start.elapsed()));
        match import.signal().wait(left) {
            Ok(()) => break,
            // Stopped and continued.
            Err(error) if error.status() == Status::Interrupted => {}
            // The kernel waits for 24 days at most.
            Err(error)
                if error.status() == Status::Timeout
                    && options.timeout.is_some_and(|time| start.elapsed() < time) => {}
            Err(error) => {
                let what = match options.timeout {
                    Some(time) if error.status() == Status::Timeout => {
                        format!("segment {id}, within {}", units::seconds(time))
                    }
                    _ => format!("segment {id}"),
                };
                return Err(Failure::rsm(what, error));
            }
        }
    }
    if json {
        let waited = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        return screen::print_json(&Wait {
            id: id.get(),
            waited_ms: waited,
        });
    }
    Ok(())
}
