// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting until the machine has nothing else to do: a kernel that has just booted has, for some
//! seconds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How long nothing must have gone on, and for how long that is waited for.
const QUIET: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// Part of the processors' time that may have gone elsewhere.
const BUSY: f64 = 0.03;

/// Waits. Where the machine is never idle, not for ever: then figures are worth less, as the
/// message says.
pub fn settle() -> Result<()> {
    let begin = Instant::now();
    let mut before = read()?;
    while begin.elapsed() < PATIENCE {
        sleep(QUIET);
        let now = read()?;
        if now.busy_since(before) <= BUSY {
            return Ok(());
        }
        before = now;
    }
    eprintln!("rsm-bench: something else keeps this machine busy");
    Ok(())
}

fn read() -> Result<Spent> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    Spent::parse(&text).context("/proc/stat")
}

/// What all processors have spent their time on, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent {
    idle: u64,
    all: u64,
}

impl Spent {
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen; what
        // follows is in the first two already.
        let ticks: Vec<u64> = (line.split_ascii_whitespace().take(8))
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            idle: ticks.get(3)? + ticks.get(4)?,
            all: ticks.iter().sum(),
        })
    }

    /// Part of the time since then that was not idle.
    fn busy_since(self, then: Self) -> f64 {
        let all = self.all.saturating_sub(then.all).max(1);
        let idle = self.idle.saturating_sub(then.idle);
        1.0 - idle as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_is_what_is_not_busy() {
        let then = Spent::parse("cpu  10 0 20 100 5 1 2 3 9 9\ncpu0 1 2 3\n").unwrap();
        assert_eq!(
            then,
            Spent {
                idle: 105,
                all: 141
            }
        );
        let now = Spent {
            idle: 180,
            all: 241,
        };
        assert_eq!(now.busy_since(then), 0.25);
        assert_eq!(then.busy_since(then), 1.0, "no time has passed");
        assert!(Spent::parse("cpu0 1 2 3\n").is_none());
    }
}
