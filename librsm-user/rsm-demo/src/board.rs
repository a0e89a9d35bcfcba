// SPDX-License-Identifier: MIT OR Apache-2.0
//! A page that all processes of the play share, to put their moments in order: messages
//! would be too slow to tell which side of "destroy has returned" a load is on.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64};

use nix::sys::mman::{mmap_anonymous, MapFlags, ProtFlags};

/// Moments are nanoseconds of the monotonic clock.
#[derive(Debug)]
pub struct Board {
    /// The exporter is about to call destroy.
    pub destroy_called: AtomicU64,
    /// Destroy has returned. Set before the exporter touches the memory again.
    pub destroyed: AtomicBool,
    /// The memory has been filled with other content.
    pub overwritten: AtomicBool,
    /// Words that the importer has read so far.
    pub reads: AtomicU64,
}

impl Board {
    /// A board that is inherited by children and lives as long as they.
    pub fn new() -> nix::Result<&'static Self> {
        let size = NonZeroUsize::new(size_of::<Self>()).expect("a board has members");
        // SAFETY: a new mapping; zeroes are a valid board; it is never unmapped.
        unsafe {
            let page = mmap_anonymous(
                None,
                size,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )?;
            Ok(page.cast::<Self>().as_ref())
        }
    }
}
