// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's end of the protocol: a serial port in raw mode.

use anyhow::{Context, Result};
use nix::sys::termios::{self, SetArg};
use rsm_vm::protocol::Record;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

/// The port, and how many records have gone through it.
pub struct Link {
    port: File,
    sent: u64,
}

impl Link {
    /// Opens the port and makes it carry bytes as they are.
    pub fn open(path: &str) -> Result<Link> {
        let port = File::options()
            .read(true)
            .write(true)
            .open(path)
            .context("open")?;
        let mut settings = termios::tcgetattr(&port).context("tcgetattr")?;
        termios::cfmakeraw(&mut settings);
        termios::tcsetattr(&port, SetArg::TCSANOW, &settings).context("tcsetattr")?;
        Ok(Link { port, sent: 0 })
    }

    /// Sends a record. An error has no one to go to but the console.
    pub fn send(&mut self, record: &Record) {
        self.sent += 1;
        if let Err(error) = self.port.write_all(record.to_line().as_bytes()) {
            crate::log(&format!("the link is broken: {error}"));
        }
    }

    /// Tells the reader something.
    pub fn note(&mut self, text: &str) {
        self.send(&Record::Note(text.to_string()));
    }

    /// Sends the last record.
    pub fn end(&mut self) {
        let count = self.sent;
        self.send(&Record::End(count));
    }

    /// Waits until everything has left the port.
    pub fn drain(&self) {
        let _ = termios::tcdrain(&self.port);
    }

    /// For polling and reading.
    pub fn port(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}
