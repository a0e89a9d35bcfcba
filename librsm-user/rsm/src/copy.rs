// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copies to and from memory that others change meanwhile.
//!
//! Every aligned element of 2, 4 or 8 bytes that lies wholly within a copy is moved in
//! one access. Alignment is that of the shared side; the other side may lie anywhere.
//!
//! A copy of elements moves them in ascending order as well, in words of 8 bytes at most: of
//! wider accesses the architecture does not say which part is seen first. A copy of bytes is as
//! wide as the processor can: 16 and 32 bytes, of which no 8 are ever torn at an aligned place.
//!
//! On x86-64 the moves are assembly: to the compiler a memory access that it knows nothing
//! about, as it must be with memory that is not this program's alone.

use std::cmp;

/// Longest aligned piece that the short way deals with.
const WORD: usize = 8;

/// What the long way moves at a time where the order is nobody's business.
const WIDE: usize = 16;

/// Copies `len` bytes into shared memory.
///
/// # Safety
///
/// `from` must be valid for reads, `to` for writes of `len` bytes. They must not overlap.
/// Neither may be accessed through a reference meanwhile, except that nobody may be
/// writing to a referenced `from`.
#[inline]
pub(crate) unsafe fn to_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { copy::<WIDE>(to, from, len, to as usize) }
}

/// Copies `len` bytes out of shared memory.
///
/// # Safety
///
/// As for [`to_shared`].
#[inline]
pub(crate) unsafe fn from_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { copy::<WIDE>(to, from, len, from as usize) }
}

/// Copies `len` bytes of elements into shared memory.
///
/// # Safety
///
/// As for [`to_shared`].
#[inline]
pub(crate) unsafe fn elements_to_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { copy::<WORD>(to, from, len, to as usize) }
}

/// Copies `len` bytes of elements out of shared memory.
///
/// # Safety
///
/// As for [`to_shared`].
#[inline]
pub(crate) unsafe fn elements_from_shared(to: *mut u8, from: *const u8, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { copy::<WORD>(to, from, len, from as usize) }
}

/// `place` is the address on the shared side, `STEP` the long way's, [`WORD`] or [`WIDE`].
///
/// # Safety
///
/// As for [`to_shared`].
#[inline]
unsafe fn copy<const STEP: usize>(to: *mut u8, from: *const u8, len: usize, place: usize) {
    if len == WORD && place % WORD == 0 {
        // SAFETY: promised by the caller.
        unsafe { arch::move_8(to, from) }
    } else {
        // SAFETY: promised by the caller.
        unsafe { copy_any::<STEP>(to, from, len, place) }
    }
}

/// # Safety
///
/// As for [`to_shared`].
#[inline(never)]
unsafe fn copy_any<const STEP: usize>(to: *mut u8, from: *const u8, len: usize, place: usize) {
    // SAFETY: the three parts are the whole, in order.
    unsafe {
        let head = cmp::min(place.wrapping_neg() % STEP, len);
        pieces(to, from, head, place);
        let long = (len - head) & !(STEP - 1);
        if STEP == WIDE {
            arch::move_wide(to.add(head), from.add(head), long);
        } else {
            arch::move_words(to.add(head), from.add(head), long);
        }
        let done = head + long;
        pieces(
            to.add(done),
            from.add(done),
            len - done,
            place.wrapping_add(done),
        );
    }
}

/// Fewer than [`WIDE`] bytes, in pieces that are as large as alignment allows.
///
/// # Safety
///
/// As for [`to_shared`].
unsafe fn pieces(mut to: *mut u8, mut from: *const u8, mut len: usize, mut place: usize) {
    while len > 0 {
        // The largest power of two that divides the place and fits.
        let aligned = 1 << cmp::min(place.trailing_zeros(), WORD.trailing_zeros());
        let piece = cmp::min(aligned, 1 << len.ilog2());
        // SAFETY: a part of what the caller vouches for.
        unsafe {
            match piece {
                8 => arch::move_8(to, from),
                4 => arch::move_4(to, from),
                2 => arch::move_2(to, from),
                _ => arch::move_1(to, from),
            }
            to = to.add(piece);
            from = from.add(piece);
        }
        place = place.wrapping_add(piece);
        len -= piece;
    }
}

/// One access on each side for each piece.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod arch {
    use std::arch::asm;

    macro_rules! moves {
        ($($name:ident $class:ident $modifier:literal;)*) => {$(
            /// # Safety
            ///
            /// `from` must be valid for reads and `to` for writes.
            #[inline]
            pub(super) unsafe fn $name(to: *mut u8, from: *const u8) {
                // SAFETY: promised by the caller; the piece's register says its size.
                unsafe {
                    asm!(
                        concat!("mov {piece", $modifier, "}, [{from}]"),
                        concat!("mov [{to}], {piece", $modifier, "}"),
                        from = in(reg) from,
                        to = in(reg) to,
                        piece = out($class) _,
                        options(nostack, preserves_flags),
                    );
                }
            }
        )*};
    }

    moves! {
        move_1 reg_byte "";
        move_2 reg ":x";
        move_4 reg ":e";
        move_8 reg ":r";
    }

    /// One word after the other. `len` is a multiple of 8.
    ///
    /// # Safety
    ///
    /// As for `to_shared`, and the shared side must be aligned to 8 bytes.
    #[inline]
    pub(super) unsafe fn move_words(to: *mut u8, from: *const u8, len: usize) {
        if len == 0 {
            return;
        }
        // SAFETY: the index runs from `-len` to 0, seen from the ends.
        unsafe {
            asm!(
                "2:",
                "mov {word}, [{from} + {i}]",
                "mov [{to} + {i}], {word}",
                "add {i}, 8",
                "jnz 2b",
                from = in(reg) from.add(len),
                to = in(reg) to.add(len),
                i = inout(reg) (len as isize).wrapping_neg() => _,
                word = out(reg) _,
                options(nostack),
            );
        }
    }

    /// From here on 32 bytes at a time are worth the question whether they can be had.
    const LONG: usize = 512;

    /// Bytes per turn of the loops.
    const SSE: usize = 64;
    const AVX: usize = 128;

    /// `len` is a multiple of 16.
    ///
    /// # Safety
    ///
    /// As for `to_shared`, and the shared side must be aligned to 16 bytes.
    #[inline]
    pub(super) unsafe fn move_wide(mut to: *mut u8, mut from: *const u8, mut len: usize) {
        // SAFETY: parts of what the caller vouches for, each as long as is said.
        unsafe {
            if len >= LONG && std::is_x86_feature_detected!("avx") {
                let part = len - len % AVX;
                move_avx(to, from, part);
                (to, from, len) = (to.add(part), from.add(part), len - part);
            }
            if len >= SSE {
                let part = len - len % SSE;
                move_sse(to, from, part);
                (to, from, len) = (to.add(part), from.add(part), len - part);
            }
            while len > 0 {
                asm!(
                    "movups {a}, [{from}]",
                    "movups [{to}], {a}",
                    from = in(reg) from,
                    to = in(reg) to,
                    a = out(xmm_reg) _,
                    options(nostack, preserves_flags),
                );
                (to, from, len) = (to.add(16), from.add(16), len - 16);
            }
        }
    }

    /// `len` is a positive multiple of [`SSE`].
    ///
    /// # Safety
    ///
    /// As for `to_shared`.
    unsafe fn move_sse(to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: the index runs from `-len` to 0, seen from the ends.
        unsafe {
            asm!(
                "2:",
                "movups {a}, [{from} + {i}]",
                "movups {b}, [{from} + {i} + 16]",
                "movups {c}, [{from} + {i} + 32]",
                "movups {d}, [{from} + {i} + 48]",
                "movups [{to} + {i}], {a}",
                "movups [{to} + {i} + 16], {b}",
                "movups [{to} + {i} + 32], {c}",
                "movups [{to} + {i} + 48], {d}",
                "add {i}, 64",
                "jnz 2b",
                from = in(reg) from.add(len),
                to = in(reg) to.add(len),
                i = inout(reg) (len as isize).wrapping_neg() => _,
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                options(nostack),
            );
        }
    }

    /// `len` is a positive multiple of [`AVX`].
    ///
    /// # Safety
    ///
    /// As for `to_shared`.
    #[target_feature(enable = "avx")]
    unsafe fn move_avx(to: *mut u8, from: *const u8, len: usize) {
        // SAFETY: the index runs from `-len` to 0, seen from the ends.
        unsafe {
            asm!(
                "2:",
                "vmovups ymm0, [{from} + {i}]",
                "vmovups ymm1, [{from} + {i} + 32]",
                "vmovups ymm2, [{from} + {i} + 64]",
                "vmovups ymm3, [{from} + {i} + 96]",
                "vmovups [{to} + {i}], ymm0",
                "vmovups [{to} + {i} + 32], ymm1",
                "vmovups [{to} + {i} + 64], ymm2",
                "vmovups [{to} + {i} + 96], ymm3",
                "add {i}, 128",
                "jnz 2b",
                "vzeroupper",
                from = in(reg) from.add(len),
                to = in(reg) to.add(len),
                i = inout(reg) (len as isize).wrapping_neg() => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
                // vzeroupper changes them all.
                out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
                out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nostack),
            );
        }
    }
}

/// The same for processors of which nothing is known: word by word, where the shared side
/// cannot be told from the other.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
mod arch {
    use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, AtomicU8, Ordering::Relaxed};

    macro_rules! moves {
        ($($name:ident $atomic:ident $type:ident;)*) => {$(
            /// # Safety
            ///
            /// `from` must be valid for reads and `to` for writes.
            #[inline]
            pub(super) unsafe fn $name(to: *mut u8, from: *const u8) {
                const SIZE: usize = size_of::<$type>();
                // SAFETY: promised by the caller; atomic where that is possible, which is
                // the shared side at least.
                unsafe {
                    let value = if from as usize % SIZE == 0 {
                        $atomic::from_ptr(from.cast_mut().cast()).load(Relaxed)
                    } else {
                        from.cast::<$type>().read_unaligned()
                    };
                    if to as usize % SIZE == 0 {
                        $atomic::from_ptr(to.cast()).store(value, Relaxed);
                    } else {
                        to.cast::<$type>().write_unaligned(value);
                    }
                }
            }
        )*};
    }

    moves! {
        move_1 AtomicU8 u8;
        move_2 AtomicU16 u16;
        move_4 AtomicU32 u32;
        move_8 AtomicU64 u64;
    }

    pub(super) use move_words as move_wide;

    /// # Safety
    ///
    /// As for `to_shared`, and the shared side must be aligned to 8 bytes.
    pub(super) unsafe fn move_words(to: *mut u8, from: *const u8, len: usize) {
        for at in (0..len).step_by(8) {
            // SAFETY: a part of what the caller vouches for.
            unsafe { move_8(to.add(at), from.add(at)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use nix::sys::mman::{mmap_anonymous, mprotect, MapFlags, ProtFlags};
    use nix::sys::resource::{setrlimit, Resource};
    use nix::sys::signal::Signal;
    use nix::sys::wait::{waitpid, WaitStatus};
    use nix::unistd::{fork, ForkResult};

    use super::*;
    use crate::buffer::page_size;

    /// Both directions, at every alignment of either side, for lengths around every limit.
    #[test]
    fn every_byte_and_no_other() {
        every_byte(to_shared, from_shared);
        every_byte(elements_to_shared, elements_from_shared);
    }

    type Copy = unsafe fn(*mut u8, *const u8, usize);

    fn every_byte(to_shared: Copy, from_shared: Copy) {
        let lengths = (0..200).chain([255, 256, 300, 511, 512, 513, 640, 1000, 4096]);
        for len in lengths {
            let pattern: Vec<u8> = (0..len + 64).map(|at| (at * 7 + 1) as u8).collect();
            for shared in 0..17 {
                for local in [0, 1, 3, 8, 13] {
                    let mut memory = vec![0u128; (len + 64) / 16 + 1];
                    let base = memory.as_mut_ptr().cast::<u8>();
                    let from = &pattern[local..local + len];
                    let mut back = vec![0u8; len + 32];
                    // SAFETY: inside of `memory`, `pattern` and `back`.
                    let all = unsafe {
                        to_shared(base.add(shared), from.as_ptr(), len);
                        from_shared(back.as_mut_ptr().add(local), base.add(shared), len);
                        std::slice::from_raw_parts(base, len + 64)
                    };
                    assert_eq!(&all[shared..shared + len], from, "{len} at {shared}");
                    assert!(all[..shared].iter().all(|&byte| byte == 0));
                    assert!(all[shared + len..].iter().all(|&byte| byte == 0));
                    assert_eq!(&back[local..local + len], from, "{len} from {shared}");
                    assert!(back[..local].iter().all(|&byte| byte == 0));
                    assert!(back[local + len..].iter().all(|&byte| byte == 0));
                }
            }
        }
    }

    /// A page that children share, and one behind it with this protection.
    fn pages(second: ProtFlags) -> *mut u8 {
        let len = NonZeroUsize::new(2 * page_size()).unwrap();
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new memory, of which the second half is protected.
        unsafe {
            let pages = mmap_anonymous(None, len, protection, MapFlags::MAP_SHARED).unwrap();
            mprotect(pages.byte_add(page_size()), page_size(), second).unwrap();
            pages.cast().as_ptr()
        }
    }

    /// Who dies of the first element that cannot be accessed has moved all before it.
    #[test]
    #[cfg(not(miri))]
    fn elements_one_after_the_other() {
        let page = page_size();
        let shared = pages(ProtFlags::PROT_NONE);
        let local = pages(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
        for len in [2, 8, 24, 34, 500, 1000, 1008, 1016, 1024] {
            let edge = shared.wrapping_add(page - len);
            for (copy, to, from) in [
                (elements_to_shared as Copy, edge, local),
                (elements_from_shared, local, edge),
            ] {
                // SAFETY: in the first pages; the child does nothing but the copy.
                let moved = unsafe {
                    to.write_bytes(0, len);
                    from.write_bytes(1, len);
                    let child = match fork().unwrap() {
                        ForkResult::Parent { child } => child,
                        ForkResult::Child => {
                            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
                            copy(to, from, page);
                            nix::libc::_exit(0)
                        }
                    };
                    let end = waitpid(child, None).unwrap();
                    assert!(matches!(end, WaitStatus::Signaled(_, Signal::SIGSEGV, _)));
                    std::slice::from_raw_parts(to, len)
                };
                assert!(moved.iter().all(|&byte| byte == 1), "{len}: {moved:?}");
            }
        }
    }
}
