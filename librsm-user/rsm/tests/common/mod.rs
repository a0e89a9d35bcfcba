// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest tests share: bare commands, processes, memory, and the books that show
//! that nothing was left behind.
//!
//! The tests need root and the module, so they run in a guest, one at a time.

// Each test program uses a part of it.
#![allow(dead_code)]

pub mod backing;
pub mod books;
pub mod control_group;
pub mod knob;
pub mod memory;
pub mod module;
pub mod pair;
pub mod process;
pub mod random;
pub mod raw;
pub mod watchdog;

use std::env;
use std::time::{Duration, Instant};

/// How often a wait looks, from its beginning to when it takes long.
const PAUSES: [Duration; 2] = [Duration::from_micros(200), Duration::from_millis(10)];

/// Waits until `condition` holds; fails after `seconds`.
#[track_caller]
pub fn wait_until(what: &str, seconds: u64, condition: impl FnMut() -> bool) {
    assert!(
        holds_within(seconds, condition),
        "not within {seconds} s: {what}"
    );
}

/// Waits until `condition` holds. False if it does not after `seconds`.
pub fn holds_within(seconds: u64, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !condition() {
        let waited = begin.elapsed();
        if waited >= Duration::from_secs(seconds) {
            return false;
        }
        // Who looks all the time takes the processor from what it waits for.
        std::thread::sleep((waited / 8).clamp(PAUSES[0], PAUSES[1]));
    }
    true
}

/// Is this a kernel with debugging on, where everything takes ten times as long?
pub fn debug_kernel() -> bool {
    match env::var("RSM_KERNEL_KIND").as_deref() {
        Ok("debug") => true,
        Ok("stock") => false,
        other => panic!("RSM_KERNEL_KIND must be stock or debug, not {other:?}"),
    }
}

/// As many rounds as the kernel at hand bears: a tenth where everything takes ten times as
/// long, ten times as many where full counts are wanted.
pub fn rounds(number: usize) -> usize {
    let number = if soak() { number * 10 } else { number };
    if debug_kernel() {
        number.div_ceil(10)
    } else {
        number
    }
}

/// Are the full counts wanted?
pub fn soak() -> bool {
    matches!(env::var("RSM_SOAK").as_deref(), Ok("1"))
}

/// Is this a module that lacks the remedy against a hole, which the test for that hole must
/// find? `variant` is the one that lacks it.
pub fn hole_expected(variant: &str) -> bool {
    match env::var("RSM_MODULE_VARIANT").as_deref() {
        Err(_) | Ok("real") => false,
        Ok(other) => {
            assert_eq!(
                other, variant,
                "this test has nothing to find in this module variant"
            );
            true
        }
    }
}
