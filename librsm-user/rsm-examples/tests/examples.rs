// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in the documentation of `rsm`, each as a test.

// They are written to be read.
#![allow(unused, clippy::all, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/examples.rs"));
