// SPDX-License-Identifier: GPL-2.0

//! Imports: a connection to one publication of a segment, and the descriptor that stands for it.
//!
//! An import lives for as long as its file: until the last descriptor is closed and the last mapping
//! is gone.

use crate::connection::{Connection, Peer};
use crate::device::Controller;
use crate::kapi::file::{self, AnonFile, FileObject, FileOps};
use crate::kapi::params;
use crate::kapi::trace;
use crate::kapi::vma::NewVma;
use crate::kapi::waitqueue::Poll;
use crate::limits::{Counted, Owned, Share, Ticket, User};
use crate::logic::access::Rights;
use crate::logic::range;
use crate::logic::status::Status;
use crate::mapping;
use crate::segment::Segment;
use crate::stats::{Live, What};
use crate::trash::Views;
use crate::uapi::{
    self, rsm_event_post, rsm_event_wait, rsm_import_connect, rsm_import_prefault, Commit, Fail,
    RSM_CMD_EVENT_POST, RSM_CMD_EVENT_WAIT, RSM_CMD_IMPORT_PREFAULT, RSM_EVENT_NO_ACCUMULATE,
    RSM_IMPORT_SIGBUS, RSM_IMPORT_WAKE_ON_ABORT,
};
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::fs::file::FileDescriptorReservation;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::seq_print;
use kernel::sync::{Arc, ArcBorrow};

/// An import.
#[pin_data]
pub(crate) struct Import {
    connection: Connection,
    /// Access after a revocation is an error, not private memory.
    sigbus: bool,
    #[pin]
    views: Views,
    share: Share,
    _ticket: Ticket,
    _live: Live,
}

impl Import {
    /// The segment, in whatever state.
    pub(crate) fn segment(&self) -> &Segment {
        self.connection.segment()
    }

    /// What the connection may do.
    pub(crate) fn rights(&self) -> Rights {
        self.connection.peer().rights()
    }

    /// What its mappings hold after a revocation.
    pub(crate) fn views(&self) -> &Views {
        &self.views
    }

    /// Whose it is.
    pub(crate) fn user(&self) -> &Arc<User> {
        self.share.user()
    }

    /// Whether access after a revocation is an error.
    pub(crate) fn wants_sigbus(&self) -> bool {
        self.sigbus
    }

    /// Whether the connection is live. Stays so while the segment's life lock is held; a post asks
    /// under the counter's lock instead, which the end of connections takes once.
    pub(crate) fn is_live(&self) -> bool {
        self.connection.peer().slot().is_live()
    }

    /// Fails if there are as many mappings as there may be.
    pub(crate) fn check_mappings(&self) -> Result<(), Status> {
        match params::max_import_mappings() {
            0 => Ok(()),
            most if self.connection.peer().mappings() < most => Ok(()),
            _ => Err(Status::InsufficientResources),
        }
    }

    /// Counts a new mapping of `pages` pages, if that is allowed.
    pub(crate) fn begin_mapping(&self, pages: u64) -> Result<(), Status> {
        self.check_mappings()?;
        self.share.user().take(Owned::Mapping)?;
        self.connection.peer().add_mapping(pages);
        Ok(())
    }

    /// Counts a mapping that the kernel has made, and that cannot be refused: of a forked process,
    /// or a part of another, which adds no pages.
    pub(crate) fn add_mapping(&self, pages: u64) {
        self.share.user().add(Owned::Mapping);
        self.connection.peer().add_mapping(pages);
    }

    /// Discounts a mapping of `pages` pages.
    pub(crate) fn end_mapping(&self, pages: u64) {
        self.connection.peer().end_mapping(pages);
        self.share.user().give_back(Owned::Mapping);
    }
}

/// What an import takes, before it is connected.
struct Prepared {
    share: Share,
    ticket: Ticket,
    fd: FileDescriptorReservation,
    file: AnonFile<Import>,
    peer: Arc<Peer>,
}

impl Prepared {
    fn new(
        controller: &Controller,
        segment: &Segment,
        want: Rights,
        flags: u32,
    ) -> Result<Self, Fail> {
        let wake = flags & RSM_IMPORT_WAKE_ON_ABORT != 0;
        Ok(Self {
            share: Share::new(controller.user(), Owned::Import)?,
            ticket: Ticket::new(Counted::Imports, 1)?,
            fd: file::reserve_fd()?,
            file: AnonFile::with_mapping(c"[rsm-import]", &FILE_OPS, segment.mapping())?,
            peer: Peer::new(controller.status().claim()?, want, wake)?,
        })
    }
}

/// RSM_IMPORT_CONNECT.
pub(crate) fn connect(
    controller: &Controller,
    args: &mut rsm_import_connect,
) -> Result<Commit, Fail> {
    let want = Rights::from_bits(args.perm).ok_or(Status::PermDenied)?;
    controller.interconnect().reach(args.node)?;
    let id = args.segment_id;
    let segment = controller.names().find(id).ok_or(Status::SegNotPublished)?;
    let prepared = Prepared::new(controller, &segment, want, args.flags);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(fail) => {
            // The connection asks for access; if it does not come to that, this has to: who has none
            // is told so and nothing else.
            segment.check_access(id, want)?;
            return Err(fail);
        }
    };
    let Prepared {
        share,
        ticket,
        fd,
        file,
        peer,
    } = prepared;
    let connection = segment.connect(id, want, peer)?;
    let slot = connection.peer().slot();
    args.fd = fd.reserved_fd() as i32;
    args.status_slot = slot.index();
    args.generation = slot.generation();
    args.length = segment.pages().saturating_mul(PAGE_SIZE as u64);
    let sigbus = args.flags & RSM_IMPORT_SIGBUS != 0;
    let import = Arc::pin_init(
        pin_init!(Import {
            connection,
            sigbus,
            views <- Views::new(),
            share,
            _ticket: ticket,
            _live: Live::one(What::Import),
        }),
        GFP_KERNEL_ACCOUNT,
    )?;
    trace::connect(segment.number(), id, args.perm);
    Ok(Commit::Fd(file.finish(import, fd)))
}

/// RSM_IMPORT_PREFAULT.
fn prefault(import: &Import, args: &mut rsm_import_prefault) -> Result<Commit, Fail> {
    let end = range::user_range(args.addr, args.length, PAGE_SIZE as u64)?;
    mapping::prefault(import, args.addr, end)?;
    Ok(Commit::None)
}

/// RSM_EVENT_POST.
fn post(import: &Import, args: &mut rsm_event_post) -> Result<Commit, Fail> {
    let accumulate = args.flags & RSM_EVENT_NO_ACCUMULATE == 0;
    let events = import.segment().events();
    if events.post(accumulate, || import.is_live()) {
        Ok(Commit::None)
    } else {
        Err(Status::ConnAborted.into())
    }
}

/// RSM_EVENT_WAIT.
fn wait(import: &Import, args: &mut rsm_event_wait) -> Result<Commit, Fail> {
    let waited = import.connection.peer().events().wait(args.timeout_ms);
    waited.map_err(|status| Fail::of_wait(status, args.timeout_ms))?;
    Ok(Commit::None)
}

static FILE_OPS: FileOps<Import> = FileOps::new();

impl FileObject for Import {
    const IOCTL: bool = true;
    const MMAP: bool = true;
    const POLL: bool = true;
    const DESCRIBED: bool = true;

    fn ioctl(this: ArcBorrow<'_, Self>, cmd: u32, arg: usize) -> Result {
        match uapi::command(cmd) {
            Some(RSM_CMD_IMPORT_PREFAULT) => uapi::run(cmd, arg, |args| prefault(&this, args)),
            Some(RSM_CMD_EVENT_POST) => uapi::run(cmd, arg, |args| post(&this, args)),
            Some(RSM_CMD_EVENT_WAIT) => uapi::run(cmd, arg, |args| wait(&this, args)),
            _ => Err(ENOTTY),
        }
    }

    fn mmap(&self, vma: NewVma<'_, Self>) -> Result {
        mapping::map(self, vma)
    }

    fn phase(&self) -> u64 {
        self.segment().phase()
    }

    fn poll(&self, poll: Poll) -> u32 {
        self.connection.peer().events().poll(poll)
    }

    fn describe(&self, out: &SeqFile) {
        let live = if self.is_live() { "live" } else { "aborted" };
        seq_print!(out, "rsm-connection:\t{live}\n");
        seq_print!(out, "rsm-segment-id:\t{:#010x}\n", self.connection.id());
        seq_print!(out, "rsm-rights:\t{}\n", self.rights().letters());
        let bytes = self.segment().pages().saturating_mul(PAGE_SIZE as u64);
        seq_print!(out, "rsm-length:\t{bytes}\n");
        seq_print!(
            out,
            "rsm-mappings:\t{}\n",
            self.connection.peer().mappings()
        );
        let pending = self.connection.peer().events().pending();
        seq_print!(out, "rsm-events:\t{pending}\n");
    }
}
