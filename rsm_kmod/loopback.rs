// SPDX-License-Identifier: GPL-2.0

//! The loopback controller: this machine alone.

use crate::logic::status::Status;

/// Node id of this machine.
pub(crate) const LOCAL_NODE: u32 = 0;

/// Most entries that an access list may have here: one, for the only node there is.
pub(crate) const MAX_ACL: u32 = 1;

/// Whether a node can be reached.
pub(crate) fn reach(node: u32) -> Result<(), Status> {
    if node == LOCAL_NODE {
        Ok(())
    } else {
        Err(Status::CtlrNotPresent)
    }
}
