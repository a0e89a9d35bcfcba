// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the admitted reader: hashes the segment through a mapping, then reads it
//! in a loop until long after it has been taken away.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use rsm::{Access, Controller, ImportSegment, Mapping, SegmentId};
use sha2::{Digest, Sha256};

use crate::actor::{Failure, Line};
use crate::board::Board;
use crate::measure::now;

/// Hashed in pieces of this size; also the distance of the words watched.
const CHUNK: usize = 256 << 10;

/// Rounds over all watched words after the memory has other content.
const ROUNDS_AFTER: u32 = 200;

pub fn play(
    line: &mut Line,
    controller: &Controller,
    board: &Board,
    length: usize,
) -> Result<(), Failure> {
    let words = line.hear("use")?;
    let id = SegmentId::new(words.number(0)?.try_into()?);
    let started = now();
    let import = ImportSegment::connect(controller, controller.local_node(), id, Access::Read)?;
    let mapping = import.map()?;
    line.say(&[&"mapped", &(now() - started)])?;

    let started = now();
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut watched = Vec::new();
    for offset in (0..length).step_by(CHUNK) {
        let part = &mut chunk[..CHUNK.min(length - offset)];
        mapping.read_at(offset, part)?;
        hash.update(&*part);
        watched.extend(Watched::first_in(part, offset));
    }
    // Not a byte of it came from anywhere but the segment.
    import.check_reads()?;
    let sum = hash
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("strings grow");
            text
        });
    line.say(&[&"hashed", &(now() - started), &sum])?;

    line.hear("watch")?;
    if watched.is_empty() {
        return Err("finds nothing but zeroes in the file and cannot watch it".into());
    }
    line.say(&[&"watching", &watched.len()])?;
    let seen = watch(&mapping, &watched, board)?;
    // What a program does that wants to go on: it asks, and is told.
    let told = import
        .check()
        .map_or_else(|error| error.status().code(), |()| 0);
    let again = import
        .map()
        .map_or_else(|error| error.status().code(), |_| 0);
    line.say(&[
        &"watched",
        &seen.live,
        &seen.zeroes_after,
        &seen.old_after,
        &seen.foreign,
        &seen.lost_but_good,
        &seen
            .noticed
            .saturating_sub(board.destroy_called.load(Ordering::Acquire)),
        &told,
        &again,
    ])?;
    Ok(())
}

/// A word of the segment that is not zero.
#[derive(Debug)]
struct Watched {
    offset: usize,
    value: u64,
}

impl Watched {
    /// The first such word in `part` of the segment, which begins at `offset`.
    fn first_in(part: &[u8], offset: usize) -> Option<Self> {
        part.chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().expect("eight bytes")))
            .enumerate()
            .find(|&(_, value)| value != 0)
            .map(|(index, value)| Self {
                offset: offset + index * 8,
                value,
            })
    }
}

/// What was seen, in numbers of words.
#[derive(Debug, Default)]
struct Seen {
    /// The file's content, before destroy returned.
    live: u64,
    /// Zero, after destroy returned.
    zeroes_after: u64,
    /// The file's content, after destroy returned: must not happen.
    old_after: u64,
    /// Something else, at any time: must not happen.
    foreign: u64,
    /// Not the file's content although the connection was said to be live: must not happen.
    lost_but_good: u64,
    /// When the connection was seen to be aborted.
    noticed: u64,
}

fn watch(mapping: &Mapping, watched: &[Watched], board: &Board) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let mut rounds_after = 0;
    let shared = mapping.bytes();
    while rounds_after < ROUNDS_AFTER {
        if board.overwritten.load(Ordering::Acquire) {
            rounds_after += 1;
        }
        for word in watched {
            // In this order: a load that began after destroy had returned counts as such.
            let after = board.destroyed.load(Ordering::SeqCst);
            let value = shared.load_u64(word.offset)?;
            let good = mapping.check_reads().is_ok();
            match value {
                value if value == word.value && after => seen.old_after += 1,
                value if value == word.value => seen.live += 1,
                0 if after => seen.zeroes_after += 1,
                0 => (),
                _ => seen.foreign += 1,
            }
            if good && value != word.value {
                seen.lost_but_good += 1;
            }
            if !good && seen.noticed == 0 {
                seen.noticed = now();
            }
        }
        board
            .reads
            .fetch_add(watched.len() as u64, Ordering::Relaxed);
    }
    Ok(seen)
}
