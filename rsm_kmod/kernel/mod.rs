// SPDX-License-Identifier: GPL-2.0

//! Kernel facilities that the `kernel` crate has no safe wrapper for: one file each, no driver
//! logic. All `unsafe` of the module lives here, but for the device registration and the statement
//! of what the ioctl structures are.

pub(crate) mod caller;
pub(crate) mod charge;
pub(crate) mod extents;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod mapped;
pub(crate) mod notifier;
pub(crate) mod page;
pub(crate) mod params;
pub(crate) mod pin;
pub(crate) mod prefault;
pub(crate) mod present;
pub(crate) mod queue;
pub(crate) mod raw;
pub(crate) mod rwsem;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod user;
pub(crate) mod vma;
pub(crate) mod waitqueue;
