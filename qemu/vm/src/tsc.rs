// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast the time stamp counter counts.
//!
//! An emulated processor shows its guest the host's counter. The guest's kernel measures it with
//! emulated timers while it starts, and where the processor is not let run for a moment in the midst
//! of that, the result may be off by whole factors ("PIT calibration deviates from HPET: 42187
//! 2600009"): the guest's clock then runs sixty times too fast, and whatever waits gives up. So it is
//! told.

use std::arch::x86_64::_rdtsc;
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longer, the more exact: what is between the two clocks' looks is less than a microsecond.
const MEASURED: Duration = Duration::from_millis(100);

/// Thousands of counts a second; measured once.
pub fn khz() -> u64 {
    static KHZ: LazyLock<u64> = LazyLock::new(measure);
    *KHZ
}

fn measure() -> u64 {
    let begin = Moment::now();
    sleep(MEASURED);
    let end = Moment::now();
    let counts = end.counter.wrapping_sub(begin.counter);
    let elapsed = end.time.duration_since(begin.time);
    (counts as f64 / elapsed.as_secs_f64() / 1000.0).round() as u64
}

/// What both clocks say at a time.
#[derive(Clone, Copy)]
struct Moment {
    counter: u64,
    time: Instant,
}

impl Moment {
    /// The closest of some looks: between the two of a look, the process may have to wait.
    fn now() -> Self {
        let look = |_| {
            let before = counter();
            let time = Instant::now();
            let between = counter().wrapping_sub(before);
            let counter = before.wrapping_add(between / 2);
            (between, Self { counter, time })
        };
        let looks = (0..50).map(look);
        let closest = looks.min_by_key(|&(between, _)| between);
        closest.map(|(_, moment)| moment).expect("fifty looks")
    }
}

fn counter() -> u64 {
    // SAFETY: every x86-64 processor has it.
    unsafe { _rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (first, second) = (measure(), measure());
        assert!(
            first.abs_diff(second) * 1000 < first,
            "{first} and {second} kHz"
        );
    }
}
