// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory taken back from importers that have all of it mapped and touched.

use anyhow::Result;

use super::{Bench, Memory, Operation, Pages};
use crate::peers::ways::{Memfd, Rsm, Way, Window};

/// Up to this many importers are few.
const FEW: usize = 1;

/// From one.
pub fn few(bench: &mut Bench<'_>) -> Result<()> {
    all(bench, |importers| importers <= FEW)
}

/// From more.
pub fn many(bench: &mut Bench<'_>) -> Result<()> {
    all(bench, |importers| importers > FEW)
}

fn all(bench: &mut Bench<'_>, wanted: impl Fn(usize) -> bool) -> Result<()> {
    for pages in Pages::ALL {
        let memory = bench.memory(pages);
        for &importers in &bench.options.importers {
            if wanted(importers) {
                take_back::<Rsm>(bench, memory, importers)?;
                take_back::<Memfd>(bench, memory, importers)?;
            }
        }
    }
    Ok(())
}

pub(super) fn take_back<W: Way>(
    bench: &mut Bench<'_>,
    memory: Memory,
    importers: usize,
) -> Result<()> {
    bench.play(
        W::COLUMN,
        importers,
        |_, link| {
            let way = W::open()?;
            let handle = way.connect(link.hear()?, link)?;
            let window = way.map(&handle, memory.bytes)?;
            window.view().touch();
            link.tell(0)?;
            // Until it has been taken away.
            link.hear()?;
            Ok(())
        },
        |side, links| {
            let way = W::open()?;
            let owned = way.make(&mut side.aside(), memory)?;
            let told = way.publish(&owned)?;
            for link in links {
                way.admit(&owned, link)?;
                link.tell(told)?;
                link.hear()?;
            }
            let revoke = || way.revoke(&owned);
            side.time(Operation::Revoke(importers).of(memory), revoke)?;
            links.iter().try_for_each(|link| link.tell(0))
        },
    )
}
