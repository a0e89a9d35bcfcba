// SPDX-License-Identifier: GPL-2.0

//! The loopback controller: this machine alone. It is in no topology.

use crate::interconnect::{Attributes, Interconnect};
use crate::kapi::{page, params};
use crate::limits::Counted;
use crate::logic::status::Status;
use crate::logic::{access, limit};
use kernel::page::PAGE_SIZE;

/// The controller.
pub(crate) struct Loopback;

/// All the sizes there are: 1, 2, 4 and 8 bytes.
const ALL_SIZES: u32 = 1 | 2 | 4 | 8;

impl Interconnect for Loopback {
    fn local_node(&self) -> u32 {
        params::local_node()
    }

    fn reach(&self, node: u32) -> Result<(), Status> {
        if node == self.local_node() {
            Ok(())
        } else {
            Err(Status::CtlrNotPresent)
        }
    }

    /// One entry, for the only node there is.
    fn max_acl(&self) -> u32 {
        1
    }

    fn accepts(&self, node: u32, perm: u32) -> bool {
        access::entry_valid(node, perm, self.local_node())
    }

    fn attributes(&self) -> Attributes {
        let most = match Counted::Pages.most() {
            0 => page::total(),
            most => most.min(page::total()),
        };
        let bytes = most.saturating_mul(PAGE_SIZE as u64);
        Attributes {
            direct_access_sizes: ALL_SIZES,
            atomic_sizes: ALL_SIZES,
            page_size: PAGE_SIZE as u64,
            segment_bytes: bytes,
            total_bytes: bytes,
            segments: limit::shown(Counted::Segments.most()),
            imports: limit::shown(Counted::Imports.most()),
        }
    }
}
