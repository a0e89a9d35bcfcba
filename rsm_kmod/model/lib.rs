// SPDX-License-Identifier: MIT OR Apache-2.0

//! Exhaustive models of the module's concurrency protocols, for [loom].
//!
//! Each module holds one protocol: its documentation states the invariant, the steps, and what is
//! left out. A test runs the protocol as it is through every interleaving, or, where it says so,
//! through those with few preemptions. For every step that the argument
//! in `Documentation/revocation.md` leans on there is a mutant, named by `Without`, that leaves this
//! step out or moves it, and a test that loom finds the failure.
//!
//! The models are written from the module's source by hand; nothing ties them to it. Who changes
//! an order of steps there changes it here.
//!
//! What loom does not show: more processors than the model has threads, and reorderings beyond
//! stale loads (a load that depends on nothing is never made before a load that precedes it in the
//! program). Sequential consistency comes from fences only, as in the module.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod check;
pub mod events;
pub mod fault_revoke;
pub mod forced_destroy;
pub mod fork_copy;
pub mod frame;
pub mod liveness;
pub mod move_copy;
pub mod pmd;
pub mod rwsem;
