// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes the "newc" cpio archive that Linux unpacks as its initial root.
//!
//! Format: `Documentation/driver-api/early-userspace/buffer-format.rst` of the
//! kernel. Names are relative to the root; a directory must come before what
//! lies in it. Nothing is compressed: unpacking costs the guest more than
//! reading costs the host.

use std::io::{self, Read, Write};

const S_IFDIR: u32 = 0o040000;
const S_IFREG: u32 = 0o100000;
const S_IFLNK: u32 = 0o120000;
const S_IFCHR: u32 = 0o020000;

/// An archive being written.
pub struct Archive<W: Write> {
    to: W,
    written: u64,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub fn new(to: W) -> Self {
        Archive {
            to,
            written: 0,
            inode: 0,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    fn pad(&mut self) -> io::Result<()> {
        let missing = self.written.next_multiple_of(4) - self.written;
        self.put(&[0; 3][..missing as usize])
    }

    fn header(&mut self, name: &str, mode: u32, device: (u32, u32), size: u64) -> io::Result<()> {
        let size = u32::try_from(size)
            .map_err(|_| io::Error::other(format!("{name} has 4 GiB or more")))?;
        self.inode += 1;
        let links = if mode & S_IFDIR == S_IFDIR { 2 } else { 1 };
        let fields = [
            self.inode,
            mode,
            0, // uid
            0, // gid
            links,
            0, // mtime
            size,
            0, // device of the file itself
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0, // checksum, unused
        ];
        let mut header = String::from("070701");
        for field in fields {
            header += &format!("{field:08x}");
        }
        self.put(header.as_bytes())?;
        self.put(name.as_bytes())?;
        self.put(&[0])?;
        self.pad()
    }

    /// Adds a directory.
    pub fn directory(&mut self, name: &str, permissions: u32) -> io::Result<()> {
        self.header(name, S_IFDIR | permissions, (0, 0), 0)
    }

    /// Adds a character device node.
    pub fn device(&mut self, name: &str, permissions: u32, device: (u32, u32)) -> io::Result<()> {
        self.header(name, S_IFCHR | permissions, device, 0)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, name: &str, target: &str) -> io::Result<()> {
        self.header(name, S_IFLNK | 0o777, (0, 0), target.len() as u64)?;
        self.put(target.as_bytes())?;
        self.pad()
    }

    /// Adds a file from memory.
    pub fn file(&mut self, name: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.stream(name, permissions, content.len() as u64, content)
    }

    /// Adds a file of `size` bytes from `from`.
    pub fn stream(
        &mut self,
        name: &str,
        permissions: u32,
        size: u64,
        from: impl Read,
    ) -> io::Result<()> {
        self.header(name, S_IFREG | permissions, (0, 0), size)?;
        let copied = io::copy(&mut from.take(size), &mut self.to)?;
        self.written += copied;
        if copied != size {
            return Err(io::Error::other(format!("{name} shrank while it was read")));
        }
        self.pad()
    }

    /// Ends the archive.
    pub fn finish(mut self) -> io::Result<W> {
        self.inode = 0;
        self.header("TRAILER!!!", 0, (0, 0), 0)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_the_format_says() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("dev", 0o755).unwrap();
        archive.device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("a", 0o644, b"hello").unwrap();
        archive.link("l", "a").unwrap();
        let bytes = archive.finish().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(text.matches("070701").count(), 5);
        // inode, mode, …, size 5, device 0, name of 2 bytes with its NUL
        let file = "070701\
                    00000003000081a40000000000000000000000010000000000000005\
                    00000000000000000000000000000000\
                    0000000200000000a\0hello\0\0\0";
        assert!(text.contains(file), "{text}");
        assert!(text.contains("0000000500000001"), "device numbers");
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"));
    }

    #[test]
    fn a_file_that_shrinks_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        assert!(archive.stream("a", 0o644, 6, &b"hello"[..]).is_err());
    }
}
