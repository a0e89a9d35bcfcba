// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ways of having the same memory in two processes.

mod memfd;
mod rsm;
mod shm;

pub use self::memfd::Memfd;
pub use self::rsm::{filled, Rsm};
pub use self::shm::Shm;

use anyhow::Result;

use super::key::{Column, Memory};
use super::link::Link;
use super::sheet::Side;
use crate::memory::{Map, View};

/// A way. There is one value of it in each process.
pub trait Way: Sized {
    /// Where its costs stand.
    const COLUMN: Column;
    /// What the exporter has.
    type Owned;
    /// What remains of that when it is not shared any more.
    type Rest;
    /// What the importer has.
    type Handle;
    /// What the importer has mapped.
    type Window: Window;

    /// What a process needs.
    fn open() -> Result<Self>;

    /// Makes memory, writes to each page, and makes it something to share; notes what each costs.
    fn make(&self, side: &mut Side, memory: Memory) -> Result<Self::Owned>;

    /// Lets importers at it. Returns what they must be told.
    fn publish(&self, owned: &Self::Owned) -> Result<u64>;

    /// Lets one importer in, where each is let in by himself.
    fn admit(&self, _: &Self::Owned, _: &Link) -> Result<()> {
        Ok(())
    }

    /// Takes it away from all importers.
    fn revoke(&self, owned: &Self::Owned) -> Result<()>;

    /// Gives up what was made to share.
    fn destroy(&self, owned: Self::Owned) -> Result<Self::Rest>;

    /// Gets at it.
    fn connect(&self, told: u64, link: &Link) -> Result<Self::Handle>;

    /// Maps the first bytes.
    fn map(&self, handle: &Self::Handle, bytes: usize) -> Result<Self::Window>;
}

/// A mapping.
pub trait Window {
    /// What is mapped.
    fn view(&self) -> View<'_>;
}

impl Window for Map {
    fn view(&self) -> View<'_> {
        Map::view(self)
    }
}
