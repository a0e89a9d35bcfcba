// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel keeps of memory that is shared, besides that memory: with its maker's mapping,
//! without page tables, and without importers.

use anyhow::Result;
use nix::sys::resource::{getrlimit, setrlimit, Resource};

use super::{Bench, Memory, Operation, Pages};
use crate::kernel_memory::kernel_bytes;
use crate::memory::PAGE;
use crate::peers::ways::{Memfd, Rsm, Shm, Way};

/// Of a page, so many at a time, if there may be as many descriptors.
const SMALL: usize = 4000;

/// Descriptors for everything else.
const OTHERS: u64 = 64;

/// Of much memory, so many.
const BIG: usize = 4;

/// All ways.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    let one = Memory {
        bytes: PAGE,
        pages: Pages::Small,
    };
    all(bench, one, descriptors(SMALL)?)?;
    for pages in Pages::ALL {
        all(bench, bench.memory(pages), BIG)?;
    }
    Ok(())
}

fn all(bench: &mut Bench<'_>, memory: Memory, number: usize) -> Result<()> {
    weigh::<Rsm>(bench, memory, number)?;
    weigh::<Memfd>(bench, memory, number)?;
    weigh::<Shm>(bench, memory, number)
}

pub(super) fn weigh<W: Way>(bench: &mut Bench<'_>, memory: Memory, number: usize) -> Result<()> {
    bench.play(
        W::COLUMN,
        0,
        |_, _| Ok(()),
        |side, _| {
            let way = W::open()?;
            let mut aside = side.aside();
            let mut owned = Vec::with_capacity(number);
            let before = kernel_bytes()?;
            for _ in 0..number {
                owned.push(way.make(&mut aside, memory)?);
            }
            let bytes = kernel_bytes()?.saturating_sub(before);
            side.note(
                Operation::KernelMemory.of(memory),
                bytes / number.max(1) as u64,
            );
            for owned in owned {
                drop(way.destroy(owned)?);
            }
            Ok(())
        },
    )
}

/// How many of `wanted` descriptors there may be. Asks for them.
fn descriptors(wanted: usize) -> Result<usize> {
    let enough = wanted as u64 + OTHERS;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Only root may raise what others must be content with.
    if setrlimit(Resource::RLIMIT_NOFILE, enough, most.max(enough)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, most.min(enough), most)?;
    }
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(wanted.min(allowed.saturating_sub(OTHERS) as usize))
}
