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
//! [`SharedBytes`] copies in and out with atomic accesses. What an importer's mapping
//! cannot do: it cannot be pinned, so `O_DIRECT`, RDMA registration, `process_vm_readv`
//! and debuggers do not reach it, and a process-shared futex in it fails with `EFAULT`:
//! build cross-process locks outside of segments.
//!
//! # fork
//!
//! Descriptors and mappings are inherited. A child may use inherited imports; a revoked
//! mapping is zero-filled for the child by itself. Only the process that created an
//! export may publish or destroy it.

#![deny(missing_docs)]

mod attributes;
mod barrier;
mod buffer;
mod controller;
mod copy;
mod cursor;
mod error;
mod export;
mod id;
mod import;
mod ioctl;
mod mapping;
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
