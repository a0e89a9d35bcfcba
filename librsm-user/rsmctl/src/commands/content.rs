// SPDX-License-Identifier: MIT OR Apache-2.0
//! The content of a file or pipe, in memory that can be exported.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek};
use std::os::fd::AsFd;
use std::path::Path;

use nix::sys::resource::{getrlimit, Resource};
use rsm::{Controller, ExportBuffer};

use crate::failure::{Exit, Failure, Result};
use crate::myself::Myself;
use crate::progress::Progress;
use crate::screen;
use crate::units;

/// Memory that is read at a time.
pub const CHUNK: usize = 1 << 20;

/// From here on memory is worth having in huge pages.
const HUGE: usize = 2 << 20;

/// A file that is open, and how a person calls it.
#[derive(Debug)]
pub struct Input {
    pub file: File,
    pub name: String,
    /// How long it seems to be from here on: not known of pipes, nor of files such as those in
    /// /proc, and too much of those in /sys.
    pub len: Option<u64>,
}

impl Input {
    /// Opens a file; `-` is stdin, and a person at a terminal is told so unless that is to be
    /// `quiet`.
    pub fn open(path: &Path, quiet: bool) -> Result<Self> {
        let (file, name) = if path == Path::new("-") {
            let stdin = io::stdin();
            if stdin.is_terminal() && !quiet {
                screen::note("Reading what you type; Ctrl-D ends it.");
            }
            (
                stdin.as_fd().try_clone_to_owned().map(File::from),
                "stdin".to_owned(),
            )
        } else {
            (File::open(path), path.display().to_string())
        };
        let mut file = file.map_err(|error| Failure::io(format!("cannot open {name}"), &error))?;
        let data = file
            .metadata()
            .map_err(|error| Failure::io(format!("cannot look at {name}"), &error))?;
        if data.is_dir() {
            return Err(Failure::usage(format!("{name} is a directory"))
                .advise("Name a file, or `-` for stdin."));
        }
        let len = if data.is_file() {
            // Somebody may have read the beginning.
            let position = file.stream_position().unwrap_or(0);
            Some(data.len().saturating_sub(position)).filter(|&len| len > 0)
        } else {
            None
        };
        Ok(Self { file, name, len })
    }

    /// Reads up to the length of `into`; 0 at the end.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read(into) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    return result
                        .map_err(|error| Failure::io(format!("cannot read {}", self.name), &error))
                }
            }
        }
    }

    /// Reads until `into` is full or the end is reached.
    fn fill(&mut self, into: &mut [u8], progress: &mut Progress) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let end = into.len().min(done + CHUNK);
            match self.read(&mut into[done..end])? {
                0 => break,
                bytes => {
                    done += bytes;
                    progress.add(bytes);
                }
            }
        }
        Ok(done)
    }
}

/// Memory with a file's content at its beginning, and zeroes behind it.
#[derive(Debug)]
pub struct Content {
    pub memory: ExportBuffer,
    pub len: u64,
}

/// Reads all of a file, if there can be a segment of that size.
pub fn read(mut input: Input, controller: &Controller, quiet: bool) -> Result<Content> {
    let room = Room::of(controller)?;
    let mut progress = Progress::new("reading", input.len, quiet);
    match input.len {
        Some(len) => {
            if len > room.bytes {
                let size = units::bytes(len);
                return Err(room.too_small(&format!("{} is too large, {size}", input.name)));
            }
            let len = usize::try_from(len).map_err(|_| Failure::usage("the file is too long"))?;
            let mut memory = allocate(len)?;
            let done = input.fill(&mut memory.as_mut_slice()[..len], &mut progress)?;
            if done < len {
                let mut all = content(&input.name, done)?;
                all.as_mut_slice()[..done].copy_from_slice(&memory.as_slice()[..done]);
                memory = all;
            }
            let len = done as u64;
            Ok(Content { memory, len })
        }
        None => read_stream(input, &room, &mut progress),
    }
}

/// The same where the length is known at the end only.
fn read_stream(mut input: Input, room: &Room, progress: &mut Progress) -> Result<Content> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    let mut len: u64 = 0;
    loop {
        let mut piece = vec![0; CHUNK];
        let done = input.fill(&mut piece, progress)?;
        len += done as u64;
        if len > room.bytes {
            return Err(room.too_small(&format!("{} is too large", input.name)));
        }
        piece.truncate(done);
        pieces.push(piece);
        if done < CHUNK {
            break;
        }
    }
    let mut memory = content(&input.name, len as usize)?;
    let mut place = memory.as_mut_slice();
    for piece in pieces {
        // Each is freed here: at no time is everything there twice.
        let (to, rest) = place.split_at_mut(piece.len());
        to.copy_from_slice(&piece);
        place = rest;
    }
    Ok(Content { memory, len })
}

/// Memory for what has been read of a file.
fn content(name: &str, len: usize) -> Result<ExportBuffer> {
    if len == 0 {
        return Err(
            Failure::usage(format!("{name} is empty")).advise("A segment has at least one byte.")
        );
    }
    allocate(len)
}

fn allocate(len: usize) -> Result<ExportBuffer> {
    let memory = if len >= HUGE {
        ExportBuffer::huge(len)
    } else {
        ExportBuffer::new(len)
    };
    memory.map_err(|error| Failure::rsm(format!("no memory for {len} bytes"), error))
}

/// How large a segment can be, at best.
#[derive(Debug)]
struct Room {
    bytes: u64,
    limit: &'static str,
    advice: &'static str,
}

impl Room {
    fn of(controller: &Controller) -> Result<Self> {
        let attributes = controller
            .attributes()
            .map_err(|error| Failure::rsm("cannot ask for the module's limits", error))?;
        let locked = match getrlimit(Resource::RLIMIT_MEMLOCK) {
            Ok((limit, _)) if !Myself::read().may_lock_all() => limit,
            _ => u64::MAX,
        };
        let memory = fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| available(&text));
        let limits = [
            Self {
                bytes: locked,
                limit: "the limit of locked memory (RLIMIT_MEMLOCK)",
                advice: "Raise it: `ulimit -l`, /etc/security/limits.conf, or LimitMEMLOCK= of a service.",
            },
            Self {
                bytes: attributes.max_export_segment_size.unwrap_or(u64::MAX),
                limit: "the module's limit for a segment",
                advice: "The administrator can raise max_exported_mem and max_exported_percent of the module.",
            },
            Self {
                bytes: attributes.total_export_segment_size.unwrap_or(u64::MAX),
                limit: "the module's limit for all segments",
                advice: "The administrator can raise max_exported_mem and max_exported_percent of the module.",
            },
            Self {
                bytes: memory.unwrap_or(u64::MAX),
                limit: "the memory that is available",
                advice: "An exported file is in memory as a whole. Share a part of it.",
            },
        ];
        let [first, rest @ ..] = limits;
        Ok(rest.into_iter().fold(first, |least, limit| {
            if limit.bytes < least.bytes {
                limit
            } else {
                least
            }
        }))
    }

    fn too_small(&self, what: &str) -> Failure {
        let Self {
            bytes,
            limit,
            advice,
        } = self;
        let message = format!("{what}: {limit} is {}", units::bytes(*bytes));
        Failure::new(Exit::NoRoom, message).advise(*advice)
    }
}

/// Bytes of memory that can be had without swapping.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_the_machine() {
        let text = "MemTotal:  4 kB\nMemAvailable:    1024 kB\n";
        assert_eq!(available(text), Some(1 << 20));
        assert_eq!(available("MemTotal: 4 kB\n"), None);
    }

    #[test]
    fn directories_and_missing_files() {
        let failure = Input::open(Path::new("/"), true).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        let failure = Input::open(Path::new("/nowhere/at/all"), true).unwrap_err();
        assert_eq!(failure.exit(), Exit::NotFound);
    }

    #[test]
    fn files_without_a_length_are_streams() {
        assert_eq!(
            Input::open(Path::new("/proc/self/status"), true)
                .unwrap()
                .len,
            None
        );
        assert_eq!(Input::open(Path::new("/dev/null"), true).unwrap().len, None);
        assert!(Input::open(&std::env::current_exe().unwrap(), true)
            .unwrap()
            .len
            .is_some());
    }
}
