// SPDX-License-Identifier: GPL-2.0

//! Cargo's view of the module's pure logic: the same files that the kernel builds into the module,
//! here so that `cargo test` can run them on the host.
#![no_std]
#![deny(missing_docs)]

#[path = "mod.rs"]
mod logic;
pub use logic::*;
