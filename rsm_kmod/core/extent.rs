// SPDX-License-Identifier: GPL-2.0

//! Extents: the physical memory of a segment as runs of contiguous page frames.
//!
//! A segment keeps an ascending slice of [`Extent`]s. An extent ends where the next one begins, the
//! last at the segment's end, so that an entry costs 16 bytes however long its run is. The first
//! extent begins at page 0.

use core::mem::{size_of, MaybeUninit};

/// Pages in a 2 MiB page-table entry.
pub const HUGE_PAGES: u64 = 512;

/// Extents that [`phase`] looks at together.
const PHASE_GROUP: usize = 32;

/// A run of contiguous page frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First page of the run, counted from the start of the segment.
    pub page: u64,
    /// Frame number of that page.
    pub pfn: u64,
}

/// What a page of a segment resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Frame number of the page.
    pub pfn: u64,
    /// Contiguous frames from that page on, itself included; never 0.
    pub pages: u64,
}

/// Whether the page after `pages` pages, with frame `pfn`, continues the last extent.
pub fn continues(last: Option<&Extent>, pages: u64, pfn: u64) -> bool {
    match last {
        Some(extent) => pages
            .checked_sub(extent.page)
            .and_then(|run| extent.pfn.checked_add(run))
            .is_some_and(|next| next == pfn),
        None => false,
    }
}

/// Pages that follow those that have an extent already.
///
/// Pages are pointers into one array that has an element for each frame, in the order of the frames.
#[derive(Debug)]
pub struct Batch<'a, T> {
    pages: &'a [*mut T],
    /// How many have an extent by now.
    taken: usize,
    /// How many pages come before.
    before: u64,
    /// The address of the array's first element.
    array: usize,
}

impl<'a, T> Batch<'a, T> {
    /// Of `pages`, after `before` pages whose last extent is `last`. `pfn` is the frame of the first.
    /// Those that continue that extent are taken.
    pub fn new(last: Option<&Extent>, before: u64, pages: &'a [*mut T], pfn: u64) -> Self {
        let first = pages.first().map_or(0, |page| page.addr());
        let taken = match pages.first() {
            Some(&first) if continues(last, before, pfn) => end_of_run(pages, 0, first),
            _ => 0,
        };
        Self {
            pages,
            taken,
            before,
            array: first.wrapping_sub((pfn as usize).wrapping_mul(size_of::<T>())),
        }
    }

    /// Takes pages, and stores their extents for as long as there is room. Returns how many.
    pub fn fill(&mut self, room: &mut [MaybeUninit<Extent>]) -> usize {
        let mut taken = self.taken;
        let mut filled = 0_usize;
        for place in room {
            let Some(&page) = self.pages.get(taken) else {
                break;
            };
            place.write(Extent {
                page: self.before.wrapping_add(taken as u64),
                pfn: (page.addr().wrapping_sub(self.array) / size_of::<T>()) as u64,
            });
            filled = filled.wrapping_add(1);
            taken = end_of_run(self.pages, taken.wrapping_add(1), page.wrapping_add(1));
        }
        self.taken = taken;
        filled
    }

    /// Pages that have an extent by now, those before included.
    pub fn pages(&self) -> u64 {
        self.before.wrapping_add(self.taken as u64)
    }

    /// Pages not taken.
    pub fn rest(&self) -> &'a [*mut T] {
        self.pages.get(self.taken..).unwrap_or(&[])
    }
}

/// Where the run ends that would go on with `next` at `at`.
fn end_of_run<T>(pages: &[*mut T], mut at: usize, mut next: *mut T) -> usize {
    while pages.get(at).is_some_and(|&page| page == next) {
        at = at.wrapping_add(1);
        next = next.wrapping_add(1);
    }
    at
}

/// How many extents a segment of `total` pages may come to have, if its first `pages` pages have
/// `known`: as many in proportion, or up to `known` more, and never more than pages.
pub fn expected(known: usize, pages: u64, total: u64) -> usize {
    let times = (total / pages.max(1)).saturating_add(1);
    let expected = (known as u64).saturating_mul(times).min(total);
    usize::try_from(expected).unwrap_or(usize::MAX)
}

/// The run that starts at `page` of a segment of `total` pages; `None` beyond the end.
///
/// O(log n) in the number of extents.
pub fn locate(extents: &[Extent], total: u64, page: u64) -> Option<Run> {
    runs_from(extents, total, page).next()
}

/// The runs of a segment of `total` pages from `page` on, in order; the first begins there.
///
/// O(log n) in the number of extents; O(1) for each run.
pub fn runs_from(extents: &[Extent], total: u64, page: u64) -> Runs<'_> {
    let after = extents.partition_point(|extent| extent.page <= page);
    Runs {
        rest: extents.get(after.saturating_sub(1)..).unwrap_or(&[]),
        total,
        page,
    }
}

/// See [`runs_from`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    /// The extent that holds `page`, and those after it.
    rest: &'a [Extent],
    total: u64,
    page: u64,
}

impl Iterator for Runs<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        let (extent, after) = self.rest.split_first()?;
        let end = after.first().map_or(self.total, |next| next.page);
        let run = Run {
            pfn: extent
                .pfn
                .checked_add(self.page.checked_sub(extent.page)?)?,
            pages: end.checked_sub(self.page).filter(|&pages| pages > 0)?,
        };
        self.rest = after;
        self.page = end;
        Some(run)
    }
}

/// The distance, in pages below [`HUGE_PAGES`], that makes a user address fit 2 MiB entries: an
/// address congruent to (page + phase) modulo 512 pages is congruent to its frame number.
///
/// Taken from the first run long enough to hold an aligned 2 MiB block; 0 if there is none.
pub fn phase(extents: &[Extent], total: u64) -> u64 {
    let end_of = |index: usize| extents.get(index).map_or(total, |next| next.page);
    for start in (0..extents.len()).step_by(PHASE_GROUP) {
        let group = start..extents.len().min(start.saturating_add(PHASE_GROUP));
        // None that long among those that are not even together.
        let span = end_of(group.end).saturating_sub(end_of(start));
        if span < HUGE_PAGES {
            continue;
        }
        for (index, extent) in group.clone().zip(extents.get(group).unwrap_or(&[])) {
            let pages = end_of(index.saturating_add(1)).saturating_sub(extent.page);
            let to_aligned = extent.pfn.wrapping_neg() % HUGE_PAGES;
            if pages >= to_aligned.saturating_add(HUGE_PAGES) {
                return extent.pfn.wrapping_sub(extent.page) % HUGE_PAGES;
            }
        }
    }
    0
}

/// The part of a user mapping that one fault fills: inside one 2 MiB block of addresses (so that one
/// page table holds it), inside the mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Page of the segment at the first address.
    pub page: u64,
    /// First address.
    pub addr: u64,
    /// Bytes; a multiple of the page size.
    pub bytes: u64,
}

/// The window around a fault at `addr` in a mapping `[start, end)` whose first byte is page
/// `first_page` of the segment. `None` if the arguments contradict each other.
pub fn fault_window(start: u64, end: u64, first_page: u64, addr: u64) -> Option<Window> {
    if addr < start || addr >= end {
        return None;
    }
    let block = HUGE_PAGES << 12;
    let low = (addr & !(block - 1)).max(start);
    let high = match (addr & !(block - 1)).checked_add(block) {
        Some(top) => top.min(end),
        None => end,
    };
    Some(Window {
        page: first_page.checked_add((low - start) >> 12)?,
        addr: low,
        bytes: high - low,
    })
}

/// The frame to map with one 2 MiB entry over `window`, if the window is a whole block and the
/// segment's frames behind it are contiguous and aligned.
pub fn huge_frame(extents: &[Extent], total: u64, window: Window) -> Option<u64> {
    if window.bytes != HUGE_PAGES << 12 {
        return None;
    }
    let run = locate(extents, total, window.page)?;
    (run.pages >= HUGE_PAGES && run.pfn % HUGE_PAGES == 0).then_some(run.pfn)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// Builds extents as the module does, in batches of so many pages, of which those of one call
    /// have so much room.
    fn build_in_batches(pfns: &[u64], batch: usize, room: usize) -> Vec<Extent> {
        // As if there were an array of structures of 64 bytes.
        let array = 1_usize << 40;
        let pages: Vec<*mut [u64; 8]> = pfns
            .iter()
            .map(|&pfn| core::ptr::without_provenance_mut(array + 64 * pfn as usize))
            .collect();
        let mut extents: Vec<Extent> = Vec::new();
        for (index, pages) in pages.chunks(batch).enumerate() {
            let before = index * batch;
            let mut batch = Batch::new(extents.last(), before as u64, pages, pfns[before]);
            while !batch.rest().is_empty() {
                let mut places = std::vec![MaybeUninit::uninit(); room];
                let filled = batch.fill(&mut places);
                assert!(filled > 0 || places.is_empty());
                // SAFETY: so many have been stored.
                extents.extend(
                    places[..filled]
                        .iter()
                        .map(|place| unsafe { place.assume_init() }),
                );
            }
            assert_eq!(batch.pages(), (before + pages.len()) as u64);
        }
        extents
    }

    /// Builds extents one page after the other.
    fn build(pfns: &[u64]) -> Vec<Extent> {
        let mut extents: Vec<Extent> = Vec::new();
        for (page, &pfn) in pfns.iter().enumerate() {
            if !continues(extents.last(), page as u64, pfn) {
                extents.push(Extent {
                    page: page as u64,
                    pfn,
                });
            }
        }
        extents
    }

    /// Frame lists with long runs and jumps.
    fn frames() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0u64..4096, 1u64..700), 1..12).prop_map(|runs| {
            runs.into_iter()
                .flat_map(|(pfn, pages)| pfn..pfn + pages)
                .collect()
        })
    }

    proptest! {
        #[test]
        fn every_page_resolves_to_its_frame(pfns in frames()) {
            let extents = build(&pfns);
            let total = pfns.len() as u64;
            for (page, &pfn) in pfns.iter().enumerate() {
                let run = locate(&extents, total, page as u64).unwrap();
                prop_assert_eq!(run.pfn, pfn);
                for i in 0..run.pages {
                    prop_assert_eq!(pfns[page + i as usize], pfn + i);
                }
            }
            prop_assert_eq!(locate(&extents, total, total), None);
        }

        #[test]
        fn runs_cover_the_segment(pfns in frames()) {
            let extents = build(&pfns);
            let total = pfns.len() as u64;
            let sum: u64 = runs_from(&extents, total, 0).map(|run| run.pages).sum();
            prop_assert_eq!(sum, total);
        }

        #[test]
        fn batches_come_to_the_same(pfns in frames(), batch in 1_usize..800, room in 1_usize..20) {
            prop_assert_eq!(build_in_batches(&pfns, batch, room), build(&pfns));
        }

        #[test]
        fn enough_is_expected(known in 1_usize..5000, runs in 1_u64..500, more in 0_u64..500) {
            let pages = known as u64 * runs;
            let expected = expected(known, pages, pages * (more + 1));
            prop_assert!(expected >= known * (more as usize + 1));
            prop_assert!(expected as u64 <= pages * (more + 1));
        }

        #[test]
        fn runs_follow_one_another(pfns in frames(), page in 0_usize..6000) {
            let extents = build(&pfns);
            let found: Vec<u64> = runs_from(&extents, pfns.len() as u64, page as u64)
                .flat_map(|run| run.pfn..run.pfn + run.pages)
                .collect();
            prop_assert_eq!(&found[..], pfns.get(page..).unwrap_or(&[]));
        }

        #[test]
        fn huge_frames_are_contiguous_and_aligned(pfns in frames(), page in 0u64..6000) {
            let extents = build(&pfns);
            let window = Window { page, addr: 0, bytes: 2 << 20 };
            if let Some(pfn) = huge_frame(&extents, pfns.len() as u64, window) {
                prop_assert_eq!(pfn % 512, 0);
                for i in 0..512 {
                    prop_assert_eq!(pfns[(page + i) as usize], pfn + i);
                }
            }
        }

        #[test]
        fn phase_is_of_the_first_that_is_long_enough(pfns in frames()) {
            let extents = build(&pfns);
            let total = pfns.len() as u64;
            let mut page = 0;
            let mut first = 0;
            for run in runs_from(&extents, total, 0) {
                if run.pages >= run.pfn.wrapping_neg() % HUGE_PAGES + HUGE_PAGES {
                    first = run.pfn.wrapping_sub(page) % HUGE_PAGES;
                    break;
                }
                page += run.pages;
            }
            prop_assert_eq!(phase(&extents, total), first);
        }

        #[test]
        fn phase_lets_a_huge_entry_fit(skip in 0u64..512, pages in 1024u64..3000) {
            // A buffer that starts `skip` pages into a huge page.
            let pfns: Vec<u64> = (0..pages).map(|i| 51_200 + skip + i).collect();
            let extents = build(&pfns);
            let phase = phase(&extents, pages);
            prop_assert_eq!(phase, skip);
            // Map at an address congruent to the phase and fault in the second block.
            let start = (1u64 << 40) + phase * 4096;
            let addr = (1u64 << 40) + (2 << 20);
            let window = fault_window(start, start + pages * 4096, 0, addr).unwrap();
            prop_assert!(huge_frame(&extents, pages, window).is_some());
        }

        #[test]
        fn fault_windows_stay_inside(
            start in 0u64..1 << 30, pages in 1u64..5000, first in 0u64..1 << 30, at in 0u64..5000
        ) {
            let start = start & !4095;
            let end = start + pages * 4096;
            let addr = start + (at % pages) * 4096;
            let window = fault_window(start, end, first, addr).unwrap();
            prop_assert!(window.addr >= start && window.addr + window.bytes <= end);
            prop_assert!(window.addr <= addr && addr < window.addr + window.bytes);
            prop_assert_eq!(window.addr >> 21, (window.addr + window.bytes - 1) >> 21);
            prop_assert_eq!(window.page, first + ((window.addr - start) >> 12));
        }
    }

    #[test]
    fn contradictions_give_nothing() {
        assert_eq!(locate(&[], 10, 0), None);
        assert_eq!(fault_window(4096, 8192, 0, 0), None);
        assert_eq!(fault_window(4096, 8192, 0, 8192), None);
        assert!(fault_window(u64::MAX - 8191, u64::MAX - 4095, 0, u64::MAX - 8191).is_some());
        assert_eq!(phase(&[], 0), 0);
    }
}
