// SPDX-License-Identifier: GPL-2.0

//! A list of extents that takes no more memory than it must: single pages once it is longer than a
//! page, however long, and none in reserve once it is complete.

use crate::logic::extent::Extent;
use core::ops::Deref;
use kernel::alloc::flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN};
use kernel::alloc::{AllocError, Flags, KVec, VVec};
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

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

    /// Adds one at the end.
    pub(crate) fn push(&mut self, extent: Extent) -> Result<(), AllocError> {
        match self {
            Self::Short(list) if list.len() < SHORT => list.push(extent, flags()),
            Self::Short(list) => {
                let mut long = VVec::with_capacity(2 * SHORT, flags())?;
                long.extend_from_slice(list, flags())?;
                long.push(extent, flags())?;
                *self = Self::Long(long);
                Ok(())
            }
            Self::Long(list) => list.push(extent, flags()),
        }
    }

    /// Gives back the memory that is not needed, as far as that takes none.
    pub(crate) fn trim(&mut self) {
        // The other kind has at most a page.
        let Self::Long(list) = self else { return };
        let pages = |extents: usize| extents.div_ceil(SHORT);
        if pages(list.len()) == pages(list.capacity()) {
            return;
        }
        let copy = VVec::with_capacity(list.len(), flags()).and_then(|mut copy| {
            copy.extend_from_slice(list, flags())?;
            Ok(copy)
        });
        if let Ok(copy) = copy {
            *list = copy;
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
