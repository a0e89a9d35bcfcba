// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl publish`

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::SignalFd;
use rsm::{AccessEntry, ExportSegment, Post, Status};

use super::content::{self, Input};
use crate::cli;
use crate::connect::controller;
use crate::failure::{Exit, Failure, Result};
use crate::interrupt;
use crate::parse::fdinfo::{self, Descriptor};
use crate::report::{Publish, State};
use crate::screen;
use crate::units;

/// How often it is looked whether the segment still lives.
const LOOK: Duration = Duration::from_secs(1);

/// Most events that are taken before it is looked for anything else.
const EVENTS: usize = 64;

pub fn run(options: &cli::Publish, json: bool) -> Result<()> {
    let input = Input::open(&options.file, json)?;
    let name = input.name.clone();
    let controller = controller()?;
    let content = content::read(input, &controller, json)?;
    let segment = ExportSegment::create(&controller, content.memory)
        .map_err(|error| Failure::rsm(format!("cannot export {name}"), error.into()))?;
    // From here on the end is an orderly one.
    let ends = interrupt::block()?;
    let access = match options.mode {
        Some(mode) => vec![AccessEntry::new(controller.local_node(), mode)],
        None => options.access.clone(),
    };
    let id = segment
        .publish(options.id, &access)
        .map_err(|error| Failure::rsm(format!("cannot publish {name}"), error))?;
    let published = Publish {
        id: id.get(),
        length: segment.len() as u64,
        content: content.len,
    };
    if json {
        screen::print_json(&published)?;
    } else {
        screen::print(&format!("{id}\n"))?;
        say(&format!(
            "{name}: {} in a segment of {}; Ctrl-C takes it back",
            match content.len {
                len @ 0..1024 => units::count(len, "byte"),
                len => format!("{} ({len} bytes)", units::bytes(len)),
            },
            units::bytes(published.length)
        ));
    }
    let stayed = stay(options, &segment, &ends);
    let destroyed = segment
        .destroy()
        .map_err(|error| Failure::rsm("cannot take the segment back", error));
    let why = stayed?;
    destroyed?;
    if !json {
        say(&format!("{why}: taken back"));
    }
    Ok(())
}

/// Tells a person, if somebody reads that: signals are blocked here.
fn say(text: &str) {
    if screen::is_ready(io::stderr()) {
        screen::note(text);
    }
}

/// Stays until it is to be taken back, and says why that is.
fn stay(options: &cli::Publish, segment: &ExportSegment, ends: &SigSet) -> Result<String> {
    let system = |errno: Errno| Failure::io("cannot wait", &errno.into());
    let signals = SignalFd::new(ends).map_err(system)?;
    let deadline = options
        .timeout
        .and_then(|time| Instant::now().checked_add(time));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok("time is up".into());
        }
        let mut sources = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(segment.as_fd(), PollFlags::POLLRDNORM),
        ];
        match poll(&mut sources, time(left)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(system(errno)),
        }
        let ready = sources.map(|source| source.any().unwrap_or(false));
        if ready[0] {
            return Ok("ended by a signal".into());
        }
        if ready[1] && take_events(options, segment)? {
            return Ok("an importer posted an event".into());
        }
        still_alive(segment)?;
    }
}

/// How long to wait for something to happen, rounded up.
fn time(left: Option<Duration>) -> PollTimeout {
    let time = left.map_or(LOOK, |left| left.min(LOOK)) + Duration::from_micros(999);
    PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO)
}

/// Takes the events that are there, but not for ever: anybody may post them, faster than they
/// can be taken. Is that the end?
fn take_events(options: &cli::Publish, segment: &ExportSegment) -> Result<bool> {
    let failed = |error| Failure::rsm("cannot take an event", error);
    for _ in 0..EVENTS {
        match segment.signal().try_wait() {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) if error.status() == Status::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        }
        if options.relay {
            segment.signal().post(Post::Accumulate).map_err(failed)?;
        }
        if options.until_event {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fails if the segment has died, which the kernel tells only those who ask: its memory may
/// have been lost to a hardware error.
fn still_alive(segment: &ExportSegment) -> Result<()> {
    let path = format!("/proc/self/fdinfo/{}", segment.signal().as_raw_fd());
    let text = fs::read_to_string(&path).unwrap_or_default();
    match fdinfo::descriptor(&text) {
        Ok(Some(Descriptor::Export(export))) if export.state == State::Dead => Err(Failure::new(
            Exit::Aborted,
            "the segment has lost its memory, and is gone",
        )),
        _ => Ok(()),
    }
}
