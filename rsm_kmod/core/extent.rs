// SPDX-License-Identifier: GPL-2.0

//! Extents: the physical memory of a segment as runs of contiguous page frames.
//!
//! A segment keeps an ascending slice of [`Extent`]s. An extent ends where the next one begins, the
//! last at the segment's end, so that an entry costs 16 bytes however long its run is. The first
//! extent begins at page 0.

/// Pages in a 2 MiB page-table entry.
pub const HUGE_PAGES: u64 = 512;

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

/// The extent at `index` as a run; `None` beyond the last.
pub fn run_at(extents: &[Extent], total: u64, index: usize) -> Option<Run> {
    let extent = extents.get(index)?;
    let after = extents.get(index.checked_add(1)?);
    let end = after.map_or(total, |next| next.page);
    Some(Run {
        pfn: extent.pfn,
        pages: end.checked_sub(extent.page).filter(|&pages| pages > 0)?,
    })
}

/// The distance, in pages below [`HUGE_PAGES`], that makes a user address fit 2 MiB entries: an
/// address congruent to (page + phase) modulo 512 pages is congruent to its frame number.
///
/// Taken from the first run long enough to hold an aligned 2 MiB block; 0 if there is none.
pub fn phase(extents: &[Extent], total: u64) -> u64 {
    for index in 0..extents.len() {
        if let (Some(run), Some(extent)) = (run_at(extents, total, index), extents.get(index)) {
            let to_aligned = run.pfn.wrapping_neg() % HUGE_PAGES;
            if run.pages >= to_aligned.saturating_add(HUGE_PAGES) {
                return run.pfn.wrapping_sub(extent.page) % HUGE_PAGES;
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

    /// Builds extents as the module does, one page after the other.
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
            let sum: u64 = (0..extents.len())
                .map(|i| run_at(&extents, total, i).unwrap().pages)
                .sum();
            prop_assert_eq!(sum, total);
            prop_assert_eq!(run_at(&extents, total, extents.len()), None);
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
