// SPDX-License-Identifier: MIT OR Apache-2.0
//! An exporter, which is this process, and importers, forked before the exporter has anything to
//! share: memory that it writes afterwards is not copied on write.

use std::os::unix::process::parent_id;

use anyhow::{bail, Context, Result};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, ForkResult, Pid};

use super::key::Column;
use super::link::Link;
use super::sheet::{Sheet, Side};
use crate::measure::Clock;
use crate::memory::within_one_table;

/// Runs both parts, each in its processes, and returns what all of them have measured.
pub fn play(
    clock: Clock,
    column: Column,
    importers: usize,
    importer: impl Fn(&mut Side, &Link) -> Result<()>,
    exporter: impl FnOnce(&mut Side, &[Link]) -> Result<()>,
) -> Result<Sheet> {
    let mut links = Vec::new();
    let mut children = Vec::new();
    for _ in 0..importers {
        let (near, far) = Link::pair()?;
        // SAFETY: what the child does is its own: where there are other threads they hold no lock but
        // the allocator's, which fork takes care of.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => {
                links.push(near);
                children.push(child);
            }
            ForkResult::Child => {
                // The others' ends stay open in their own processes only.
                links.clear();
                drop(near);
                let status = match import(clock, column, &importer, &far) {
                    Ok(()) => 0,
                    Err(error) => {
                        eprintln!("rsm-bench: importer: {error:#}");
                        1
                    }
                };
                // SAFETY: ends the process; what belongs to the parent is left alone.
                unsafe { libc::_exit(status) }
            }
        }
    }
    let result = export(clock, column, &links, exporter);
    // Importers that wait for the exporter end.
    drop(links);
    let ended = children.into_iter().try_for_each(await_end);
    let sheet = result?;
    ended?;
    Ok(sheet)
}

fn import(
    clock: Clock,
    column: Column,
    importer: impl Fn(&mut Side, &Link) -> Result<()>,
    link: &Link,
) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    let _place = within_one_table()?;
    let mut side = Side::new(clock, column);
    importer(&mut side, link)?;
    link.tell_bytes(&side.into_sheet().to_bytes()?)
}

fn export(
    clock: Clock,
    column: Column,
    links: &[Link],
    exporter: impl FnOnce(&mut Side, &[Link]) -> Result<()>,
) -> Result<Sheet> {
    let _place = within_one_table()?;
    let mut side = Side::new(clock, column);
    exporter(&mut side, links)?;
    let mut sheet = side.into_sheet();
    for link in links {
        sheet.append(Sheet::from_bytes(&link.hear_bytes()?)?);
    }
    Ok(sheet)
}

fn await_end(child: Pid) -> Result<()> {
    match waitpid(child, None)? {
        WaitStatus::Exited(_, 0) => Ok(()),
        status => bail!("an importer has ended with {status:?}"),
    }
}

/// The exporter, as seen by an importer.
pub fn exporter() -> Pid {
    Pid::from_raw(parent_id() as i32)
}
