// SPDX-License-Identifier: GPL-2.0

//! The permission model: who may connect to a published segment, and with which rights.
//!
//! A segment's mode is a 9-bit owner/group/other mode that uses only read (4) and write (2). It
//! comes from the access list entry for the importer's node, or, with an empty list, from the
//! exporter's umask when the segment was created.

/// Rights asked for or granted. Bits are those of the owner digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u32);

const READ: u32 = 0o400;
const WRITE: u32 = 0o200;

/// All bits that a segment's mode can have.
pub const MODE_MASK: u32 = 0o666;

impl Rights {
    /// Reads rights as user space gives them; `None` if any other bit is set.
    pub fn from_bits(bits: u32) -> Option<Self> {
        (bits & !(READ | WRITE) == 0).then_some(Self(bits))
    }

    /// Whether reading is included.
    pub fn read(self) -> bool {
        self.0 & READ != 0
    }

    /// Whether writing is included.
    pub fn write(self) -> bool {
        self.0 & WRITE != 0
    }

    /// Whether nothing is included: a connection that cannot be mapped.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rights for a person: `r` and `w`, or `-`.
    pub fn letters(self) -> &'static str {
        match (self.read(), self.write()) {
            (true, true) => "rw",
            (true, false) => "r",
            (false, true) => "w",
            (false, false) => "-",
        }
    }

    /// The rights as one digit of a mode: read 4, write 2.
    fn digit(self) -> u32 {
        self.0 >> 6
    }
}

/// How the importer stands to the segment's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The importer's effective user id is the owner's.
    Owner,
    /// One of the importer's groups is the segment's group.
    Group,
    /// Neither.
    Other,
}

/// The class of an importer. Being the owner wins over being in the group, even where the owner
/// digit gives less.
pub fn class(is_owner: bool, in_group: bool) -> Class {
    if is_owner {
        Class::Owner
    } else if in_group {
        Class::Group
    } else {
        Class::Other
    }
}

/// The mode of a segment published without an access list.
pub fn default_mode(umask: u32) -> u32 {
    0o777 & !umask & MODE_MASK
}

/// Whether an access list entry is valid: the permission is at most 0666 *as a number*, so that
/// 0657 passes, as the contract has it.
pub fn entry_valid(node: u32, perm: u32, local_node: u32) -> bool {
    node == local_node && perm <= MODE_MASK
}

/// Whether `mode` gives `class` everything in `want`. Rights that are not granted here may still
/// be had with the privilege to override, which the caller checks.
pub fn granted(mode: u32, class: Class, want: Rights) -> bool {
    let shift = match class {
        Class::Owner => 6,
        Class::Group => 3,
        Class::Other => 0,
    };
    let have = ((mode & MODE_MASK) >> shift) & 0o7;
    want.digit() & !have == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The model of the contract (1.4), steps 2 to 5, written as it stands there.
    fn contract(mode: u32, owner: bool, group: bool, want: u32) -> bool {
        let m = mode & 0o666;
        let mut a = 0;
        if want & 0o400 != 0 {
            a |= 0o444;
        }
        if want & 0o200 != 0 {
            a |= 0o222;
        }
        let e = m & a;
        let digit = if owner {
            (e >> 6) & 7
        } else if group {
            (e >> 3) & 7
        } else {
            e & 7
        };
        let need =
            (if want & 0o400 != 0 { 4 } else { 0 }) | (if want & 0o200 != 0 { 2 } else { 0 });
        digit & need == need
    }

    #[test]
    fn every_mode_class_and_request() {
        for mode in 0..0o1000 {
            for owner in [false, true] {
                for group in [false, true] {
                    for want in [0, 0o200, 0o400, 0o600] {
                        let rights = Rights::from_bits(want).unwrap();
                        assert_eq!(
                            granted(mode, class(owner, group), rights),
                            contract(mode, owner, group, want),
                            "mode {mode:o} owner {owner} group {group} want {want:o}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn only_two_bits_are_rights() {
        for bits in 0..0o10000 {
            assert_eq!(
                Rights::from_bits(bits).is_some(),
                bits & !0o600 == 0,
                "{bits:o}"
            );
        }
        assert!(Rights::from_bits(0).unwrap().is_empty());
    }

    #[test]
    fn default_modes() {
        assert_eq!(default_mode(0o022), 0o644);
        assert_eq!(default_mode(0o077), 0o600);
        assert_eq!(default_mode(0), 0o666);
        assert_eq!(default_mode(0o777), 0);
    }

    #[test]
    fn entries() {
        assert!(entry_valid(0, 0o666, 0));
        assert!(entry_valid(0, 0, 0));
        assert!(entry_valid(3, 0o657, 3));
        assert!(!entry_valid(0, 0o667, 0));
        assert!(!entry_valid(0, 0o1000, 0));
        assert!(!entry_valid(1, 0o666, 0));
    }
}
