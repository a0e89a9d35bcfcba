// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that look random and can be had again from their seed.

use std::io::Write;

/// A generator: splitmix64.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for each pair of numbers.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xA24B_AED4_963E_E407));
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The seed of this run: `RSM_SEED`, or one from the clock. Printed, to have it again.
pub fn seed() -> u64 {
    let seed = match std::env::var("RSM_SEED") {
        Ok(text) => text.parse().expect("RSM_SEED is a number"),
        Err(_) => std::time::UNIX_EPOCH
            .elapsed()
            .expect("after 1970")
            .as_nanos() as u64,
    };
    // Not `println`, which the test harness keeps to itself.
    let _ = writeln!(std::io::stderr(), "RSM_SEED={seed}");
    seed
}
