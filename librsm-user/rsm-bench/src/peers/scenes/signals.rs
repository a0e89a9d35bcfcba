// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals: one posted and taken, and one sent to the other process and answered.

use anyhow::Result;
use rsm::Post;

use super::{Bench, Memory, Operation, Pages};
use crate::memory::PAGE;
use crate::peers::channel::{Channel, Kind};
use crate::peers::ways::{Rsm, Way};

/// Batches, and signals in a batch: so few that most batches are not interrupted.
const TIMES: (u64, u64) = (50, 20);

/// What an eventfd wants to be told.
const ONE: [u8; 8] = 1_u64.to_ne_bytes();

/// All that can signal.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    segments(bench)?;
    Kind::ALL
        .into_iter()
        .try_for_each(|kind| channels(bench, kind))
}

fn segments(bench: &mut Bench<'_>) -> Result<()> {
    let memory = Memory {
        bytes: PAGE,
        pages: Pages::Small,
    };
    bench.play(
        Rsm::COLUMN,
        1,
        |_, link| {
            let way = Rsm::open()?;
            let import = way.connect(link.hear()?, link)?;
            link.tell(0)?;
            for _ in 0..TIMES.0 * TIMES.1 {
                import.signal().wait(None)?;
                import.signal().post(Post::Accumulate)?;
            }
            Ok(())
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            let way = Rsm::open()?;
            let segment = way.make(&mut side.aside(), memory)?;
            let id = way.publish(&segment)?;
            let own = way.connect(id, link)?;
            side.time_each(Operation::PostWait.alone(), TIMES, || {
                own.signal().post(Post::Accumulate)?;
                segment.signal().wait(None)
            })?;
            drop(own);
            link.tell(id)?;
            link.hear()?;
            side.time_each(Operation::RoundTrip.alone(), TIMES, || {
                segment.signal().post(Post::Accumulate)?;
                segment.signal().wait(None)
            })?;
            Ok(())
        },
    )
}

pub(super) fn channels(bench: &mut Bench<'_>, kind: Kind) -> Result<()> {
    let (there, back) = (kind.channel()?, kind.channel()?);
    bench.play(
        kind.column(),
        1,
        |_, link| {
            link.hear()?;
            (0..TIMES.0 * TIMES.1).try_for_each(|_| {
                take(&there)?;
                post(&back)
            })
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            side.time_each(Operation::PostWait.alone(), TIMES, || {
                post(&back)?;
                take(&back)
            })?;
            link.tell(0)?;
            side.time_each(Operation::RoundTrip.alone(), TIMES, || {
                post(&there)?;
                take(&back)
            })
        },
    )
}

fn post(channel: &Channel) -> Result<()> {
    channel.write(&ONE)
}

fn take(channel: &Channel) -> Result<()> {
    channel.read(&mut [0; 8])
}
