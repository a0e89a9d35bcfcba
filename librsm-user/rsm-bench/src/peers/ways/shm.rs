// SPDX-License-Identifier: MIT OR Apache-2.0
//! POSIX shared memory, found by name.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;

use super::memfd::MappedFile;
use super::Way;
use crate::memory::Map;
use crate::peers::key::{Column, Memory};
use crate::peers::link::Link;
use crate::peers::sheet::Side;

/// Nothing is needed.
#[derive(Debug)]
pub struct Shm;

/// Memory with a name, until it is dropped.
#[derive(Debug)]
pub struct Named {
    file: MappedFile,
    name: Name,
}

/// Removed when dropped.
#[derive(Debug)]
struct Name(u64);

/// The exporter's process id, and how many it has had before.
fn name(number: u64) -> String {
    format!("/rsm-bench-{}-{}", number >> 32, number as u32)
}

static MADE: AtomicU64 = AtomicU64::new(0);

impl Drop for Name {
    fn drop(&mut self) {
        let result = shm_unlink(name(self.0).as_str());
        debug_assert!(result.is_ok(), "shm_unlink: {result:?}");
    }
}

impl Way for Shm {
    const COLUMN: Column = Column::Shm;
    type Owned = Named;
    type Rest = ();
    type Handle = OwnedFd;
    type Window = Map;

    fn open() -> Result<Self> {
        Ok(Self)
    }

    fn make(&self, side: &mut Side, memory: Memory) -> Result<Named> {
        let before = MADE.fetch_add(1, Ordering::Relaxed);
        let number = (u64::from(std::process::id()) << 32) | before;
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR;
        let new = || shm_open(name(number).as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR);
        let file = MappedFile::make(side, memory, new)?;
        Ok(Named {
            file,
            name: Name(number),
        })
    }

    fn publish(&self, owned: &Named) -> Result<u64> {
        Ok(owned.name.0)
    }

    fn revoke(&self, owned: &Named) -> Result<()> {
        owned.file.empty()
    }

    fn destroy(&self, owned: Named) -> Result<()> {
        drop(owned);
        Ok(())
    }

    fn connect(&self, told: u64, _: &Link) -> Result<OwnedFd> {
        Ok(shm_open(name(told).as_str(), OFlag::O_RDWR, Mode::empty())?)
    }

    fn map(&self, handle: &OwnedFd, bytes: usize) -> Result<Map> {
        Map::shared(handle, bytes)
    }
}
