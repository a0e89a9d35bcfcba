// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl bench`: the program `rsm-bench`, which lies beside this one or on the PATH.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli;
use crate::failure::{Failure, Result};

const PROGRAM: &str = "rsm-bench";

pub fn run(options: &cli::Bench, json: bool) -> Result<()> {
    let beside = env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join(PROGRAM)));
    let program = match beside {
        Some(path) if path.exists() => path.into_os_string(),
        _ => OsString::from(PROGRAM),
    };
    // Returns only if it fails.
    let error = Command::new(program)
        .arg("peers")
        // Taken for one of ours wherever it stood.
        .args(json.then_some("--json"))
        .args(&options.arguments)
        .exec();
    let failure = Failure::io(format!("cannot run {PROGRAM}"), &error);
    Err(if error.kind() == io::ErrorKind::NotFound {
        failure.advise("Install it beside rsmctl or on the PATH: it is built with librsm-user.")
    } else {
        failure
    })
}
