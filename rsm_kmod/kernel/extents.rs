// SPDX-License-Identifier: GPL-2.0

//! A list of extents that takes no more memory than it must: single pages once it is longer than a
//! page, however long, and none in reserve once it is complete.

use crate::logic::extent::{self, Batch, Extent};
use core::ops::Deref;
use kernel::alloc::flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN};
use kernel::alloc::{AllocError, Allocator, Flags, KVec, VVec, Vec};
use kernel::bindings;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

/// Part of the room that may stay unused: copying a list to save less costs more than that is worth.
const SLACK: usize = 8;

/// Extents that a page has room for.
const SHORT: usize = PAGE_SIZE / size_of::<Extent>();

/// A caller can ask for more than there is; that is no reason for a warning.
fn flags() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// The list.
pub(crate) enum Extents {
    /// Of at most [`SHORT`] extents, in a part of a page.
    Short(KVec<Extent>),
    /// In pages that need not be neighbours.
    Long(VVec<Extent>),
}

impl Extents {
    /// None.
    pub(crate) const fn new() -> Self {
        Self::Short(KVec::new())
    }

    /// Adds those of a batch at the end, of a segment of `total` pages. If that fails, what has been
    /// added so far stays.
    pub(crate) fn append(
        &mut self,
        batch: &mut Batch<'_, bindings::page>,
        total: u64,
    ) -> Result<(), AllocError> {
        loop {
            match self {
                Self::Short(list) => Self::fill(list, batch),
                Self::Long(list) => Self::fill(list, batch),
            }
            if batch.rest().is_empty() {
                return Ok(());
            }
            self.grow(extent::expected(self.len(), batch.pages(), total))?;
        }
    }

    /// Adds as many of a batch as there is room for.
    fn fill<A: Allocator>(list: &mut Vec<Extent, A>, batch: &mut Batch<'_, bindings::page>) {
        let added = batch.fill(list.spare_capacity_mut());
        // SAFETY: So many have been stored, in order, where there was room.
        unsafe { list.inc_len(added) };
    }

    /// Makes room: for twice as many as there are, or for as many as are expected if those are more.
    #[cold]
    fn grow(&mut self, expected: usize) -> Result<(), AllocError> {
        match self {
            Self::Short(list) if list.len() < SHORT => list.reserve(1, flags()),
            _ => {
                let twice = self.len().saturating_mul(2);
                let long = self
                    .copied(twice.max(expected))
                    // It may not come to so many.
                    .or_else(|_| self.copied(twice))?;
                *self = Self::Long(long);
                Ok(())
            }
        }
    }

    /// A copy of the list, with room for `room`.
    fn copied(&self, room: usize) -> Result<VVec<Extent>, AllocError> {
        let mut copy = VVec::with_capacity(room, flags())?;
        copy.extend_from_slice(self, flags())?;
        Ok(copy)
    }

    /// Gives back the memory that is not needed, as far as that takes none, and if it is worth it.
    pub(crate) fn trim(&mut self) {
        // The other kind has at most a page.
        let Self::Long(list) = self else { return };
        let pages = |extents: usize| extents.div_ceil(SHORT);
        let unused = pages(list.capacity()).saturating_sub(pages(list.len()));
        if unused == 0 || unused <= pages(list.capacity()) / SLACK {
            return;
        }
        if let Ok(copy) = self.copied(self.len()) {
            *self = Self::Long(copy);
        }
    }
}

impl Deref for Extents {
    type Target = [Extent];

    fn deref(&self) -> &[Extent] {
        match self {
            Self::Short(list) => list,
            Self::Long(list) => list,
        }
    }
}
