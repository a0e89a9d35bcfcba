// SPDX-License-Identifier: MIT OR Apache-2.0
//! What segments do: their life, who may use them, how they are mapped, what is left after
//! they have been taken back.

#[path = "../common/mod.rs"]
mod common;

mod access;
mod core_dump;
mod crate_api;
mod forbidden;
mod lifetime;
mod limits;
mod mapping;
mod memory;
mod processes;
mod revoked;
mod status_slot;

use common::pair::{map, Pair, NEW, OLD};
