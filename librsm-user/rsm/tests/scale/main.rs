// SPDX-License-Identifier: MIT OR Apache-2.0
//! Very many segments, and very large ones: that they work, and what kernel memory they take. (What
//! operations cost among many is measured by `rsm-bench scale`.)

#[path = "../common/mod.rs"]
mod common;

mod large;
mod many;
mod memory_of;
mod offsets;
mod scattered;
