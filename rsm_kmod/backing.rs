// SPDX-License-Identifier: GPL-2.0

//! The memory behind a segment: watched, pinned, and charged.

use crate::kapi::charge::Charge;
use crate::kapi::pin::Pinned;
use crate::kapi::{caller, vma};
use crate::limits::{Counted, Ticket, User};
use crate::logic::extent::Extent;
use crate::logic::status::Status;
use crate::stats::{Live, What};
use crate::watch::{Watch, Watching};
use kernel::sync::Arc;

/// Pinned memory, charged to its owner, and given back when dropped (which sleeps).
pub(crate) struct Memory {
    // Fields are dropped in order: unpin first, then credit.
    pinned: Pinned,
    _live: Live,
    _charge: Charge,
    _ticket: Ticket,
}

impl Memory {
    /// The frames.
    pub(crate) fn extents(&self) -> &[Extent] {
        self.pinned.extents()
    }
}

/// Memory, and the watch on it. The watch outlives the memory where the exporter took it away:
/// who is told of that must not remove the watch.
pub(crate) struct Backing {
    memory: Option<Memory>,
    watching: Watching,
}

impl Backing {
    /// Watches, charges and pins `pages` pages of the caller's memory at `addr`. No lock may be
    /// held.
    ///
    /// Looking at the mappings and pinning what they hold are two steps. What happens in between is
    /// told to the watch, so that it cannot be [armed](Watch::arm).
    pub(crate) fn new(addr: u64, pages: u64, user: &Arc<User>) -> Result<Self, Status> {
        let mm = caller::mm().ok_or(Status::BadAddr)?;
        // What the user may have comes first: nobody takes more than that from the machine's, even
        // for a moment.
        let charge = Charge::new(mm.clone(), pages).map_err(|_| Status::InsufficientMem)?;
        let ticket = Ticket::new(Counted::Pages, pages)?;
        let watching = Watching::new(&mm, addr, pages, user)?;
        vma::check_exportable(kernel::current!().mm().ok_or(Status::BadAddr)?, addr, pages)?;
        let pinned = match Pinned::new(addr, pages) {
            // The mappings may have changed since they were looked at: then they say why.
            Err(Status::BadAddr) => {
                vma::check_exportable(
                    kernel::current!().mm().ok_or(Status::BadAddr)?,
                    addr,
                    pages,
                )?;
                return Err(Status::BadAddr);
            }
            result => result?,
        };
        Ok(Self {
            memory: Some(Memory {
                _live: Live::many(What::PinnedPage, pages),
                pinned,
                _charge: charge,
                _ticket: ticket,
            }),
            watching,
        })
    }

    /// The memory, unless the exporter took it away.
    pub(crate) fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Takes the memory out, to be dropped with no lock held.
    pub(crate) fn take_memory(&mut self) -> Option<Memory> {
        self.memory.take()
    }

    /// The watch.
    pub(crate) fn watch(&self) -> &Arc<Watch> {
        self.watching.watch()
    }
}
