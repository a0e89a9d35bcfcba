// SPDX-License-Identifier: GPL-2.0

//! Checks of byte and page ranges that come from user space.

use super::status::Status;

/// Checks the range of an export: the contract's codes in the contract's order.
///
/// Returns the number of pages. `page_size` must be a power of two.
pub fn export_pages(addr: u64, length: u64, page_size: u64) -> Result<u64, Status> {
    if length == 0 {
        return Err(Status::BadLength);
    }
    if page_size == 0 || (addr | length) & (page_size - 1) != 0 {
        return Err(Status::BadMemAlignment);
    }
    if addr.checked_add(length).is_none() {
        return Err(Status::BadLength);
    }
    Ok(length / page_size)
}

/// Checks a range of user memory, to the contract's codes; returns the first address beyond.
pub fn user_range(addr: u64, length: u64, page_size: u64) -> Result<u64, Status> {
    export_pages(addr, length, page_size)?;
    addr.checked_add(length).ok_or(Status::BadLength)
}

/// Whether a window of `pages` pages at page offset `offset` lies inside a segment of
/// `segment_pages` pages.
pub fn window_fits(offset: u64, pages: u64, segment_pages: u64) -> bool {
    match offset.checked_add(pages) {
        Some(end) => pages > 0 && end <= segment_pages,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_in_order() {
        assert_eq!(export_pages(1, 0, 4096), Err(Status::BadLength));
        assert_eq!(export_pages(1, 4096, 4096), Err(Status::BadMemAlignment));
        assert_eq!(export_pages(0, 4097, 4096), Err(Status::BadMemAlignment));
        assert_eq!(
            export_pages(u64::MAX - 4095, 4096, 4096),
            Err(Status::BadLength)
        );
        assert_eq!(export_pages(u64::MAX - 8191, 4096, 4096), Ok(1));
        assert_eq!(export_pages(4096, 3 * 4096, 4096), Ok(3));
    }

    proptest! {
        #[test]
        fn windows_never_reach_past_the_end(offset: u64, pages: u64, total: u64) {
            let fits = window_fits(offset, pages, total);
            let wide = offset as u128 + pages as u128 <= total as u128 && pages > 0;
            prop_assert_eq!(fits, wide);
        }

        #[test]
        fn accepted_ranges_are_exact(addr: u64, length: u64) {
            if let Ok(pages) = export_pages(addr, length, 4096) {
                prop_assert_eq!(pages * 4096, length);
                prop_assert_eq!(addr % 4096, 0);
                prop_assert!(addr as u128 + length as u128 <= u64::MAX as u128);
            }
        }
    }
}
