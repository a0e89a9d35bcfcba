// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel keeps of memory that is shared, besides that memory: with its maker's mapping,
//! without page tables, and without importers.

use anyhow::Result;

use super::{Bench, Memory, Operation, Pages};
use crate::kernel_memory::kernel_bytes;
use crate::memory::PAGE;
use crate::peers::ways::{Memfd, Rsm, Shm, Way};

/// Of a page, so many at a time.
const SMALL: usize = 400;

/// Of much memory, so many.
const BIG: usize = 4;

/// All ways.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    let one = Memory {
        bytes: PAGE,
        pages: Pages::Small,
    };
    all(bench, one, SMALL)?;
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

fn weigh<W: Way>(bench: &mut Bench<'_>, memory: Memory, number: usize) -> Result<()> {
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
            side.note(Operation::KernelMemory.of(memory), bytes / number as u64);
            for owned in owned {
                drop(way.destroy(owned)?);
            }
            Ok(())
        },
    )
}
