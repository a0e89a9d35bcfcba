// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments, through the crate.

use anyhow::{Context, Result};
use rsm::{
    Access, Controller, ExportBuffer, ExportOptions, ExportSegment, ImportSegment, Mapping,
    SegmentId,
};

use super::{Way, Window};
use crate::memory::{apart, View};
use crate::peers::key::{Column, Memory, Operation, Pages};
use crate::peers::link::Link;
use crate::peers::sheet::Side;

/// An open controller.
#[derive(Debug)]
pub struct Rsm {
    controller: Controller,
}

impl Rsm {
    /// Connects to a segment.
    pub fn import(&self, id: SegmentId) -> Result<ImportSegment> {
        let node = self.controller.local_node();
        Ok(ImportSegment::connect(
            &self.controller,
            node,
            id,
            Access::ReadWrite,
        )?)
    }
}

/// Memory that has been written to, no page beside its neighbour.
pub fn filled(memory: Memory) -> Result<ExportBuffer> {
    let mut buffer = match memory.pages {
        Pages::Small => ExportBuffer::new(memory.bytes),
        Pages::Huge => ExportBuffer::huge(memory.bytes),
    }?;
    let bytes = buffer.as_mut_slice();
    apart(memory.bytes, memory.pages.bytes()).for_each(|offset| bytes[offset] = 1);
    Ok(buffer)
}

impl Way for Rsm {
    const COLUMN: Column = Column::Rsm;
    type Owned = ExportSegment;
    type Rest = ExportBuffer;
    type Handle = ImportSegment;
    type Window = Mapping;

    fn open() -> Result<Self> {
        Ok(Self {
            controller: Controller::open()?,
        })
    }

    fn make(&self, side: &mut Side, memory: Memory) -> Result<ExportSegment> {
        let buffer = side.time(Operation::Fill.of(memory), || filled(memory))?;
        let options = ExportOptions::new().allow_rebind(true);
        let create = || options.create(&self.controller, buffer);
        let segment = side.time(Operation::Create.of(memory), create);
        segment.map_err(rsm::Error::from).context("create")
    }

    fn publish(&self, segment: &ExportSegment) -> Result<u64> {
        Ok(u64::from(segment.publish(None, &[])?.get()))
    }

    fn revoke(&self, segment: &ExportSegment) -> Result<()> {
        Ok(segment.unpublish()?)
    }

    fn destroy(&self, segment: ExportSegment) -> Result<ExportBuffer> {
        Ok(segment.destroy()?)
    }

    fn connect(&self, told: u64, _: &Link) -> Result<ImportSegment> {
        self.import(SegmentId::new(told as u32))
    }

    fn map(&self, import: &ImportSegment, bytes: usize) -> Result<Mapping> {
        Ok(import.map_window(0, bytes, Access::ReadWrite)?)
    }
}

impl Window for Mapping {
    fn view(&self) -> View<'_> {
        // SAFETY: mapped for reading and writing while it lives, and never lent as a reference.
        unsafe { View::new(self.as_ptr(), self.len()) }
    }
}
