// SPDX-License-Identifier: GPL-2.0

//! Imports: a connection to one publication of a segment, and the descriptor that stands for it.
//!
//! An import lives for as long as its file: until the last descriptor is closed and the last mapping
//! is gone.

use crate::device::Controller;
use crate::kapi::file::{self, AnonFile, FileObject, FileOps};
use crate::kapi::vma::NewVma;
use crate::logic::access::Rights;
use crate::logic::status::Status;
use crate::segment::{Connection, Segment};
use crate::stats::{Live, What};
use crate::trash::Views;
use crate::uapi::{rsm_import_connect, Commit, Fail};
use crate::{loopback, mapping};
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::Arc;

/// An import.
#[pin_data]
pub(crate) struct Import {
    connection: Connection,
    rights: Rights,
    #[pin]
    views: Views,
    _live: Live,
}

impl Import {
    /// The segment, in whatever state.
    pub(crate) fn segment(&self) -> &Segment {
        self.connection.segment()
    }

    /// What the connection may do.
    pub(crate) fn rights(&self) -> Rights {
        self.rights
    }

    /// What its mappings hold after a revocation.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// Whether the connection is live. Stays so while the segment's life lock is held.
    pub(crate) fn is_live(&self) -> bool {
        self.connection.slot().is_live()
    }
}

/// RSM_IMPORT_CONNECT.
pub(crate) fn connect(
    controller: &Controller,
    args: &mut rsm_import_connect,
) -> Result<Commit, Fail> {
    let want = Rights::from_bits(args.perm).ok_or(Status::PermDenied)?;
    loopback::reach(args.node)?;
    let id = args.segment_id;
    let segment = controller
        .registry()
        .find(id)
        .ok_or(Status::SegNotPublished)?;
    // Asked for here for the sake of the order of errors, and again when the connection is made.
    segment.check_access(id, want)?;

    let fd = file::reserve_fd()?;
    let file = AnonFile::with_mapping(c"[rsm-import]", &FILE_OPS, segment.mapping())?;
    let connection = segment.connect(id, want, controller.status().claim()?)?;
    args.fd = fd.reserved_fd() as i32;
    args.status_slot = connection.slot().index();
    args.generation = connection.slot().generation();
    args.length = segment.pages().saturating_mul(PAGE_SIZE as u64);
    let import = Arc::pin_init(
        pin_init!(Import {
            connection,
            rights: want,
            views <- Views::new(),
            _live: Live::one(What::Import),
        }),
        GFP_KERNEL_ACCOUNT,
    )?;
    Ok(Commit::Fd(file.finish(import, fd)))
}

static FILE_OPS: FileOps<Import> = FileOps::new();

impl FileObject for Import {
    const MMAP: bool = true;

    fn mmap(&self, vma: NewVma<'_, Self>) -> Result {
        mapping::map(self, vma)
    }

    fn phase(&self) -> u64 {
        self.segment().phase()
    }
}
