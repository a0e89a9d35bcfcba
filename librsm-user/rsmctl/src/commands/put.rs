// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl put`

use rsm::{Access, ImportSegment, Post};

use super::content::{Input, CHUNK};
use crate::cli;
use crate::connect::{connect, controller, Place};
use crate::failure::{Exit, Failure, Result};
use crate::interrupt;
use crate::progress::Progress;
use crate::report::Put;
use crate::screen;
use crate::units;

pub fn run(options: &cli::Put, json: bool) -> Result<()> {
    let id = options.id;
    let mut input = Input::open(&options.file, json)?;
    let import = connect(&controller()?, id, Access::Write)?;
    let place = Place::new(options.offset, import.len())?;
    if let Some(len) = input.len.filter(|&len| len > place.room as u64) {
        return Err(too_long(&input.name, &format!("{len} bytes"), place));
    }
    let mut progress = Progress::new("writing", input.len, json);
    let watcher = progress.watcher();
    interrupt::before_the_end(move |signal| {
        interrupt::tell(signal, json, watcher, |bytes| {
            format!("interrupted; {bytes} bytes have been written")
        });
    })?;
    let done = write(&import, &mut input, place, &mut progress)?;
    drop(progress);
    if options.signal {
        import
            .signal()
            .post(Post::Accumulate)
            .map_err(|error| Failure::rsm("written, but cannot signal", error).after(done))?;
    }
    if json {
        return screen::print_json(&Put {
            id: id.get(),
            offset: options.offset,
            bytes: done,
            signalled: options.signal,
        });
    }
    screen::note(&format!(
        "{} written to segment {id}",
        units::count(done, "byte")
    ));
    Ok(())
}

/// Writes all of the input, and returns how many bytes have arrived for certain.
fn write(
    import: &ImportSegment,
    input: &mut Input,
    place: Place,
    progress: &mut Progress,
) -> Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    loop {
        // One byte more than there is room for shows that the input is too long.
        let part = (place.room - done).saturating_add(1).min(CHUNK);
        let read = input
            .read(&mut chunk[..part])
            .map_err(|failure| failure.after(done as u64))?;
        if read == 0 {
            return Ok(done as u64);
        }
        let fits = read.min(place.room - done);
        import
            .put(place.offset + done, &chunk[..fits])
            .map_err(|error| {
                let what = format!("only {done} bytes are certain to have been written");
                Failure::rsm(what, error).after(done as u64)
            })?;
        done += fits;
        progress.add(fits);
        if fits < read {
            return Err(too_long(&input.name, "more", place).after(done as u64));
        }
    }
}

fn too_long(name: &str, has: &str, place: Place) -> Failure {
    let Place { offset, room } = place;
    let problem =
        format!("{name} has {has}, and the segment room for {room} from --offset {offset} on");
    Failure::new(Exit::Usage, problem)
}
