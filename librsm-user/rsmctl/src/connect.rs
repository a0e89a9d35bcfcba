// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to a segment, with errors that say what to do.

use rsm::{Access, Controller, ImportOptions, ImportSegment, SegmentId};

use crate::failure::{Failure, Result};

/// The device, opened.
pub fn controller() -> Result<Controller> {
    Ok(Controller::open()?)
}

/// A connection whose end wakes those who wait.
pub fn connect(controller: &Controller, id: SegmentId, access: Access) -> Result<ImportSegment> {
    ImportOptions::new(access)
        .wake_on_abort(true)
        .connect(controller, controller.local_node(), id)
        .map_err(|error| Failure::rsm(format!("cannot connect to segment {id}"), error))
}

/// Where a transfer begins and how many bytes the segment has from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub offset: usize,
    pub room: usize,
}

impl Place {
    /// The place `offset` in a segment of `len` bytes.
    pub fn new(offset: u64, len: usize) -> Result<Self> {
        match usize::try_from(offset) {
            Ok(offset) if offset <= len => Ok(Self {
                offset,
                room: len - offset,
            }),
            _ => Err(Failure::usage(format!(
                "--offset {offset} is beyond the segment's end: it has {len} bytes"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = Place::new(4095, 4096).unwrap();
        assert_eq!((place.offset, place.room), (4095, 1));
        assert_eq!(Place::new(4096, 4096).unwrap().room, 0);
        assert!(Place::new(4097, 4096).is_err());
        assert!(Place::new(u64::MAX, 4096).is_err());
    }
}
