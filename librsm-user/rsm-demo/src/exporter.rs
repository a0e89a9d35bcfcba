// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the owner: shares a file's content, and takes the memory back.

use std::fs::File;
use std::io::Read;
use std::sync::atomic::Ordering;

use rsm::{AccessEntry, Controller, ExportBuffer, ExportSegment};

use crate::actor::{Failure, Line};
use crate::board::Board;
use crate::measure::{now, pinned};

/// Owner reads and writes, group reads, others nothing.
pub const MODE: u32 = 0o640;

/// What the memory holds after it has been taken back: no word of it is zero.
const NEW_CONTENT: u8 = 0xA5;

pub fn play(
    line: &mut Line,
    controller: &Controller,
    board: &Board,
    mut file: File,
    length: usize,
    small_pages: bool,
) -> Result<(), Failure> {
    line.hear("share")?;
    let started = now();
    let mut buffer = match small_pages {
        true => ExportBuffer::new(length)?,
        false => ExportBuffer::huge(length)?,
    };
    file.read_exact(&mut buffer.as_mut_slice()[..length])?;
    line.say(&[&"read", &(now() - started)])?;

    let started = now();
    let segment = ExportSegment::create(controller, buffer)?;
    line.say(&[&"exported", &(now() - started), &pinned()])?;

    let id = segment.publish(None, &[AccessEntry::new(controller.local_node(), MODE)])?;
    line.say(&[&"published", &id.get()])?;

    line.hear("destroy")?;
    let called = now();
    board.destroy_called.store(called, Ordering::Release);
    let mut buffer = segment.destroy()?;
    let returned = now();
    board.destroyed.store(true, Ordering::SeqCst);
    buffer.as_mut_slice().fill(NEW_CONTENT);
    board.overwritten.store(true, Ordering::SeqCst);
    line.say(&[&"destroyed", &(returned - called), &pinned()])?;

    // Nobody else can reach the memory now: what was written must stay.
    line.hear("inspect")?;
    let strange = buffer
        .as_slice()
        .iter()
        .filter(|&&byte| byte != NEW_CONTENT)
        .count();
    line.say(&[&"inspected", &strange])?;
    Ok(())
}
