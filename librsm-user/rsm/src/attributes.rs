// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a controller can do, and which nodes it reaches.

use rsm_sys::{rsm_attributes, rsm_topology};

use crate::id::NodeId;

/// A set of access sizes: 1, 2, 4 and 8 bytes.
///
/// ```
/// use rsm::AccessSizes;
///
/// let sizes = AccessSizes::from_bits(4 | 8);
/// assert!(sizes.contains(8));
/// assert!(!sizes.contains(2));
/// assert_eq!(sizes.bits(), 12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessSizes(u32);

impl AccessSizes {
    /// The set in which a bit of the value 1, 2, 4 or 8 stands for that number of bytes
    /// (`RSM_DAS8` to `RSM_DAS64`).
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The set as bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Are accesses of `bytes` bytes in the set?
    pub const fn contains(self, bytes: u32) -> bool {
        bytes.is_power_of_two() && self.0 & bytes != 0
    }
}

/// What a controller can do, as the module's parameters stand.
///
/// ```no_run
/// let attributes = rsm::Controller::open()?.attributes()?;
/// match attributes.max_export_segment_size {
///     Some(limit) => println!("at most {limit} bytes a segment"),
///     None => println!("segments of any size"),
/// }
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// Sizes that loads and stores may have.
    pub direct_access_sizes: AccessSizes,
    /// Sizes of accesses that are never torn when aligned.
    pub atomic_sizes: AccessSizes,
    /// Unit of addresses and lengths of exported memory, in bytes.
    pub page_size: u64,
    /// Most bytes of one segment; `None` is no limit.
    pub max_export_segment_size: Option<u64>,
    /// Most bytes of all segments together; `None` is no limit.
    pub total_export_segment_size: Option<u64>,
    /// Most segments; `None` is no limit.
    pub max_export_segments: Option<u64>,
    /// Most bytes of one mapping; `None` is no limit.
    pub max_import_map_size: Option<u64>,
    /// Most bytes that imports can have mapped together; `None` is no limit.
    pub total_import_map_size: Option<u64>,
    /// Most imports; `None` is no limit.
    pub max_import_segments: Option<u64>,
}

impl From<rsm_attributes> for Attributes {
    fn from(raw: rsm_attributes) -> Self {
        let limit = |value| (value != u64::MAX).then_some(value);
        Self {
            direct_access_sizes: AccessSizes(raw.direct_access_sizes),
            atomic_sizes: AccessSizes(raw.atomic_sizes),
            page_size: raw.page_size,
            max_export_segment_size: limit(raw.max_export_segment_size),
            total_export_segment_size: limit(raw.tot_export_segment_size),
            max_export_segments: limit(raw.max_export_segments),
            max_import_map_size: limit(raw.max_import_map_size),
            total_import_map_size: limit(raw.tot_import_map_size),
            max_import_segments: limit(raw.max_import_segments),
        }
    }
}

/// Which nodes can be reached.
///
/// ```no_run
/// let topology = rsm::Controller::open()?.topology()?;
/// for node in topology.nodes() {
///     println!("node {node}");
/// }
/// assert_eq!(topology.nodes().next(), Some(topology.local_node()));
/// assert_eq!(topology.remote_controllers(), 0); // the loopback controller is not one
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    local_node: NodeId,
    controllers: u32,
}

impl Topology {
    /// This machine.
    pub const fn local_node(&self) -> NodeId {
        self.local_node
    }

    /// Number of controllers that reach other nodes. The loopback controller is not one
    /// of them.
    pub const fn remote_controllers(&self) -> u32 {
        self.controllers
    }

    /// All nodes that can be reached, this one first.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        std::iter::once(self.local_node)
    }
}

impl From<rsm_topology> for Topology {
    fn from(raw: rsm_topology) -> Self {
        Self {
            local_node: NodeId::new(raw.local_node),
            controllers: raw.controllers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes() {
        let all = AccessSizes::from_bits(1 | 2 | 4 | 8);
        for bytes in [1, 2, 4, 8] {
            assert!(all.contains(bytes));
            assert!(!AccessSizes::default().contains(bytes));
        }
        for bytes in [0, 3, 12, 15, 16] {
            assert!(!all.contains(bytes), "{bytes}");
        }
    }

    #[test]
    fn the_largest_number_is_no_limit() {
        let attributes = Attributes::from(rsm_attributes {
            max_export_segments: u64::MAX,
            max_import_segments: u64::MAX - 1,
            ..Default::default()
        });
        assert_eq!(attributes.max_export_segments, None);
        assert_eq!(attributes.max_import_segments, Some(u64::MAX - 1));
        assert_eq!(attributes.max_import_map_size, Some(0));
    }
}
