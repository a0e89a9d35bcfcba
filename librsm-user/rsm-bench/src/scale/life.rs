// SPDX-License-Identifier: MIT OR Apache-2.0
//! One segment's life, each step of it measured.

use anyhow::Result;

use super::population::Population;
use crate::device;
use crate::measure::Clock;
use crate::memory::{Map, PAGE};

/// A step.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Create,
    Publish,
    Connect,
    ConnectOther,
    Disconnect,
    Map,
    Touch,
    Post,
    Wait,
    PostToImporter,
    WaitOfImporter,
    Unpublish,
    Unmap,
    DisconnectAborted,
    Destroy,
    Close,
}

impl Operation {
    /// All, in order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Create,
        Self::Publish,
        Self::Connect,
        Self::ConnectOther,
        Self::Disconnect,
        Self::Map,
        Self::Touch,
        Self::Post,
        Self::Wait,
        Self::PostToImporter,
        Self::WaitOfImporter,
        Self::Unpublish,
        Self::Unmap,
        Self::DisconnectAborted,
        Self::Destroy,
        Self::Close,
    ];

    /// What it is called in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Publish => "publish",
            Self::Connect => "connect",
            Self::ConnectOther => "connect, to any other",
            Self::Disconnect => "disconnect",
            Self::Map => "map",
            Self::Touch => "first touch",
            Self::Post => "post, to the exporter",
            Self::Wait => "wait, exporter",
            Self::PostToImporter => "post, to the importer",
            Self::WaitOfImporter => "wait, importer",
            Self::Unpublish => "unpublish, one window",
            Self::Unmap => "unmap",
            Self::DisconnectAborted => "disconnect, aborted",
            Self::Destroy => "destroy",
            Self::Close => "close",
        }
    }
}

/// Lives such lives, among others.
#[derive(Debug)]
pub struct Probe {
    memory: Map,
    random: u64,
}

impl Probe {
    /// With memory of its own.
    pub fn new() -> Result<Self> {
        Ok(Self {
            memory: Map::anonymous(PAGE)?,
            random: 1,
        })
    }

    /// Lives one life. `record` is told what each step cost.
    pub fn live(
        &mut self,
        others: &Population,
        clock: &Clock,
        record: &mut impl FnMut(Operation, u64),
    ) -> Result<()> {
        macro_rules! measured {
            ($operation:ident, $what:expr) => {{
                let (cost, result) = clock.time(|| $what);
                record(Operation::$operation, cost);
                result
            }};
        }
        let controller = others.controller();
        let export = measured!(Create, controller.create(self.memory.page(0), PAGE))?;
        let id = measured!(Publish, device::publish(&export))?;
        let import = measured!(Connect, controller.connect(id))?;
        if let Some(other) = self.any(others.ids()) {
            let import = measured!(ConnectOther, controller.connect(other))?;
            measured!(Disconnect, drop(import));
        }
        let window = measured!(Map, Map::shared(&import, PAGE))?;
        measured!(Touch, window.touch());
        measured!(Post, device::post(&import))?;
        measured!(Wait, device::wait(&export))?;
        measured!(PostToImporter, device::post(&export))?;
        measured!(WaitOfImporter, device::wait(&import))?;
        measured!(Unpublish, device::unpublish(&export))?;
        measured!(Unmap, drop(window));
        measured!(DisconnectAborted, drop(import));
        measured!(Destroy, device::destroy(&export))?;
        measured!(Close, drop(export));
        Ok(())
    }

    /// Any one of them.
    fn any(&mut self, ids: &[u32]) -> Option<u32> {
        // A linear congruential generator, of which the upper bits are good.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let index = (self.random >> 33) as usize % ids.len().max(1);
        ids.get(index).copied()
    }
}
