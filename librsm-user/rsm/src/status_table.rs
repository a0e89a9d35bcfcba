// SPDX-License-Identifier: MIT OR Apache-2.0
//! The status table: a page shared read-only from the kernel, in which each live
//! connection's slot holds its generation. Tells without a system call whether a
//! connection is live.

use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{fence, AtomicU64, Ordering};

use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};

use crate::counted::Counted;
use crate::error::{Error, Result, Status};

/// The table of one controller descriptor. Owns its mapping.
#[derive(Debug)]
pub(crate) struct StatusTable {
    slots: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: the table is only read, atomically.
unsafe impl Send for StatusTable {}
// SAFETY: as above.
unsafe impl Sync for StatusTable {}

impl StatusTable {
    /// Maps the table of `controller`.
    pub(crate) fn map(controller: BorrowedFd<'_>, slots: u32) -> Result<Self> {
        const OP: &str = "cannot map the status table";
        let count = slots as usize;
        let length = NonZeroUsize::new(count * size_of::<AtomicU64>())
            .ok_or(Error::Rsm(Status::InternalError))?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let table = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_SHARED,
                controller,
                0,
            )
        }
        .map_err(|errno| Error::system(OP, errno))?;
        Ok(Self {
            slots: table.cast(),
            count,
        })
    }

    /// Where slot `index` is, for as long as the table lives.
    fn slot(&self, index: u32) -> Result<NonNull<AtomicU64>> {
        let index = index as usize;
        if index >= self.count {
            return Err(Error::Rsm(Status::InternalError));
        }
        // SAFETY: within the mapping.
        Ok(unsafe { self.slots.add(index) })
    }
}

impl Drop for StatusTable {
    fn drop(&mut self) {
        // SAFETY: our own mapping, to which no reference is left.
        let result = unsafe { munmap(self.slots.cast(), self.count * size_of::<AtomicU64>()) };
        debug_assert!(result.is_ok(), "munmap of the status table: {result:?}");
    }
}

/// Where one connection's state is seen.
#[derive(Clone, Debug)]
pub(crate) struct Liveness {
    slot: NonNull<AtomicU64>,
    generation: u64,
    /// Keeps the slot mapped.
    _table: Counted<StatusTable>,
}

// SAFETY: the slot is only read, atomically.
unsafe impl Send for Liveness {}
// SAFETY: as above.
unsafe impl Sync for Liveness {}

impl Liveness {
    pub(crate) fn new(table: &Counted<StatusTable>, slot: u32, generation: u64) -> Result<Self> {
        Ok(Self {
            slot: table.slot(slot)?,
            generation,
            _table: table.clone(),
        })
    }

    #[inline]
    fn slot(&self) -> &AtomicU64 {
        // SAFETY: in the table, which lives as long as `self`; changed by the kernel only,
        // and read atomically.
        unsafe { self.slot.as_ref() }
    }

    /// Is the connection live at this moment?
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.slot().load(Ordering::Acquire) == self.generation
    }

    /// Did all loads before this call come from the segment?
    ///
    /// The kernel changes the slot before it takes the first translation away. Were one
    /// of the loads served after that, the fence makes the load of the slot see the
    /// change: an acquire load alone would not be ordered after the loads before it.
    #[inline]
    pub(crate) fn check_reads(&self) -> Result<()> {
        fence(Ordering::Acquire);
        self.verdict()
    }

    /// Did all loads and stores before this call reach the segment?
    ///
    /// Stores must be visible before the slot is read, which takes a full fence; it
    /// pairs with the one in the kernel between slot and translations.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        fence(Ordering::SeqCst);
        self.verdict()
    }

    #[inline]
    fn verdict(&self) -> Result<()> {
        if self.slot().load(Ordering::Relaxed) == self.generation {
            Ok(())
        } else {
            Err(Error::Rsm(Status::ConnAborted))
        }
    }
}
