// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data moved: a word, a page, and all of the memory, by those who do not map it; barriers.
//!
//! Through a channel there are two ends. For a word and a page both are in one process, so that
//! nothing is switched; for all of the memory they are where exporter and importer are.

use std::convert::Infallible;
use std::hint::black_box;
use std::io::{IoSlice, IoSliceMut};

use anyhow::Result;
use nix::errno::Errno;
use nix::libc;
use nix::sys::uio::{process_vm_readv, process_vm_writev, RemoteIoVec};

use super::{Bench, Column, Memory, Operation, Pages, Side};
use crate::memory::PAGE;
use crate::peers::channel::Kind;
use crate::peers::link::Link;
use crate::peers::stage::exporter;
use crate::peers::ways::{filled, Memfd, Rsm, Way, Window};

/// Batches, and transfers in a batch.
const TIMES: (u64, u64) = (10, 100);

/// The same for what takes longer.
const FEWER: (u64, u64) = (10, 10);

/// Where it lies in a page makes a difference.
#[repr(align(4096))]
struct Page([u8; PAGE]);

/// By all who can.
pub fn play(bench: &mut Bench<'_>) -> Result<()> {
    shared::<Rsm>(bench, segment)?;
    shared::<Memfd>(bench, mapped_file)?;
    for pages in Pages::ALL {
        process_vm(bench, bench.memory(pages))?;
    }
    Kind::STREAMS
        .into_iter()
        .try_for_each(|kind| stream(bench, kind))
}

/// Has one page in both processes, and lets the importer work on it.
fn shared<W: Way>(
    bench: &mut Bench<'_>,
    work: impl Fn(&mut Side, W::Handle, W::Window) -> Result<()>,
) -> Result<()> {
    let memory = Memory {
        bytes: PAGE,
        pages: Pages::Small,
    };
    bench.play(
        W::COLUMN,
        1,
        |side, link| {
            let way = W::open()?;
            let handle = way.connect(link.hear()?, link)?;
            let window = way.map(&handle, PAGE)?;
            window.view().touch();
            work(side, handle, window)?;
            link.tell(0)
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            let way = W::open()?;
            let owned = way.make(&mut side.aside(), memory)?;
            let told = way.publish(&owned)?;
            way.admit(&owned, link)?;
            link.tell(told)?;
            link.hear()?;
            Ok(())
        },
    )
}

fn segment(side: &mut Side, import: rsm::ImportSegment, window: rsm::Mapping) -> Result<()> {
    import.set_window(window)?;
    let (mut word, mut page) = ([1_u8; 8], Page([1; PAGE]));
    side.time_each(Operation::Put8.alone(), TIMES, || {
        import.put(black_box(16), black_box(&word))
    })?;
    side.time_each(Operation::Get8.alone(), TIMES, || {
        import.get(black_box(16), black_box(&mut word))
    })?;
    side.time_each(Operation::PutPage.alone(), TIMES, || {
        import.put(0, black_box(&page.0))
    })?;
    side.time_each(Operation::GetPage.alone(), TIMES, || {
        import.get(0, black_box(&mut page.0))
    })?;
    side.time_each(Operation::Barrier.alone(), TIMES, || {
        black_box(&import).open_barrier().close()
    })?;
    Ok(())
}

fn mapped_file(
    side: &mut Side,
    _: <Memfd as Way>::Handle,
    window: <Memfd as Way>::Window,
) -> Result<()> {
    let view = window.view();
    let mut page = Page([1; PAGE]);
    let mut row = |operation: Operation, what: &mut dyn FnMut()| {
        side.time_each(operation.alone(), TIMES, || {
            what();
            Ok::<_, Infallible>(())
        })
    };
    row(Operation::Put8, &mut || view.store(black_box(1)))?;
    row(Operation::Get8, &mut || {
        black_box(view.load());
    })?;
    row(Operation::PutPage, &mut || view.copy_in(black_box(&page.0)))?;
    row(Operation::GetPage, &mut || {
        view.copy_out(black_box(&mut page.0))
    })?;
    Ok(())
}

/// A range of the exporter's memory.
#[derive(Clone, Copy)]
struct Remote {
    base: usize,
}

impl Remote {
    fn range(self, len: usize) -> [RemoteIoVec; 1] {
        [RemoteIoVec {
            base: self.base,
            len,
        }]
    }

    fn write(self, from: &[u8]) -> nix::Result<()> {
        let local = [IoSlice::new(from)];
        let done = process_vm_writev(exporter(), &local, &self.range(from.len()))?;
        complete(done, from.len())
    }

    fn read(self, into: &mut [u8]) -> nix::Result<()> {
        let len = into.len();
        let mut local = [IoSliceMut::new(into)];
        let done = process_vm_readv(exporter(), &mut local, &self.range(len))?;
        complete(done, len)
    }
}

/// Fails as a range that is not mapped does, unless all was moved.
fn complete(done: usize, len: usize) -> nix::Result<()> {
    if done == len {
        Ok(())
    } else {
        Err(Errno::EFAULT)
    }
}

pub(super) fn process_vm(bench: &mut Bench<'_>, memory: Memory) -> Result<()> {
    bench.play(
        Column::ProcessVm,
        1,
        |side, link| {
            let remote = Remote {
                base: link.hear()? as usize,
            };
            // Where the kernel or its administrator does not have it, there are no such rows.
            if let Err(Errno::ENOSYS | Errno::EPERM) = remote.read(&mut [0; 8]) {
                return link.tell(0);
            }
            let mut copy = vec![1; memory.bytes];
            side.time(Operation::CopyOut.of(memory), || remote.read(&mut copy))?;
            side.time(Operation::CopyIn.of(memory), || remote.write(&copy))?;
            if memory.pages == Pages::Small {
                let (word, page) = copy.split_at_mut(8);
                let page = &mut page[..PAGE];
                side.time_each(Operation::Put8.alone(), FEWER, || remote.write(word))?;
                side.time_each(Operation::Get8.alone(), FEWER, || remote.read(word))?;
                side.time_each(Operation::PutPage.alone(), FEWER, || remote.write(page))?;
                side.time_each(Operation::GetPage.alone(), FEWER, || remote.read(page))?;
            }
            link.tell(0)
        },
        |_, links| {
            let [link] = links else { unreachable!() };
            let mut buffer = filled(memory)?;
            // SAFETY: changes only who may trace this process. Where nobody asks, it fails.
            unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY) };
            link.tell(buffer.as_mut_slice().as_mut_ptr() as u64)?;
            link.hear()?;
            Ok(())
        },
    )
}

pub(super) fn stream(bench: &mut Bench<'_>, kind: Kind) -> Result<()> {
    let memory = bench.memory(Pages::Small);
    let (out, back) = (kind.channel()?, kind.channel()?);
    let into_exporter = |link: &Link, all: &mut [u8]| -> Result<()> {
        link.hear()?;
        out.write(all)?;
        back.read(all)?;
        link.tell(0)
    };
    bench.play(
        kind.column(),
        1,
        |side, link| {
            let mut copy = vec![1; memory.bytes];
            // The exporter has used the channels by himself before.
            link.hear()?;
            // From here on he waits for room, or for data.
            link.tell(0)?;
            side.time(Operation::CopyOut.of(memory), || out.read(&mut copy))?;
            let copy_in = || -> Result<_> {
                back.write(&copy)?;
                link.hear()
            };
            side.time(Operation::CopyIn.of(memory), copy_in)?;
            Ok(())
        },
        |side, links| {
            let [link] = links else { unreachable!() };
            let mut buffer = filled(memory)?;
            let (mut word, mut page) = ([1; 8], [1; PAGE]);
            side.time_each(Operation::Put8.alone(), TIMES, || {
                out.write(&word)?;
                out.read(&mut word)
            })?;
            side.time_each(Operation::PutPage.alone(), TIMES, || {
                out.write(&page)?;
                out.read(&mut page)
            })?;
            link.tell(0)?;
            into_exporter(link, buffer.as_mut_slice())
        },
    )
}
