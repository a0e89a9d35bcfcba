// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory as a stream.

use std::cmp;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::shared::SharedBytes;

/// Reads and writes shared memory from a position that moves along; from
/// [`SharedBytes::cursor`].
///
/// Like [`std::io::Cursor`] over a slice: reads and writes end at the end of the memory,
/// and the position may lie beyond it.
///
/// ```no_run
/// use std::io::Read;
/// # use rsm::*;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
/// let window = import.map()?;
/// let mut content = Vec::new();
/// let mut cursor = window.bytes().cursor();
/// cursor.read_to_end(&mut content)?;
/// assert_eq!(cursor.position(), 4096);
/// window.check_reads()?; // all of it came from the segment
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SharedCursor<'a> {
    bytes: SharedBytes<'a>,
    position: u64,
}

impl<'a> SharedCursor<'a> {
    pub(crate) const fn new(bytes: SharedBytes<'a>) -> Self {
        Self { bytes, position: 0 }
    }

    /// Where the next byte is read or written.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The memory.
    pub const fn bytes(&self) -> SharedBytes<'a> {
        self.bytes
    }

    /// Where the next `len` bytes begin, and how many of them there are.
    fn next(&self, len: usize) -> (usize, usize) {
        let end = self.bytes.len();
        let start = usize::try_from(self.position).map_or(end, |at| cmp::min(at, end));
        (start, cmp::min(len, end - start))
    }
}

impl Read for SharedCursor<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (start, len) = self.next(into.len());
        self.bytes.read_at(start, &mut into[..len])?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Write for SharedCursor<'_> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let (start, len) = self.next(from.len());
        self.bytes.write_at(start, &from[..len])?;
        self.position += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SharedCursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => (self.bytes.len() as u64).checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        match position {
            Some(position) => {
                self.position = position;
                Ok(position)
            }
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Access;

    #[test]
    fn as_a_file() {
        let mut memory = [0u64; 4];
        let base = memory.as_mut_ptr().cast();
        // SAFETY: borrowed by nobody else.
        let shared = unsafe { SharedBytes::new(base, 32, Access::ReadWrite) };
        let mut cursor = shared.cursor();
        cursor.write_all(b"one ").unwrap();
        write!(cursor, "{}", 22).unwrap();
        assert_eq!(cursor.position(), 6);
        cursor.seek(SeekFrom::Current(-2)).unwrap();
        let mut text = [0; 2];
        cursor.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"22");
        assert_eq!(cursor.seek(SeekFrom::End(-1)).unwrap(), 31);
        assert_eq!(cursor.write(b"xy").unwrap(), 1);
        assert_eq!(cursor.write(b"y").unwrap(), 0);
        assert_eq!(cursor.read(&mut text).unwrap(), 0);
        assert_eq!(cursor.seek(SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
        assert_eq!(cursor.read(&mut text).unwrap(), 0);
        assert!(cursor.seek(SeekFrom::Current(1)).is_err());
        cursor.seek(SeekFrom::Start(0)).unwrap();
        assert!(cursor.seek(SeekFrom::Current(-1)).is_err());
        let mut all = Vec::new();
        assert_eq!(cursor.read_to_end(&mut all).unwrap(), 32);
        assert_eq!((&all[..6], all[31]), (&b"one 22"[..], b'x'));
    }

    #[test]
    fn against_the_rights() {
        let mut memory = [0u64; 1];
        // SAFETY: borrowed by nobody else.
        let shared = unsafe { SharedBytes::new(memory.as_mut_ptr().cast(), 8, Access::Read) };
        let error = shared.cursor().write(&[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("RSMERR_PERM_DENIED"), "{error}");
    }
}
