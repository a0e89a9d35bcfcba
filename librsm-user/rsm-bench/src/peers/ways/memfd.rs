// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory files, handed over through a Unix socket.

use std::os::fd::{AsFd, OwnedFd};

use anyhow::Result;
use nix::sys::memfd::{memfd_create, MFdFlags};
use nix::unistd::ftruncate;

use super::Way;
use crate::memory::Map;
use crate::peers::key::{Column, Memory, Operation, Pages};
use crate::peers::link::Link;
use crate::peers::sheet::Side;

/// Nothing is needed.
#[derive(Debug)]
pub struct Memfd;

/// A file, mapped by its maker.
#[derive(Debug)]
pub struct MappedFile {
    pub(super) file: OwnedFd,
    _map: Map,
}

impl MappedFile {
    /// Makes a file with `new`, and maps and fills it.
    pub(super) fn make(
        side: &mut Side,
        memory: Memory,
        new: impl FnOnce() -> nix::Result<OwnedFd>,
    ) -> Result<Self> {
        let create = || -> Result<_> {
            let file = new()?;
            ftruncate(&file, memory.bytes as i64)?;
            Ok(file)
        };
        let file = side.time(Operation::Create.of(memory), create)?;
        let fill = || -> Result<_> {
            let map = Map::shared(&file, memory.bytes)?;
            if memory.pages == Pages::Huge {
                map.advise_huge();
            }
            map.view().mark(memory.pages.bytes());
            Ok(map)
        };
        let map = side.time(Operation::Fill.of(memory), fill)?;
        Ok(Self { file, _map: map })
    }

    /// Takes its memory away, from everybody: content and all.
    pub(super) fn empty(&self) -> Result<()> {
        Ok(ftruncate(&self.file, 0)?)
    }
}

impl Way for Memfd {
    const COLUMN: Column = Column::Memfd;
    type Owned = MappedFile;
    type Rest = ();
    type Handle = OwnedFd;
    type Window = Map;

    fn open() -> Result<Self> {
        Ok(Self)
    }

    fn make(&self, side: &mut Side, memory: Memory) -> Result<MappedFile> {
        let new = || memfd_create(c"rsm-bench", MFdFlags::MFD_CLOEXEC);
        MappedFile::make(side, memory, new)
    }

    fn publish(&self, _: &MappedFile) -> Result<u64> {
        Ok(0)
    }

    fn admit(&self, owned: &MappedFile, link: &Link) -> Result<()> {
        link.send(owned.file.as_fd())
    }

    fn revoke(&self, owned: &MappedFile) -> Result<()> {
        owned.empty()
    }

    fn destroy(&self, owned: MappedFile) -> Result<()> {
        drop(owned);
        Ok(())
    }

    fn connect(&self, _: u64, link: &Link) -> Result<OwnedFd> {
        link.receive()
    }

    fn map(&self, handle: &OwnedFd, bytes: usize) -> Result<Map> {
        Map::shared(handle, bytes)
    }
}
