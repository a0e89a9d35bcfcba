// SPDX-License-Identifier: MIT OR Apache-2.0
//! Much memory: made, shared, touched, copied, unmapped, given up.

use anyhow::Result;
use nix::sys::resource::{getrusage, UsageWho};

use super::{Bench, Memory, Operation, Pages};
use crate::memory::{Map, PAGE};
use crate::peers::ways::{Memfd, Rsm, Shm, Way, Window};

/// The usual amount.
pub fn usual(bench: &mut Bench<'_>) -> Result<()> {
    for pages in Pages::ALL {
        let memory = bench.memory(pages);
        live::<Rsm>(bench, memory, true)?;
        live::<Memfd>(bench, memory, true)?;
        live::<Shm>(bench, memory, true)?;
    }
    Ok(())
}

/// More, of which nothing is copied. One peer is enough: files are all alike.
pub fn large(bench: &mut Bench<'_>) -> Result<()> {
    let bytes = bench.options.large_bytes();
    let of = |pages| Memory { bytes, pages };
    live::<Rsm>(bench, of(Pages::Small), false)?;
    live::<Memfd>(bench, of(Pages::Small), false)?;
    live::<Rsm>(bench, of(Pages::Huge), false)
}

pub(super) fn live<W: Way>(bench: &mut Bench<'_>, memory: Memory, copies: bool) -> Result<()> {
    bench.play(
        W::COLUMN,
        1,
        |side, link| {
            let way = W::open()?;
            let handle = way.connect(link.hear()?, link)?;
            let window = way.map(&handle, memory.bytes)?;
            let view = window.view();
            // What a forked process needs for the first time is not the window's fault.
            let rehearsal = Map::anonymous(PAGE)?;
            side.aside().time(Operation::FirstTouch.of(memory), || {
                rehearsal.view().touch()
            });
            self::faults()?;
            side.await_tick();
            let faults = faults()?;
            side.time_now(Operation::FirstTouch.of(memory), || view.touch());
            side.note(
                Operation::FirstTouchFaults.of(memory),
                self::faults()? - faults,
            );
            side.time(Operation::SecondTouch.of(memory), || view.touch());
            if copies {
                let mut copy = vec![1; memory.bytes];
                side.time(Operation::CopyOut.of(memory), || view.copy_out(&mut copy));
                side.time(Operation::CopyIn.of(memory), || view.copy_in(&copy));
            }
            side.time(Operation::Unmap.of(memory), || drop(window));
            drop(handle);
            link.tell(0)
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            let way = W::open()?;
            let owned = way.make(side, memory)?;
            let told = way.publish(&owned)?;
            way.admit(&owned, link)?;
            link.tell(told)?;
            link.hear()?;
            let destroy = || way.destroy(owned);
            drop(side.time(Operation::Destroy.of(memory), destroy)?);
            Ok(())
        },
    )
}

/// Page faults that this process has had, without those that read from a disk.
fn faults() -> Result<u64> {
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults() as u64)
}
