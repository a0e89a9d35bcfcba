// SPDX-License-Identifier: GPL-2.0

//! Segment ids: which ones an application may name, and which the system assigns.

/// First id an application may publish under; everything below is reserved.
pub const FIRST_EXPLICIT: u32 = 0x0040_0000;

/// First id the system assigns; an application may not name it or anything above.
pub const FIRST_ASSIGNED: u32 = 0x8000_0000;

/// What a publisher asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Id 0: the system picks one.
    Assign,
    /// This id.
    Explicit(u32),
}

/// Reads the id in a publish request; `None` if it lies in a reserved range.
pub fn request(id: u32) -> Option<Request> {
    match id {
        0 => Some(Request::Assign),
        FIRST_EXPLICIT..FIRST_ASSIGNED => Some(Request::Explicit(id)),
        _ => None,
    }
}

/// Hands out assigned ids: each once, in ascending order, for as long as the module lives.
#[derive(Debug)]
pub struct Assigner {
    /// Next id, or 0 when all have been used.
    next: u32,
}

impl Default for Assigner {
    fn default() -> Self {
        Self::new()
    }
}

impl Assigner {
    /// An assigner that has handed out nothing yet.
    pub const fn new() -> Self {
        Self {
            next: FIRST_ASSIGNED,
        }
    }

    /// The next id, or `None` when all 2^31 have been used.
    pub fn assign(&mut self) -> Option<u32> {
        let id = self.next;
        if id == 0 {
            return None;
        }
        self.next = id.wrapping_add(1);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The contract's table of ranges (1.3), by its hexadecimal digits.
        #[test]
        fn as_the_table_says(id: u32, small in 0u32..0x100_0000) {
            for id in [id, small] {
                let expected = match (id, id >> 20) {
                    (0, _) => Some(Request::Assign),
                    (_, 0..=3) => None,
                    (id, high) if high <= 0x7FF => Some(Request::Explicit(id)),
                    _ => None,
                };
                prop_assert_eq!(request(id), expected);
            }
        }

        /// Each id once, in ascending order, none that an application may name, then none at all.
        #[test]
        fn no_id_twice(behind in 0u32..200, asked in 0u32..400) {
            let mut ids = Assigner { next: (u32::MAX - behind).max(FIRST_ASSIGNED) };
            let given = (0..asked).map_while(|_| ids.assign());
            let mut last = None;
            let mut count = 0;
            for id in given {
                prop_assert!(id >= FIRST_ASSIGNED && request(id).is_none());
                prop_assert!(last.is_none_or(|last| last < id));
                (last, count) = (Some(id), count + 1);
            }
            prop_assert_eq!(count, asked.min(behind + 1));
        }
    }

    #[test]
    fn boundaries_of_the_ranges() {
        assert_eq!(request(0), Some(Request::Assign));
        for id in [
            1, 0xF_FFFF, 0x10_0000, 0x20_0000, 0x2F_FFFF, 0x30_0000, 0x3F_FFFF,
        ] {
            assert_eq!(request(id), None, "{id:#x}");
        }
        for id in [0x40_0000, 0x50_0000, 0x60_0000, 0x7FFF_FFFF] {
            assert_eq!(request(id), Some(Request::Explicit(id)), "{id:#x}");
        }
        for id in [0x8000_0000, 0xFFFF_FFFF] {
            assert_eq!(request(id), None, "{id:#x}");
        }
    }

    #[test]
    fn assigned_ids_ascend_and_end() {
        let mut ids = Assigner::new();
        assert_eq!(ids.assign(), Some(0x8000_0000));
        assert_eq!(ids.assign(), Some(0x8000_0001));
        let mut ids = Assigner { next: u32::MAX };
        assert_eq!(ids.assign(), Some(u32::MAX));
        assert_eq!(ids.assign(), None);
        assert_eq!(ids.assign(), None);
    }
}
