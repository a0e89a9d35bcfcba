// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory between processes that its owner can take back at any moment.
//!
//! One process *exports* memory of its own and *publishes* it under a segment id with
//! an access list; others *connect* and map it. When the exporter destroys the segment,
//! or dies, no importer reaches the memory any more. Importers are not killed: their
//! mappings turn into zero-filled memory of their own, and the next check of the
//! connection says [`Status::ConnAborted`].
//!
//! ```no_run
//! use rsm::{Access, AccessEntry, Controller, ExportBuffer, ExportSegment, ImportSegment};
//!
//! # fn main() -> rsm::Result<()> {
//! // The exporter:
//! let controller = Controller::open()?;
//! let mut buffer = ExportBuffer::new(1 << 20)?;
//! buffer.as_mut_slice()[..5].copy_from_slice(b"hello");
//! let segment = ExportSegment::create(&controller, buffer)?;
//! let id = segment.publish(None, &[AccessEntry::new(controller.local_node(), 0o644)])?;
//!
//! // An importer, usually in another process:
//! let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
//! let mapping = import.map()?;
//! let mut word = [0; 5];
//! mapping.read_at(0, &mut word)?;
//! import.check()?; // what was read is what the exporter shared
//!
//! // The exporter takes the memory back; it alone can reach it now.
//! let buffer = segment.destroy()?;
//! assert_eq!(&buffer.as_slice()[..5], b"hello");
//! assert!(import.check().is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Rules of shared memory
//!
//! Memory that another process may change at any moment is never lent as `&[u8]`:
//! [`SharedBytes`] copies in and out, gives [typed views](SharedBytes::view),
//! [atomics](SharedBytes::atomic_u64) and [streams](SharedBytes::cursor). Aligned elements
//! of 2, 4 and 8 bytes are never torn.
//!
//! What an importer's mapping cannot do: it cannot be pinned, so `O_DIRECT`, RDMA
//! registration, `process_vm_readv` and debuggers do not reach it, and a process-shared
//! futex in it fails with `EFAULT`. Therefore there are no locks across processes here:
//! use atomics in the segment, and a [`Signal`] to wait on.
//!
//! # Work in place, or put and get
//!
//! | | [`ImportSegment::map`] and [`Mapping`] | [`ImportSegment::put`], `get` and their kin |
//! |---|---|---|
//! | offsets count from | the window's beginning | the segment's beginning |
//! | the mapping | is the caller's | is made at the first transfer, and is on the whole segment |
//! | a lost connection | is told by [`check`](Mapping::check), or by the close of a [`Barrier`] | is told by each transfer, or in explicit [mode](BarrierMode) as in place |
//!
//! Neither makes a system call once the mapping is there, nor do barriers: whether the
//! connection is live is a word in memory that the kernel changes before it takes the first
//! page away.
//!
//! # The RSMAPI's functions
//!
//! | `rsm_…` | here |
//! |---|---|
//! | `get_controller`, `release_controller` | [`Controller::open_named`], drop |
//! | `get_controller_attr` | [`Controller::attributes`] |
//! | `get_interconnect_topology`, `free_…` | [`Controller::topology`] |
//! | `get_segmentid_range` | [`SegmentIdRange::of`] |
//! | `memseg_export_create`, `destroy` | [`ExportSegment::create`], [`ExportOptions`], [`ExportSegment::destroy`] |
//! | `memseg_export_publish`, `unpublish`, `republish`, `rebind` | [`ExportSegment::publish`] and so on |
//! | `memseg_import_connect`, `disconnect` | [`ImportSegment::connect`], [`ImportOptions`], drop |
//! | `memseg_import_map`, `unmap` | [`ImportSegment::set_window`], [`ImportSegment::take_window`]; or [`ImportSegment::map`] |
//! | `memseg_import_put`, `put8` … `put64`, `get` … | [`ImportSegment::put`], [`ImportSegment::put8`] and so on |
//! | `memseg_import_putv`, `getv` | [`ImportSegment::putv`], [`ImportSegment::getv`] |
//! | `create_localmemory_handle`, `free_…` | [`LocalMemory`] |
//! | `memseg_import_init_barrier`, `open_barrier`, `order_barrier`, `close_barrier`, `destroy_barrier` | [`ImportSegment::open_barrier`], [`Barrier`] |
//! | `memseg_import_set_mode`, `get_mode` | [`ImportSegment::set_mode`], [`ImportSegment::mode`] |
//! | `intr_signal_post`, `intr_signal_wait` | [`Signal::post`], [`Signal::wait`] |
//! | `memseg_get_pollfd`, `release_pollfd` | [`Signal`] is a descriptor, see also [`Readiness`] |
//! | `intr_signal_wait_pollfd` | [`wait_any`] |
//!
//! In place of an initialised barrier, implicit mode needs nothing. Where the RSMAPI has
//! several results for one mistake, or a mistake cannot be made here (no handle is null, no
//! segment is of the wrong kind), the remaining ones are those of the RSMAPI:
//! [`Status`] has them all.
//!
//! # When memory is short
//!
//! Memory of the heap that is refused is a failure, [`Status::InsufficientMem`], of those
//! who need some: [`Controller::open`], [`ExportSegment::create`], [`ImportSegment::connect`],
//! [`wait_any`]. They have it before they ask the module for anything, so nothing has
//! changed. All others need none, nor do mappings, transfers and drops; except for the
//! second of two threads that make an import's window at the same moment. What the standard
//! library allocates, for text made of an error, an [`std::io::Error`], a long path
//! ([`SegmentIdRange::of_file`]), ends the process when it is refused.
//!
//! # fork
//!
//! Descriptors and mappings are inherited, and nothing here takes a lock that a child could
//! find locked. A child may use inherited imports: transfers, windows, barriers, signals. A
//! revoked mapping is zero-filled for the child by itself. What the child drops is its own
//! copy.
//!
//! An exporter's child has a copy of the memory, not the memory, and only the process that
//! created an export may publish, rebind or destroy it. Anybody who has inherited it may
//! post and wait for signals.

#![deny(missing_docs)]

mod attributes;
mod barrier;
mod buffer;
mod controller;
mod copy;
mod counted;
mod cursor;
mod descriptor;
mod error;
mod export;
mod id;
mod import;
mod ioctl;
mod mapping;
mod replace;
mod room;
mod scatter;
mod segment_ids;
mod shared;
mod signal;
mod status_table;
#[cfg(test)]
mod threads;
mod transfer;
mod typed;
mod window;

pub use bytemuck;

pub use attributes::{AccessSizes, Attributes, Topology};
pub use barrier::{Barrier, BarrierMode};
pub use buffer::{ExportBuffer, ExportMemory, ForeignMemory};
pub use controller::Controller;
pub use cursor::SharedCursor;
pub use error::{Error, Result, Status};
pub use export::{AccessEntry, CreateError, ExportOptions, ExportSegment};
pub use id::{NodeId, SegmentId};
pub use import::{ImportOptions, ImportSegment};
pub use mapping::Mapping;
pub use scatter::{GetEntry, LocalMemory, PutEntry, ScatterError, MAX_ENTRIES};
pub use segment_ids::{SegmentIdRange, SEGMENT_ID_FILE};
pub use shared::{Access, SharedBytes};
pub use signal::{wait_any, Post, Readiness, Signal};
pub use transfer::Element;
pub use typed::{SharedSlice, SharedValue};
pub use window::WindowKind;
