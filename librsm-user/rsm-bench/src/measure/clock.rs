// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock: nanoseconds, or executed instructions where the guest's clock counts those.

use std::fmt;
use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{bail, Context, Result};
use nix::time::{clock_gettime, ClockId};
use serde::{Deserialize, Serialize};

use super::samples::Samples;

/// What the clock counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Instructions that the processor has executed.
    Instructions,
    /// Time that has passed.
    Nanoseconds,
}

impl Unit {
    /// Of the machine at hand, as the guest's runner says.
    fn here() -> Result<Self> {
        match std::env::var("RSM_CLOCK").as_deref() {
            Ok("instructions") => Ok(Self::Instructions),
            Ok("time") | Err(_) => Ok(Self::Nanoseconds),
            Ok(other) => bail!("RSM_CLOCK must be instructions or time, not {other:?}"),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

/// For what is going on to come to its end: an idle processor's clock goes on at once.
const IDLE: Duration = Duration::from_millis(10);

/// Nanoseconds that looking at the clock twice never takes without an interrupt.
const INTERRUPTED: u64 = 2_000;

/// Nanoseconds without one, after which all that a tick has brought is over.
const CALM: u64 = 50_000;

/// Nanoseconds in which there are several ticks on any kernel.
const PATIENCE: u64 = 40_000_000;

fn repeat<E>(times: u64, mut something: impl FnMut() -> Result<(), E>) -> Result<(), E> {
    (0..times).try_for_each(|_| something())
}

/// A clock that knows what looking at it costs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    unit: Unit,
    /// What is measured when nothing is done.
    overhead: u64,
}

impl Clock {
    /// The clock of this machine.
    pub fn new() -> Result<Self> {
        let mut clock = Self {
            unit: Unit::here()?,
            overhead: 0,
        };
        let mut nothing = Samples::default();
        for _ in 0..1001 {
            nothing.add(clock.time(|| ()).0);
        }
        clock.overhead = nothing.summary().context("samples")?.median;
        Ok(clock)
    }

    /// What it counts.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    fn now() -> u64 {
        // Always there on Linux; a clock that stands still shows in every figure.
        clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| {
            now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
        })
    }

    /// Waits until the kernel has just dealt with a tick of its timer: what is measured next is not
    /// interrupted by one, if it takes less than the time between two (4 ms, which are four million
    /// instructions). Only where instructions are counted: time has other disturbances.
    pub fn await_tick(&self) {
        if self.unit != Unit::Instructions {
            return;
        }
        sleep(IDLE);
        let begin = Self::now();
        let (mut last, mut interrupted) = (begin, None);
        while last - begin < PATIENCE {
            let now = Self::now().max(last);
            if now - last > INTERRUPTED {
                interrupted = Some(now);
            }
            last = now;
            if interrupted.is_some_and(|then| now - then > CALM) {
                return;
            }
        }
    }

    /// Runs something, and says what it cost.
    pub fn time<T>(&self, something: impl FnOnce() -> T) -> (u64, T) {
        let begin = Self::now();
        let result = something();
        let end = Self::now();
        (
            end.saturating_sub(begin).saturating_sub(self.overhead),
            result,
        )
    }

    /// Runs something short `times` over, and says what it cost once, without the loop.
    pub fn time_each<E>(
        &self,
        times: u64,
        mut something: impl FnMut() -> Result<(), E>,
    ) -> Result<u64, E> {
        let (looped, _) = self.time(|| {
            repeat(times, || {
                black_box(());
                Ok::<_, E>(())
            })
        });
        let (all, result) = self.time(|| repeat(times, &mut something));
        result?;
        let times = times.max(1);
        Ok((all.saturating_sub(looped) + times / 2) / times)
    }
}
