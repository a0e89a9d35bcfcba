// SPDX-License-Identifier: GPL-2.0

//! Decisions that need no kernel: plain functions over plain values.
//!
//! The kernel compiles these files into the module; Cargo compiles them into host tests. Nothing
//! here allocates, locks or panics.

pub mod abi;
pub mod access;
pub mod bitmap;
pub mod counter;
pub mod extent;
pub mod histogram;
pub mod life;
pub mod limit;
pub mod range;
pub mod segid;
pub mod span;
pub mod status;
pub mod watching;
