// SPDX-License-Identifier: MIT OR Apache-2.0
//! Channels of bytes, each from one end to another: descriptors that are written to and read from.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::Result;
use nix::sys::eventfd::EventFd;
use nix::unistd::pipe;

use super::key::Column;

/// A channel. Processes that fork share it.
#[derive(Debug)]
pub struct Channel {
    reader: File,
    writer: File,
}

/// What channels are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pipe,
    Socket,
    /// For eight bytes at a time.
    Eventfd,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Pipe, Self::Socket, Self::Eventfd];

    /// Those that carry any number of bytes.
    pub const STREAMS: [Self; 2] = [Self::Pipe, Self::Socket];

    /// Where its costs stand.
    pub const fn column(self) -> Column {
        match self {
            Self::Pipe => Column::Pipe,
            Self::Socket => Column::Socket,
            Self::Eventfd => Column::Eventfd,
        }
    }

    /// A new channel.
    pub fn channel(self) -> Result<Channel> {
        let (reader, writer) = match self {
            Self::Pipe => pipe()?,
            Self::Socket => {
                let (reader, writer) = UnixStream::pair()?;
                (reader.into(), writer.into())
            }
            Self::Eventfd => {
                let event = OwnedFd::from(EventFd::new()?);
                (event.as_fd().try_clone_to_owned()?, event)
            }
        };
        Ok(Channel {
            reader: reader.into(),
            writer: writer.into(),
        })
    }
}

impl Channel {
    /// Writes all of it.
    pub fn write(&self, from: &[u8]) -> Result<()> {
        Ok((&self.writer).write_all(from)?)
    }

    /// Waits for so many bytes.
    pub fn read(&self, into: &mut [u8]) -> Result<()> {
        Ok((&self.reader).read_exact(into)?)
    }
}
