// SPDX-License-Identifier: GPL-2.0

//! What a controller is to the rest of the module: which nodes it reaches, what an access list may
//! say there, and what it can do.

use crate::logic::status::Status;

/// Properties of a controller. `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes {
    /// Sizes in bytes, or-ed, that loads and stores may have.
    pub(crate) direct_access_sizes: u32,
    /// Sizes in bytes, or-ed, that are never torn.
    pub(crate) atomic_sizes: u32,
    /// Unit of addresses and lengths of exports, in bytes.
    pub(crate) page_size: u64,
    /// Most bytes of a segment.
    pub(crate) segment_bytes: u64,
    /// Most bytes of all segments.
    pub(crate) total_bytes: u64,
    /// Most segments.
    pub(crate) segments: u64,
    /// Most imports.
    pub(crate) imports: u64,
}

/// A controller.
pub(crate) trait Interconnect: Sync {
    /// Node id of this machine.
    fn local_node(&self) -> u32;

    /// Fails unless `node` can be reached.
    fn reach(&self, node: u32) -> Result<(), Status>;

    /// Most entries of an access list.
    fn max_acl(&self) -> u32;

    /// Whether an access list may have this entry.
    fn accepts(&self, node: u32, perm: u32) -> bool;

    /// What the controller can do, as the module's parameters stand.
    fn attributes(&self) -> Attributes;
}
