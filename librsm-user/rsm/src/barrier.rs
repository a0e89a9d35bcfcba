// SPDX-License-Identifier: MIT OR Apache-2.0
//! Barriers: whether what was done between two moments reached the segment.

use crate::error::{Error, Result};
use crate::status_table::Liveness;

/// Who finds out whether transfers reached the segment.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// import.put(0, b"each put is checked")?;
/// import.set_mode(BarrierMode::Explicit);
/// import.within_barrier(|_| -> Result<()> {
///     import.put(0, b"these two")?;
///     import.put(100, b"are checked together")
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BarrierMode {
    /// Transfers do not say whether the connection was lost; a barrier around them does.
    Explicit = 0,
    /// Each transfer fails with [`Status::ConnAborted`](crate::Status::ConnAborted) if the
    /// connection was lost before it was complete.
    #[default]
    Implicit = 1,
}

/// An open barrier. What is read and written from here on, by transfers and through
/// mappings of the import, is covered by its [`close`](Self::close).
///
/// Opening and closing make no system call. A barrier that is dropped without being closed
/// has told nothing; [`within_barrier`](crate::ImportSegment::within_barrier) cannot
/// forget to close.
///
/// A connection that was lost stays so: from then on every close fails.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// let window = import.map()?;
/// let barrier = window.open_barrier();
/// window.write_at(4096, b"the record")?;
/// barrier.order()?; // others see the record before the index
/// window.bytes().store_u64(0, 1)?;
/// barrier.close()?; // both are in the segment
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a barrier tells something only when it is closed"]
pub struct Barrier<'a> {
    liveness: &'a Liveness,
}

impl<'a> Barrier<'a> {
    #[inline]
    pub(crate) const fn open(liveness: &'a Liveness) -> Self {
        Self { liveness }
    }

    /// Makes what was written before visible before what is written after, and leaves the
    /// barrier open. Fails with [`Status::ConnAborted`](crate::Status::ConnAborted) if the
    /// connection was lost.
    #[inline]
    pub fn order(&self) -> Result<()> {
        self.liveness.check()
    }

    /// Ends the barrier. Fails with
    /// [`Status::ConnAborted`](crate::Status::ConnAborted) unless everything that this
    /// thread has read and written since it was opened came from the segment and went to
    /// it.
    #[inline]
    pub fn close(self) -> Result<()> {
        self.liveness.check()
    }

    /// Runs `work` and closes. A lost connection is the failure that is reported, whatever
    /// came of the work, since the work may have seen zeroes.
    pub(crate) fn around<T, E: From<Error>>(
        self,
        work: impl FnOnce(&Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let result = work(&self);
        self.close()?;
        result
    }
}
