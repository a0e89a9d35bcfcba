// SPDX-License-Identifier: MIT OR Apache-2.0
//! What exporter and importer tell each other: numbers to keep in step, and descriptors.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{bail, Context, Result};
use nix::sys::socket::{recvmsg, sendmsg, ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr};

/// One end.
#[derive(Debug)]
pub struct Link {
    steps: UnixStream,
    /// Nobody waits here, so that sending costs no more than sending.
    descriptors: UnixStream,
}

impl Link {
    /// Both ends.
    pub fn pair() -> Result<(Self, Self)> {
        let (steps, their_steps) = UnixStream::pair()?;
        let (descriptors, their_descriptors) = UnixStream::pair()?;
        Ok((
            Self { steps, descriptors },
            Self {
                steps: their_steps,
                descriptors: their_descriptors,
            },
        ))
    }

    /// Tells a number.
    pub fn tell(&self, number: u64) -> Result<()> {
        let result = (&self.steps).write_all(&number.to_ne_bytes());
        result.context("the other process has ended")
    }

    /// Waits for a number.
    pub fn hear(&self) -> Result<u64> {
        let mut number = [0; 8];
        let result = (&self.steps).read_exact(&mut number);
        result.context("the other process has ended")?;
        Ok(u64::from_ne_bytes(number))
    }

    /// Tells bytes.
    pub fn tell_bytes(&self, bytes: &[u8]) -> Result<()> {
        self.tell(bytes.len() as u64)?;
        Ok((&self.steps).write_all(bytes)?)
    }

    /// Waits for bytes.
    pub fn hear_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.hear()? as usize];
        (&self.steps).read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Hands a descriptor over.
    pub fn send(&self, descriptor: BorrowedFd<'_>) -> Result<()> {
        let descriptors = [descriptor.as_raw_fd()];
        let message = [ControlMessage::ScmRights(&descriptors)];
        let socket = self.descriptors.as_fd().as_raw_fd();
        let byte = [IoSlice::new(&[0])];
        sendmsg::<UnixAddr>(socket, &byte, &message, MsgFlags::empty(), None).context("sendmsg")?;
        Ok(())
    }

    /// Takes a descriptor that was handed over.
    pub fn receive(&self) -> Result<OwnedFd> {
        let mut space = nix::cmsg_space!([i32; 1]);
        let mut byte = [0];
        let mut bytes = [IoSliceMut::new(&mut byte)];
        let socket = self.descriptors.as_fd().as_raw_fd();
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(socket, &mut bytes, Some(&mut space), flags)?;
        for part in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(descriptors) = part {
                if let [descriptor] = descriptors[..] {
                    // SAFETY: the kernel has just made it for us.
                    return Ok(unsafe { OwnedFd::from_raw_fd(descriptor) });
                }
            }
        }
        bail!("no descriptor was handed over")
    }
}
