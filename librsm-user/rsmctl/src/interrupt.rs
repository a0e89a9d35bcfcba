// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens when somebody ends the program.

use std::io;
use std::thread;

use nix::libc;
use nix::sys::signal::{SigHandler, SigSet, Signal};

use crate::failure::{Failure, Result};
use crate::myself::Myself;
use crate::progress::Watcher;
use crate::report;
use crate::screen;

/// Signals by which people and systems end programs.
const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Those of them that this program was not told to ignore, blocked from here on.
pub fn block() -> Result<SigSet> {
    let me = Myself::read();
    let ends: SigSet = ENDS
        .into_iter()
        .filter(|&signal| !me.ignores(signal as i32))
        .collect();
    ends.thread_block()
        .map_err(|errno| Failure::io("cannot block signals", &errno.into()))?;
    Ok(ends)
}

/// On such a signal runs `last` and ends the program as shells expect it: with 128 and the
/// signal's number. To be called before there are other threads.
///
/// `last` must not wait for anybody: see [`screen::is_ready`]. If it
/// does all the same, the next signal ends the program at once.
pub fn before_the_end(last: impl FnOnce(Signal) + Send + 'static) -> Result<()> {
    let ends = block()?;
    thread::spawn(move || {
        if let Ok(signal) = ends.wait() {
            let _ = ends.thread_unblock();
            last(signal);
            // SAFETY: ends the process. What other threads have not written yet they may not be
            // able to.
            unsafe { libc::_exit(code(signal).into()) }
        }
    });
    Ok(())
}

/// Says what a transfer was ended by, and how many bytes it had moved, unless that would have to
/// wait for somebody to read it.
pub fn tell(signal: Signal, json: bool, watcher: Watcher, how_far: impl FnOnce(u64) -> String) {
    if !screen::is_ready(io::stderr()) {
        return;
    }
    let bytes = watcher.stop();
    let error = how_far(bytes);
    if json {
        let failure = report::Failure {
            error,
            advice: None,
            status: None,
            bytes: Some(bytes),
            exit: code(signal),
        };
        failure.print();
    } else {
        screen::note(&format!("rsmctl: {error}"));
    }
}

/// The exit code of a program that such a signal ended.
fn code(signal: Signal) -> u8 {
    128 + signal as u8
}

/// Lets a closed pipe end the program without a word, as it does other tools.
pub fn end_at_closed_pipes() {
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}
