// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl cat`

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use rsm::Access;

use super::content::CHUNK;
use crate::cli;
use crate::connect::{connect, controller, Place};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Cat;
use crate::screen;

pub fn run(options: &cli::Cat, json: bool) -> Result<()> {
    let id = options.id;
    let import = connect(&controller()?, id, Access::Read)?;
    let place = Place::new(options.offset, import.len())?;
    let length = length(options.length, place)?;

    let stdout = io::stdout();
    // A terminal cannot show both.
    let quiet = json || stdout.is_terminal();
    // As a file: the standard library would look for lines in it.
    let mut stdout = stdout
        .as_fd()
        .try_clone_to_owned()
        .map(File::from)
        .map_err(|error| Failure::io("cannot write to stdout", &error))?;
    let mut progress = Progress::new("reading", Some(length as u64), quiet);
    let watcher = progress.watcher();
    interrupt::before_the_end(move |signal| {
        interrupt::tell(signal, json, watcher, |bytes| {
            format!("interrupted after {bytes} of {length} bytes")
        });
    })?;

    let mut chunk = vec![0; CHUNK.min(length)];
    let mut done = 0;
    while done < length {
        let part = (length - done).min(CHUNK);
        // What is got is from the segment, or this fails and it is thrown away.
        import
            .get(place.offset + done, &mut chunk[..part])
            .map_err(|error| {
                let what = format!("segment {id}, after {done} of {length} bytes");
                Failure::rsm(what, error).after(done as u64)
            })?;
        stdout.write_all(&chunk[..part]).map_err(|error| {
            let what = format!("cannot write to stdout after {done} of {length} bytes");
            Failure::io(what, &error).after(done as u64)
        })?;
        done += part;
        progress.add(part);
    }
    drop(progress);
    if json {
        let report = Cat {
            id: id.get(),
            offset: options.offset,
            bytes: done as u64,
        };
        let _ = io::stderr().write_all(screen::json(&report)?.as_bytes());
    }
    Ok(())
}

/// How many bytes: as many as asked for, if there are so many.
fn length(asked: Option<u64>, place: Place) -> Result<usize> {
    let Some(asked) = asked else {
        return Ok(place.room);
    };
    match usize::try_from(asked) {
        Ok(length) if length <= place.room => Ok(length),
        _ => Err(Failure::usage(format!(
            "--length {asked} reaches beyond the segment's end: there are {} bytes from --offset {} on",
            place.room, place.offset
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let place = Place::new(96, 4096).unwrap();
        assert_eq!(length(None, place).unwrap(), 4000);
        assert_eq!(length(Some(0), place).unwrap(), 0);
        assert_eq!(length(Some(4000), place).unwrap(), 4000);
        assert!(length(Some(4001), place).is_err());
        assert!(length(Some(u64::MAX), place).is_err());
    }
}
