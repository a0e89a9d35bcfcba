// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is played, one round at a time, and what of it is measured.

mod cycle;
mod kernel_memory;
mod life;
mod rebind;
mod revoke;
mod signals;
mod transfers;

use anyhow::Result;

use super::key::{Column, Memory, Operation, Pages};
use super::link::Link;
use super::sheet::{Sheet, Side};
use super::{stage, Options};
use crate::measure::Clock;

/// What scenes need to know, and where they leave what they have measured.
#[derive(Debug)]
pub struct Bench<'a> {
    pub options: &'a Options,
    pub clock: Clock,
    pub sheet: Sheet,
}

impl Bench<'_> {
    /// Memory of the usual amount.
    pub fn memory(&self, pages: Pages) -> Memory {
        let bytes = self.options.bytes();
        Memory { bytes, pages }
    }

    fn play(
        &mut self,
        column: Column,
        importers: usize,
        importer: impl Fn(&mut Side, &Link) -> Result<()>,
        exporter: impl FnOnce(&mut Side, &[Link]) -> Result<()>,
    ) -> Result<()> {
        let sheet = stage::play(self.clock, column, importers, importer, exporter)?;
        self.sheet.append(sheet);
        Ok(())
    }
}

/// A group of rows.
#[derive(Debug)]
pub struct Scene {
    /// For people.
    pub name: &'static str,
    /// Whether it takes so long that it is played less often.
    pub long: bool,
    /// Plays one round.
    pub play: fn(&mut Bench<'_>) -> Result<()>,
}

/// All of them.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "life",
        long: false,
        play: life::usual,
    },
    Scene {
        name: "large",
        long: true,
        play: life::large,
    },
    Scene {
        name: "cycle",
        long: false,
        play: cycle::play,
    },
    Scene {
        name: "transfers",
        long: false,
        play: transfers::play,
    },
    Scene {
        name: "signals",
        long: false,
        play: signals::play,
    },
    Scene {
        name: "revoke",
        long: false,
        play: revoke::few,
    },
    Scene {
        name: "revoke-many",
        long: true,
        play: revoke::many,
    },
    Scene {
        name: "rebind",
        long: false,
        play: rebind::play,
    },
    Scene {
        name: "kernel-memory",
        long: true,
        play: kernel_memory::play,
    },
];
