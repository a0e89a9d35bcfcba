// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments, each published, each with an import, that are there while something is measured.
//!
//! One process has all of them: what is kept per process (descriptors, watches of the address
//! space, status slots) is then as full as what is kept for the machine.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};

use crate::device::{self, Controller};
use crate::memory::{Map, PAGE};

/// The population.
#[derive(Debug)]
pub struct Population {
    exports: Vec<OwnedFd>,
    imports: Vec<OwnedFd>,
    ids: Vec<u32>,
    controllers: Vec<Controller>,
    /// Has the first status slot while imports are added. It is free otherwise, with all those after
    /// it taken: the next free one is as far away as it can be.
    first: Option<OwnedFd>,
    /// A page for each segment; dropped after them.
    memory: Map,
}

/// Status slots of a controller that are left free: the first one, and some at the end.
const SPARE_SLOTS: usize = 16;

impl Population {
    /// None, with memory for `most`.
    pub fn new(most: usize) -> Result<Self> {
        Ok(Self {
            exports: Vec::with_capacity(most),
            imports: Vec::with_capacity(most),
            ids: Vec::with_capacity(most),
            controllers: vec![Controller::open()?],
            first: None,
            memory: Map::anonymous(most.max(1) * PAGE).context("memory for the segments")?,
        })
    }

    /// Adds segments and imports until there are `number` of each.
    pub fn grow_to(&mut self, number: usize) -> Result<()> {
        if let Some(&id) = self.ids.first() {
            self.first = Some(self.controllers[0].connect(id)?);
        }
        while self.exports.len() < number {
            let page = self.exports.len();
            let what = || format!("segment {page} of {number}");
            self.add(page).with_context(what)?;
        }
        self.first = None;
        Ok(())
    }

    fn add(&mut self, page: usize) -> Result<()> {
        let room = self.controllers[0].slots() - SPARE_SLOTS;
        if self.imports.len() >= room * self.controllers.len() {
            self.controllers.push(Controller::open()?);
        }
        let newest = self.controllers.len() - 1;
        let controller = &self.controllers[newest];
        let export = controller.create(self.memory.page(page), PAGE)?;
        let id = device::publish(&export)?;
        if page == 0 {
            self.first = Some(controller.connect(id)?);
        }
        self.imports.push(controller.connect(id)?);
        self.exports.push(export);
        self.ids.push(id);
        Ok(())
    }

    /// The controller with the fewest free status slots.
    pub fn controller(&self) -> &Controller {
        &self.controllers[0]
    }

    /// Segment ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}
