// SPDX-License-Identifier: MIT OR Apache-2.0
//! Other memory put behind a segment that an importer has mapped and touched. Peers have nothing
//! like it.

use anyhow::Result;

use super::{Bench, Operation, Pages};
use crate::peers::ways::{filled, Rsm, Way, Window};

/// On both kinds of pages.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    for pages in Pages::ALL {
        let memory = bench.memory(pages);
        bench.play(
            Rsm::COLUMN,
            1,
            |_, link| {
                let way = Rsm::open()?;
                let import = way.connect(link.hear()?, link)?;
                let window = way.map(&import, memory.bytes)?;
                Window::view(&window).touch();
                link.tell(0)?;
                link.hear()?;
                Ok(())
            },
            |side, links| {
                let [link] = links else { unreachable!() };
                let way = Rsm::open()?;
                let mut segment = way.make(&mut side.aside(), memory)?;
                let next = filled(memory)?;
                link.tell(way.publish(&segment)?)?;
                link.hear()?;
                let rebind = || segment.rebind(next);
                let former = side.time(Operation::Rebind.of(memory), rebind);
                drop(former.map_err(rsm::Error::from)?);
                link.tell(0)
            },
        )?;
    }
    Ok(())
}
