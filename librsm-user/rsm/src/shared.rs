// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes that other processes may change at any moment, and the only ways to touch them.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, AtomicU8, Ordering};

use crate::error::{Error, Result, Status};

/// What may be done with a segment's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nothing: a connection that cannot be mapped.
    None,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Read and write.
    ReadWrite,
}

impl Access {
    /// May it be read?
    pub const fn can_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// May it be written?
    pub const fn can_write(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// A view of memory that other processes may read and write at the same time.
///
/// There is no `&[u8]` of such memory. It is copied in and out with relaxed atomic
/// accesses: bytes that somebody else changes during a copy arrive old or new, and
/// aligned 8-byte words are never torn.
#[derive(Clone, Copy, Debug)]
pub struct SharedBytes<'a> {
    base: *mut u8,
    len: usize,
    access: Access,
    memory: PhantomData<&'a [AtomicU8]>,
}

// SAFETY: all accesses are atomic.
unsafe impl Send for SharedBytes<'_> {}
// SAFETY: as above.
unsafe impl Sync for SharedBytes<'_> {}

const WORD: usize = size_of::<u64>();

impl SharedBytes<'_> {
    /// # Safety
    ///
    /// For the lifetime of the view, `base` must point to `len` mapped bytes that permit
    /// `access`, and no reference to any of them may exist.
    pub(crate) const unsafe fn new(base: *mut u8, len: usize, access: Access) -> Self {
        Self {
            base,
            len,
            access,
            memory: PhantomData,
        }
    }

    /// Number of bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Is it empty?
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Address of the first byte. Whoever uses it must do so atomically or with volatile
    /// accesses, for others use the memory too.
    pub const fn as_ptr(&self) -> *mut u8 {
        self.base
    }

    /// Copies `into.len()` bytes from `offset` out of the shared memory.
    pub fn read_at(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let source = self.range(offset, into.len(), self.access.can_read())?;
        // SAFETY: the range is mapped and readable; `into` is ours alone.
        unsafe { copy_out(source, into) };
        Ok(())
    }

    /// Copies `from` into the shared memory at `offset`.
    pub fn write_at(&self, offset: usize, from: &[u8]) -> Result<()> {
        let target = self.range(offset, from.len(), self.access.can_write())?;
        // SAFETY: the range is mapped and writable; no reference to it exists.
        unsafe { copy_in(target, from) };
        Ok(())
    }

    /// Reads the aligned 8-byte word at `offset` in one access.
    pub fn load_u64(&self, offset: usize) -> Result<u64> {
        let word = self.word(offset, self.access.can_read())?;
        // SAFETY: mapped, readable and aligned.
        Ok(unsafe { AtomicU64::from_ptr(word) }.load(Ordering::Relaxed))
    }

    /// Writes the aligned 8-byte word at `offset` in one access.
    pub fn store_u64(&self, offset: usize, value: u64) -> Result<()> {
        let word = self.word(offset, self.access.can_write())?;
        // SAFETY: mapped, writable and aligned.
        unsafe { AtomicU64::from_ptr(word) }.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn word(&self, offset: usize, permitted: bool) -> Result<*mut u64> {
        if offset % WORD != 0 {
            return Err(Error::Rsm(Status::BadMemAlignment));
        }
        Ok(self.range(offset, WORD, permitted)?.cast())
    }

    fn range(&self, offset: usize, len: usize, permitted: bool) -> Result<*mut u8> {
        if !permitted {
            return Err(Error::Rsm(Status::PermDenied));
        }
        match offset.checked_add(len) {
            // SAFETY: inside of the memory, or one past its end.
            Some(end) if end <= self.len => Ok(unsafe { self.base.add(offset) }),
            _ => Err(Error::Rsm(Status::BadOffset)),
        }
    }
}

/// Bytes of `len` that lie before the first aligned word at `address`.
fn head_len(address: usize, len: usize) -> usize {
    (address.wrapping_neg() % WORD).min(len)
}

/// # Safety
///
/// `source` must point to `into.len()` readable bytes that are accessed atomically.
unsafe fn copy_out(source: *mut u8, into: &mut [u8]) {
    let (head, rest) = into.split_at_mut(head_len(source as usize, into.len()));
    let mut words = rest.chunks_exact_mut(WORD);
    let mut at = source;
    // SAFETY: `at` walks over the source; words are read where it is aligned.
    unsafe {
        for byte in head {
            *byte = AtomicU8::from_ptr(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
        for chunk in &mut words {
            let word = AtomicU64::from_ptr(at.cast()).load(Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_ne_bytes());
            at = at.add(WORD);
        }
        for byte in words.into_remainder() {
            *byte = AtomicU8::from_ptr(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

/// # Safety
///
/// `target` must point to `from.len()` writable bytes that are accessed atomically.
unsafe fn copy_in(target: *mut u8, from: &[u8]) {
    let (head, rest) = from.split_at(head_len(target as usize, from.len()));
    let words = rest.chunks_exact(WORD);
    let tail = words.remainder();
    let mut at = target;
    // SAFETY: `at` walks over the target; words are written where it is aligned.
    unsafe {
        for &byte in head {
            AtomicU8::from_ptr(at).store(byte, Ordering::Relaxed);
            at = at.add(1);
        }
        for chunk in words {
            let word = u64::from_ne_bytes(chunk.try_into().expect("chunks of eight"));
            AtomicU64::from_ptr(at.cast()).store(word, Ordering::Relaxed);
            at = at.add(WORD);
        }
        for &byte in tail {
            AtomicU8::from_ptr(at).store(byte, Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(memory: &mut [u64], access: Access) -> SharedBytes<'_> {
        let len = size_of_val(memory);
        // SAFETY: borrowed mutably for as long as the view lives.
        unsafe { SharedBytes::new(memory.as_mut_ptr().cast(), len, access) }
    }

    #[test]
    fn copies_at_every_alignment() {
        for offset in 0..20 {
            for len in 0..40 {
                let mut memory = [0u64; 8];
                let pattern: Vec<u8> = (1..=len as u8).collect();
                let shared = view(&mut memory, Access::ReadWrite);
                shared.write_at(offset, &pattern).unwrap();
                let mut all = [0xff; 64];
                shared.read_at(0, &mut all).unwrap();
                let mut expected = [0; 64];
                expected[offset..offset + len].copy_from_slice(&pattern);
                assert_eq!(all, expected, "write of {len} at {offset}");
                let mut part = vec![0xff; len];
                shared.read_at(offset, &mut part).unwrap();
                assert_eq!(part, pattern, "read of {len} at {offset}");
            }
        }
    }

    #[test]
    fn words() {
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::ReadWrite);
        shared.store_u64(8, 0x0102_0304_0506_0708).unwrap();
        assert_eq!(shared.load_u64(8), Ok(0x0102_0304_0506_0708));
        assert_eq!(shared.load_u64(0), Ok(0));
        assert_eq!(shared.load_u64(4), Err(Status::BadMemAlignment.into()));
        assert_eq!(shared.store_u64(16, 0), Err(Status::BadOffset.into()));
    }

    #[test]
    fn bounds() {
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::ReadWrite);
        let bad = Err(Status::BadOffset.into());
        assert_eq!(shared.read_at(16, &mut []), Ok(()));
        assert_eq!(shared.read_at(17, &mut []), bad);
        assert_eq!(shared.read_at(9, &mut [0; 8]), bad);
        assert_eq!(shared.write_at(16, &[0]), bad);
        assert_eq!(shared.write_at(usize::MAX, &[0, 0]), bad);
        assert_eq!(shared.read_at(usize::MAX - 7, &mut [0; 16]), bad);
    }

    #[test]
    fn rights() {
        let denied = Err(Status::PermDenied.into());
        let mut memory = [0u64; 2];
        let shared = view(&mut memory, Access::Read);
        assert_eq!(shared.read_at(0, &mut [0]), Ok(()));
        assert_eq!(shared.write_at(0, &[0]), denied);
        assert_eq!(shared.store_u64(0, 0), denied);
        let shared = view(&mut memory, Access::Write);
        assert_eq!(shared.read_at(0, &mut [0]), denied);
        assert_eq!(shared.load_u64(0), Err(Status::PermDenied.into()));
        assert_eq!(shared.write_at(0, &[0]), Ok(()));
    }
}
