// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of plain types in memory that other processes may change.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use bytemuck::Pod;

use crate::copy;
use crate::error::{Error, Result, Status};

/// A value of type `T` in shared memory, from
/// [`SharedBytes::view`](crate::SharedBytes::view).
///
/// It is loaded and stored as a whole, but a `T` of more than 8 bytes may be torn when
/// others store it at the same time, and so may a smaller one that is not aligned to its
/// size. What makes a larger one whole is an agreement: a sequence number, a lock of
/// atomics, a signal.
///
/// ```no_run
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// let pair = segment.bytes().view::<[u32; 2]>(0)?;
/// pair.store([1, 2]);
/// assert_eq!(pair.load(), [1, 2]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SharedValue<'a, T> {
    base: *mut u8,
    memory: PhantomData<&'a Cell<T>>,
}

impl<T> Clone for SharedValue<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedValue<'_, T> {}

// SAFETY: all accesses are such that others may access the memory at the same time, and
// plain values belong to no thread.
unsafe impl<T> Send for SharedValue<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedValue<'_, T> {}

impl<T: Pod> SharedValue<'_, T> {
    /// # Safety
    ///
    /// For the lifetime of the view, `base` must point to a mapped `T` that permits what is
    /// done with it.
    #[inline]
    pub(crate) const unsafe fn new(base: *mut u8) -> Self {
        Self {
            base,
            memory: PhantomData,
        }
    }

    /// A copy of the value.
    #[inline]
    pub fn load(&self) -> T {
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the memory is mapped, and any bytes are a `T`.
        unsafe {
            copy::from_shared(value.as_mut_ptr().cast(), self.base, size_of::<T>());
            value.assume_init()
        }
    }

    /// Stores a copy of `value`.
    #[inline]
    pub fn store(&self, value: T) {
        // SAFETY: the memory is mapped, and all bytes of a plain value are initialised.
        unsafe { copy::to_shared(self.base, (&raw const value).cast(), size_of::<T>()) };
    }
}

/// Values of type `T` one after the other in shared memory, from
/// [`SharedBytes::view_slice`](crate::SharedBytes::view_slice). Each is as a
/// [`SharedValue`].
///
/// ```no_run
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// let samples = segment.bytes().view_slice::<f64>(0, 512)?;
/// samples.write_at(10, &[0.5, 1.5])?;
/// let mut two = [0.0; 2];
/// samples.read_at(10, &mut two)?;
/// assert_eq!(two, [0.5, 1.5]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct SharedSlice<'a, T> {
    base: *mut u8,
    count: usize,
    memory: PhantomData<&'a Cell<T>>,
}

impl<T> Clone for SharedSlice<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedSlice<'_, T> {}

// SAFETY: as for `SharedValue`.
unsafe impl<T> Send for SharedSlice<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedSlice<'_, T> {}

impl<'a, T: Pod> SharedSlice<'a, T> {
    /// # Safety
    ///
    /// As for `SharedValue::new`, for `count` values.
    pub(crate) const unsafe fn new(base: *mut u8, count: usize) -> Self {
        Self {
            base,
            count,
            memory: PhantomData,
        }
    }

    /// Number of values.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Is it empty?
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The value at `index`, as a view.
    #[inline]
    pub fn at(&self, index: usize) -> Result<SharedValue<'a, T>> {
        let base = self.place(index, 1)?;
        // SAFETY: one of the values.
        Ok(unsafe { SharedValue::new(base) })
    }

    /// A copy of the value at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Result<T> {
        Ok(self.at(index)?.load())
    }

    /// Stores a copy of `value` at `index`.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let counts = segment.bytes().view_slice::<u32>(0, 1024)?;
    /// counts.set(7, counts.get(7)? + 1)?;
    /// assert_eq!(counts.at(7)?.load(), 1);
    /// assert_eq!((counts.len(), counts.is_empty()), (1024, false));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.at(index)?.store(value);
        Ok(())
    }

    /// Copies `into.len()` values from `index` on out of the shared memory.
    pub fn read_at(&self, index: usize, into: &mut [T]) -> Result<()> {
        let from = self.place(index, into.len())?;
        // SAFETY: that many values; any bytes are a `T`.
        unsafe { copy::from_shared(into.as_mut_ptr().cast(), from, size_of_val(into)) };
        Ok(())
    }

    /// Copies `from` into the shared memory from `index` on.
    pub fn write_at(&self, index: usize, from: &[T]) -> Result<()> {
        let to = self.place(index, from.len())?;
        // SAFETY: that many values; all bytes of plain values are initialised.
        unsafe { copy::to_shared(to, from.as_ptr().cast(), size_of_val(from)) };
        Ok(())
    }

    #[inline]
    fn place(&self, index: usize, count: usize) -> Result<*mut u8> {
        if index > self.count || count > self.count - index {
            return Err(Error::Rsm(Status::BadOffset));
        }
        // SAFETY: inside of the values, or one past their end.
        Ok(unsafe { self.base.add(index * size_of::<T>()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    #[repr(C)]
    struct Odd {
        words: [u16; 3],
    }

    #[test]
    fn values() {
        let mut memory = [0u64; 4];
        // SAFETY: four words, borrowed by nobody else.
        let values = unsafe { SharedSlice::<Odd>::new(memory.as_mut_ptr().cast(), 5) };
        let value = |n| Odd {
            words: [n, n + 1, n + 2],
        };
        for n in 0..5 {
            values.set(n, value(n as u16 * 10)).unwrap();
        }
        for n in 0..5 {
            assert_eq!(values.get(n), Ok(value(n as u16 * 10)));
        }
        let mut two = [value(0); 2];
        values.read_at(3, &mut two).unwrap();
        assert_eq!(two, [value(30), value(40)]);
        values.write_at(0, &two).unwrap();
        assert_eq!(values.at(1).unwrap().load(), value(40));
        let bad = Err(Status::BadOffset.into());
        assert_eq!(values.read_at(4, &mut two), bad);
        assert_eq!(values.write_at(usize::MAX, &two), bad);
        assert_eq!(values.set(5, value(0)), bad);
        assert_eq!(values.write_at(5, &[]), Ok(()));
    }
}
