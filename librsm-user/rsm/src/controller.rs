// SPDX-License-Identifier: MIT OR Apache-2.0
//! The controller: an open `/dev/rsm`, through which segments are exported and imported.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use rsm_sys::{rsm_attributes, rsm_query, rsm_topology};

use crate::attributes::{Attributes, Topology};
use crate::counted::Counted;
use crate::descriptor::above_standard;
use crate::error::{Error, Result, Status};
use crate::id::NodeId;
use crate::ioctl;
use crate::room::Room;
use crate::status_table::StatusTable;

/// An open controller.
///
/// Segments stay as they are when it is dropped.
///
/// ```no_run
/// let controller = rsm::Controller::open()?;
/// println!("this is node {}", controller.local_node());
/// println!("version {} of the interface", controller.abi_version());
/// println!("{} imports at a time", controller.import_slots());
/// assert_eq!(controller.page_size(), 4096);
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Debug)]
pub struct Controller {
    device: File,
    query: rsm_query,
    status: Counted<StatusTable>,
}

/// Name of the only controller there is.
const LOOPBACK: &str = "loopback";

/// Longest name of a controller.
const MAX_NAME: usize = 255;

impl Controller {
    /// Opens `/dev/rsm`.
    ///
    /// Fails with [`Status::CtlrNotPresent`] when the module is not loaded.
    pub fn open() -> Result<Self> {
        let room = Room::new()?;
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/rsm")
            .map_err(|error| Error::open(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        let device = File::from(above_standard(device.into())?);
        let mut query = rsm_query::default();
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(device.as_fd(), &mut query)? };
        let status = StatusTable::map(device.as_fd(), query.status_slots)?;
        Ok(Self {
            device,
            query,
            status: Counted::new(room, status),
        })
    }

    /// Opens the controller of this name: a type, and a unit number that may be left out.
    /// There is one, `loopback`, under any unit number, in upper or lower case.
    ///
    /// Fails with [`Status::CtlrNotPresent`] for other names, and when the module is not
    /// loaded.
    ///
    /// ```no_run
    /// let controller = rsm::Controller::open_named("loopback0")?;
    /// assert_eq!(controller.name(), "loopback");
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn open_named(name: &str) -> Result<Self> {
        if Self::is_name(name) {
            Self::open()
        } else {
            Err(Error::Rsm(Status::CtlrNotPresent))
        }
    }

    /// Is this a name of a controller? Not whether its driver is there.
    ///
    /// ```
    /// assert!(rsm::Controller::is_name("Loopback7"));
    /// assert!(!rsm::Controller::is_name("sci0"));
    /// ```
    pub fn is_name(name: &str) -> bool {
        let kind = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        name.len() <= MAX_NAME && kind.eq_ignore_ascii_case(LOOPBACK)
    }

    /// The controller's name.
    pub const fn name(&self) -> &'static str {
        LOOPBACK
    }

    /// Version of the interface that the kernel module offers.
    pub const fn abi_version(&self) -> u32 {
        self.query.abi_version
    }

    /// The id of this machine.
    pub const fn local_node(&self) -> NodeId {
        NodeId::new(self.query.local_node)
    }

    /// Unit of addresses, lengths and offsets, in bytes.
    pub const fn page_size(&self) -> usize {
        self.query.page_size as usize
    }

    /// Number of imports that can be connected at a time through this controller.
    pub const fn import_slots(&self) -> u32 {
        self.query.status_slots
    }

    /// What the controller can do, as the module's parameters stand now.
    ///
    /// ```no_run
    /// let controller = rsm::Controller::open()?;
    /// assert!(controller.attributes()?.direct_access_sizes.contains(8));
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn attributes(&self) -> Result<Attributes> {
        let mut command = rsm_attributes::default();
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut command)? };
        Ok(command.into())
    }

    /// Which nodes can be reached.
    ///
    /// ```no_run
    /// let controller = rsm::Controller::open()?;
    /// assert_eq!(controller.topology()?.local_node(), controller.local_node());
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn topology(&self) -> Result<Topology> {
        let mut command = rsm_topology::default();
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut command)? };
        Ok(command.into())
    }

    pub(crate) fn status_table(&self) -> &Counted<StatusTable> {
        &self.status
    }
}

impl AsFd for Controller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_loopback_controller() {
        for name in ["loopback", "loopback0", "LoopBack", "loopback007"] {
            assert!(Controller::is_name(name), "{name}");
        }
        let long = format!("loopback{}", "0".repeat(300));
        for name in ["", "0", "sci0", "loopback0x", " loopback", "loop", &long] {
            assert!(!Controller::is_name(name), "{name}");
        }
    }
}
