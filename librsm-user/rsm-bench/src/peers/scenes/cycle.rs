// SPDX-License-Identifier: MIT OR Apache-2.0
//! One page, shared and used once: what each step costs, and all of the importer's together.

use anyhow::Result;

use super::{Bench, Memory, Operation, Pages};
use crate::memory::PAGE;
use crate::peers::ways::{Memfd, Rsm, Shm, Way, Window};

/// Segments in a round.
const TIMES: usize = 40;

const ONE: Memory = Memory {
    bytes: PAGE,
    pages: Pages::Small,
};

/// All ways.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    cycles::<Rsm>(bench)?;
    cycles::<Memfd>(bench)?;
    cycles::<Shm>(bench)
}

pub(super) fn cycles<W: Way>(bench: &mut Bench<'_>) -> Result<()> {
    bench.play(
        W::COLUMN,
        1,
        |side, link| {
            let way = W::open()?;
            side.often();
            for time in 0..TIMES {
                let told = link.hear()?;
                let connect = || -> Result<_> {
                    let handle = way.connect(told, link)?;
                    let window = way.map(&handle, PAGE)?;
                    Ok((handle, window))
                };
                if time % 2 == 0 {
                    let whole = || -> Result<()> {
                        let (handle, window) = connect()?;
                        window.view().touch();
                        drop(window);
                        drop(handle);
                        Ok(())
                    };
                    side.time(Operation::Cycle.of(ONE), whole)?;
                } else {
                    let (handle, window) = side.time(Operation::ConnectMap.of(ONE), connect)?;
                    let view = window.view();
                    side.time(Operation::FirstTouch.of(ONE), || view.touch());
                    side.time(Operation::Unmap.of(ONE), || drop(window));
                    side.time(Operation::Disconnect.of(ONE), || drop(handle));
                }
                link.tell(0)?;
            }
            Ok(())
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            let way = W::open()?;
            side.often();
            for _ in 0..TIMES {
                let owned = way.make(side, ONE)?;
                let publish = || -> Result<_> {
                    let told = way.publish(&owned)?;
                    way.admit(&owned, link)?;
                    Ok(told)
                };
                let told = side.time(Operation::Publish.of(ONE), publish)?;
                link.tell(told)?;
                link.hear()?;
                let destroy = || way.destroy(owned);
                drop(side.time(Operation::Destroy.of(ONE), destroy)?);
            }
            Ok(())
        },
    )
}
