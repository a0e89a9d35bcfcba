// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C interface of remote shared memory, section 3RSM of Solaris: a shell on the crate
//! `rsm` that has handles, the checks of pointers, and the order of all checks.
//!
//! What each function does is in its manual page, the order of checks in `README.md`.
//!
//! No lock is held by two handles together, and none at all where data moves through a mapping
//! that is there: a child of a program with threads finds nothing locked but what was being
//! changed on one segment.

// Each function has a manual page, whose text need not be here, too.
#![allow(clippy::missing_safety_doc)]

mod abi;
mod barrier;
mod chunks;
mod controller;
mod export;
mod handle;
mod import;
mod poll;
mod result;
mod room;
mod scatter;
mod segment_ids;
mod signal;
mod topology;
mod transfer;
