// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors that the kernel makes for us.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::fcntl::{fcntl, FcntlArg};
use nix::libc::STDERR_FILENO;

use crate::error::{Error, Result};

/// Moves `fd` above standard input, output and error. They are always open in a Rust
/// program, but not in one of another language that uses this as a library: what it
/// prints must not end up in a segment.
pub(crate) fn above_standard(fd: OwnedFd) -> Result<OwnedFd> {
    if fd.as_raw_fd() > STDERR_FILENO {
        return Ok(fd);
    }
    match fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(STDERR_FILENO + 1)) {
        // SAFETY: a descriptor that the kernel has just made for us.
        Ok(raw) => Ok(unsafe { OwnedFd::from_raw_fd(raw) }),
        Err(errno) => Err(Error::system("cannot duplicate a descriptor", errno)),
    }
}
