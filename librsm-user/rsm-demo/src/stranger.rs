// SPDX-License-Identifier: MIT OR Apache-2.0
//! The part of the user whom the access list does not admit.

use rsm::{Access, Controller, ImportSegment, SegmentId};

use crate::actor::{Failure, Line};

pub fn play(line: &mut Line, controller: &Controller) -> Result<(), Failure> {
    let id = SegmentId::new(line.hear("intrude")?.number(0)?.try_into()?);
    let result = ImportSegment::connect(controller, controller.local_node(), id, Access::Read);
    let code = result.map_or_else(|error| error.status().code(), |_| 0);
    line.say(&[&"result", &code])?;
    Ok(())
}
