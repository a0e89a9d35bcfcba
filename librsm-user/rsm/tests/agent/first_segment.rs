// SPDX-License-Identifier: MIT OR Apache-2.0
//! A process's first segment. The kernel takes the locks of all its mappings for that, which takes
//! long where they are many, and gives up when a signal comes.

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use rsm_sys::*;
use std::time::Duration;

use crate::common::books::Books;
use crate::common::debug_kernel;
use crate::common::memory::{Map, READ};
use crate::common::process::in_child;
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::events::handle;

const INTERRUPTED: Failure = failure(Errno::EINTR, RSM_STATUS_INTERRUPTED);

/// Mappings, none of which can be one with its neighbours.
fn many_mappings(count: usize) -> Map {
    let memory = Map::anonymous(count * PAGE);
    for page in (0..count).step_by(2) {
        memory.protect(page * PAGE, PAGE, READ).expect("mprotect");
    }
    memory
}

#[test]
fn is_interrupted_by_signals() {
    let books = Books::open();
    in_child(|| {
        // To take them all takes many times as long as it is from one signal to the next.
        let _many = many_mappings(if debug_kernel() { 1_000 } else { 20_000 });
        let memory = Map::anonymous(PAGE);
        let controller = raw::controller();
        handle(Signal::SIGALRM, SaFlags::SA_RESTART);
        let event = SigEvent::new(SigevNotify::SigevSignal {
            signal: Signal::SIGALRM,
            si_value: 0,
        });
        let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, event).expect("timer_create");
        let often = TimeSpec::from_duration(Duration::from_micros(200));
        timer
            .set(Expiration::Interval(often), TimerSetTimeFlags::empty())
            .expect("timer_settime");
        let mut interrupted = 0;
        for _ in 0..20 {
            match raw::create(&controller, memory.addr(), PAGE as u64) {
                Ok(_) => break,
                Err(failure) => assert_eq!(failure, INTERRUPTED),
            }
            interrupted += 1;
        }
        assert!(interrupted > 0, "made before the first signal came");
        drop(timer);
        raw::create(&controller, memory.addr(), PAGE as u64).expect("undisturbed");
    });
    books.balance();
}
