// SPDX-License-Identifier: MIT OR Apache-2.0
//! Put and get: checked copies to and from an imported segment.
//!
//! They make no system call once there is a window: right and range are compared, the
//! bytes moved, and in implicit mode the connection's slot in the status table is read
//! behind a fence.

use bytemuck::Pod;

use crate::barrier::BarrierMode;
use crate::copy;
use crate::error::{Error, Result, Status};
use crate::import::ImportSegment;
use crate::mapping::Mapping;
use crate::shared::Access;

mod sealed {
    pub trait Sealed {}
}

/// What sized transfers move: `u8`, `u16`, `u32` and `u64`.
///
/// ```
/// fn bytes<T: rsm::Element>(elements: &[T]) -> usize {
///     size_of_val(elements)
/// }
/// assert_eq!(bytes(&[1_u16, 2]), 4);
/// ```
pub trait Element: Pod + sealed::Sealed {}

macro_rules! elements {
    ($($type:ident)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {}
    )*};
}

elements! { u8 u16 u32 u64 }

/// Transfers.
///
/// Offsets are in bytes from the beginning of the segment. A transfer fails, in this order,
/// with
///
/// - [`Status::BadMemAlignment`], when its offset is not a multiple of the element's size;
/// - [`Status::ConnAborted`] or why else it could not be mapped, when there is no
///   [window](Self::window) yet;
/// - [`Status::PermDenied`], when connection or window do not permit it;
/// - [`Status::BadOffset`], when it is not within the window;
/// - in implicit [mode](Self::mode), [`Status::ConnAborted`], when the connection was lost
///   before the transfer was complete. What was got is to be thrown away then.
///
/// Before the last nothing has been moved. Aligned elements of 2, 4 and 8 bytes are not
/// torn, by whatever call they are moved. `put` and `get` move bytes in any order; calls with a
/// size in the name move one element after the other.
impl ImportSegment {
    /// Copies `from` into the segment at `offset`.
    #[inline]
    pub fn put(&self, offset: usize, from: &[u8]) -> Result<()> {
        // SAFETY: as long as it says, and nobody changes it meanwhile.
        unsafe { self.put_bytes(offset, from.as_ptr(), from.len()) }
    }

    /// Copies `into.len()` bytes from `offset` out of the segment.
    #[inline]
    pub fn get(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        // SAFETY: as long as it says, and ours alone.
        unsafe { self.get_bytes(offset, into.as_mut_ptr(), into.len()) }
    }

    /// Puts elements of 8 bits: none is seen before one in front of it. `offset` is in
    /// bytes. Otherwise as [`put`](Self::put).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put8(64, b"bytes")?;
    /// let mut back = [0; 5];
    /// import.get8(64, &mut back)?;
    /// assert_eq!(&back, b"bytes");
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn put8(&self, offset: usize, from: &[u8]) -> Result<()> {
        // SAFETY: as long as it says, and nobody changes it meanwhile.
        unsafe { self.put_raw(offset, from.as_ptr(), from.len()) }
    }

    /// Gets elements of 8 bits: none is seen before one in front of it. `offset` is in
    /// bytes. Otherwise as [`get`](Self::get).
    ///
    /// For an example see [`put8`](Self::put8).
    #[inline]
    pub fn get8(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        // SAFETY: as long as it says, and ours alone.
        unsafe { self.get_raw(offset, into.as_mut_ptr(), into.len()) }
    }

    /// Puts elements of 16 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 2. Otherwise as [`put`](Self::put).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put16(64, &[1, 2, 3])?;
    /// let mut back = [0; 3];
    /// import.get16(64, &mut back)?;
    /// assert_eq!(back, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn put16(&self, offset: usize, from: &[u16]) -> Result<()> {
        // SAFETY: as long as it says, and nobody changes it meanwhile.
        unsafe { self.put_raw(offset, from.as_ptr(), from.len()) }
    }

    /// Gets elements of 16 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 2. Otherwise as [`get`](Self::get).
    ///
    /// For an example see [`put16`](Self::put16).
    #[inline]
    pub fn get16(&self, offset: usize, into: &mut [u16]) -> Result<()> {
        // SAFETY: as long as it says, and ours alone.
        unsafe { self.get_raw(offset, into.as_mut_ptr(), into.len()) }
    }

    /// Puts elements of 32 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 4. Otherwise as [`put`](Self::put).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put32(64, &[1, 2, 3])?;
    /// let mut back = [0; 3];
    /// import.get32(64, &mut back)?;
    /// assert_eq!(back, [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn put32(&self, offset: usize, from: &[u32]) -> Result<()> {
        // SAFETY: as long as it says, and nobody changes it meanwhile.
        unsafe { self.put_raw(offset, from.as_ptr(), from.len()) }
    }

    /// Gets elements of 32 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 4. Otherwise as [`get`](Self::get).
    ///
    /// For an example see [`put32`](Self::put32).
    #[inline]
    pub fn get32(&self, offset: usize, into: &mut [u32]) -> Result<()> {
        // SAFETY: as long as it says, and ours alone.
        unsafe { self.get_raw(offset, into.as_mut_ptr(), into.len()) }
    }

    /// Puts elements of 64 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 8. Otherwise as [`put`](Self::put).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// import.put64(64, &[u64::MAX, 7])?;
    /// let mut back = [0; 2];
    /// import.get64(64, &mut back)?;
    /// assert_eq!(back, [u64::MAX, 7]);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn put64(&self, offset: usize, from: &[u64]) -> Result<()> {
        // SAFETY: as long as it says, and nobody changes it meanwhile.
        unsafe { self.put_raw(offset, from.as_ptr(), from.len()) }
    }

    /// Gets elements of 64 bits: none is seen before one in front of it. `offset` is in
    /// bytes, a multiple of 8. Otherwise as [`get`](Self::get).
    ///
    /// For an example see [`put64`](Self::put64).
    #[inline]
    pub fn get64(&self, offset: usize, into: &mut [u64]) -> Result<()> {
        // SAFETY: as long as it says, and ours alone.
        unsafe { self.get_raw(offset, into.as_mut_ptr(), into.len()) }
    }

    /// Puts `count` elements that lie at `from`; for callers who have no slice. Fails with
    /// [`Status::BadMemAlignment`] when `from` is not aligned either.
    ///
    /// # Safety
    ///
    /// `from` must be valid for reads of that many elements, if the segment has room for
    /// them. Others may change them meanwhile; what arrives is then not known.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let numbers = [1_u32, 2, 3];
    /// // SAFETY: there are three of them.
    /// unsafe { import.put_raw(0, numbers.as_ptr(), 3)? };
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn put_raw<T: Element>(
        &self,
        offset: usize,
        from: *const T,
        count: usize,
    ) -> Result<()> {
        let len = aligned::<T>(offset, from as usize, count)?;
        let to = self.place(offset, len, Access::Write)?;
        // SAFETY: the range is mapped and writable; the caller vouches for `from`.
        unsafe { copy::elements_to_shared(to, from.cast(), len) };
        self.after_put()
    }

    /// Gets `count` elements to where `into` points; for callers who have no slice. Fails
    /// with [`Status::BadMemAlignment`] when `into` is not aligned either.
    ///
    /// # Safety
    ///
    /// `into` must be valid for writes of that many elements, if the segment has as many.
    /// Others may access them meanwhile; what they find is then not known.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
    /// let mut numbers = [0_u32; 3];
    /// // SAFETY: there are three of them.
    /// unsafe { import.get_raw(0, numbers.as_mut_ptr(), 3)? };
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn get_raw<T: Element>(
        &self,
        offset: usize,
        into: *mut T,
        count: usize,
    ) -> Result<()> {
        let len = aligned::<T>(offset, into as usize, count)?;
        let from = self.place(offset, len, Access::Read)?;
        // SAFETY: the range is mapped and readable; the caller vouches for `into`.
        unsafe { copy::elements_from_shared(into.cast(), from, len) };
        self.after_get()
    }

    /// As [`put`](Self::put), of `len` bytes that lie at `from`.
    ///
    /// # Safety
    ///
    /// As for [`put_raw`](Self::put_raw).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let text = "not much";
    /// // SAFETY: all of it.
    /// unsafe { import.put_bytes(0, text.as_ptr(), text.len())? };
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn put_bytes(&self, offset: usize, from: *const u8, len: usize) -> Result<()> {
        let to = self.place(offset, len, Access::Write)?;
        // SAFETY: the range is mapped and writable; the caller vouches for `from`.
        unsafe { copy::to_shared(to, from, len) };
        self.after_put()
    }

    /// As [`get`](Self::get), of `len` bytes to where `into` points.
    ///
    /// # Safety
    ///
    /// As for [`get_raw`](Self::get_raw).
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let node = controller.local_node();
    /// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
    /// let mut bytes = Vec::with_capacity(100);
    /// // SAFETY: there is room for them, and then they are there.
    /// unsafe {
    ///     import.get_bytes(0, bytes.as_mut_ptr(), 100)?;
    ///     bytes.set_len(100);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub unsafe fn get_bytes(&self, offset: usize, into: *mut u8, len: usize) -> Result<()> {
        let from = self.place(offset, len, Access::Read)?;
        // SAFETY: the range is mapped and readable; the caller vouches for `into`.
        unsafe { copy::from_shared(into, from, len) };
        self.after_get()
    }

    #[inline]
    fn after_put(&self) -> Result<()> {
        match self.mode() {
            BarrierMode::Explicit => Ok(()),
            BarrierMode::Implicit => self.liveness.check(),
        }
    }

    #[inline]
    fn after_get(&self) -> Result<()> {
        match self.mode() {
            BarrierMode::Explicit => Ok(()),
            BarrierMode::Implicit => self.liveness.check_reads(),
        }
    }

    /// Fails as a transfer of `len` bytes at `offset` would before it moves anything. Makes
    /// no window.
    ///
    /// ```no_run
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
    /// # let id = segment.publish(None, &[])?;
    /// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
    /// assert!(import.check_transfer(Access::Read, 0, 4096).is_ok());
    /// assert!(import.check_transfer(Access::Write, 0, 4096).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn check_transfer(&self, access: Access, offset: usize, len: usize) -> Result<()> {
        match self.window.get() {
            Some(window) => place_in(&window.mapping, offset, len, access).map(drop),
            None => self.check_unmapped(access, offset, len),
        }
    }

    #[cold]
    fn check_unmapped(&self, access: Access, offset: usize, len: usize) -> Result<()> {
        if !self.is_live() {
            return Err(Error::Rsm(Status::ConnAborted));
        }
        if !self.access().permits(access) {
            return Err(Error::Rsm(Status::PermDenied));
        }
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(Error::Rsm(Status::BadOffset)),
        }
    }

    /// Where `len` bytes from `offset` in the segment are, for `access`.
    #[inline]
    pub(crate) fn place(&self, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
        match self.window.get() {
            Some(window) => place_in(&window.mapping, offset, len, access),
            None => self.place_at_first(offset, len, access),
        }
    }

    /// As [`place`](Self::place), for an entry of several: that it is out of range comes before
    /// what is not permitted.
    #[inline]
    pub(crate) fn place_entry(&self, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
        self.place(offset, len, access).map_err(|error| {
            let range = self.check_transfer(Access::None, offset, len);
            range.err().unwrap_or(error)
        })
    }

    #[cold]
    fn place_at_first(&self, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
        self.check_unmapped(access, offset, len)?;
        place_in(self.window()?, offset, len, access)
    }
}

#[inline]
fn place_in(window: &Mapping, offset: usize, len: usize, access: Access) -> Result<*mut u8> {
    // Before the window is beyond its end, too.
    let offset = offset.wrapping_sub(window.offset());
    window.bytes().place(offset, len, access)
}

/// Bytes of `count` elements, if all is aligned. A number that does not fit is beyond the
/// end of any segment.
#[inline]
fn aligned<T: Element>(offset: usize, address: usize, count: usize) -> Result<usize> {
    if (offset | address) % size_of::<T>() != 0 {
        return Err(Error::Rsm(Status::BadMemAlignment));
    }
    Ok(count.saturating_mul(size_of::<T>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_and_length() {
        let bad = Err(Status::BadMemAlignment.into());
        assert_eq!(aligned::<u64>(8, 16, 3), Ok(24));
        assert_eq!(aligned::<u64>(4, 16, 3), bad);
        assert_eq!(aligned::<u64>(8, 17, 0), bad);
        assert_eq!(aligned::<u16>(1, 2, 3), bad);
        assert_eq!(aligned::<u8>(1, 3, 3), Ok(3));
        assert_eq!(aligned::<u64>(0, 0, 1 << 61), Ok(usize::MAX));
    }
}
