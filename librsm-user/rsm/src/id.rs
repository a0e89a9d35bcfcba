// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of segments and nodes.

use std::fmt;

/// Number under which a segment is published, unique on its node.
///
/// Explicit ids are 0x400000 to 0x7fffffff; ids from 0x80000000 are assigned by the
/// kernel and never used twice.
///
/// ```
/// let id = rsm::SegmentId::new(0x60_0000);
/// assert_eq!(id.get(), 0x60_0000);
/// assert_eq!(id.to_string(), "0x600000");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(u32);

/// Number of a machine.
///
/// ```
/// let node = rsm::NodeId::new(0);
/// assert_eq!(node.get(), 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl SegmentId {
    /// The id with this number. Whether it may be used is the kernel's decision.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl NodeId {
    /// The node with this number.
    pub const fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
