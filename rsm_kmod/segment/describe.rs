// SPDX-License-Identifier: GPL-2.0

//! What a segment says of itself, to its holder and to an operator.

use super::Segment;
use core::fmt;
use kernel::page::PAGE_SIZE;
use kernel::seq_file::SeqFile;
use kernel::seq_print;

impl Segment {
    /// The state, and the id of a publication.
    fn state_in_words(&self) -> (&'static str, Option<u32>) {
        let state = self.life.read().state;
        (state.word(), state.id())
    }

    /// Writes what `/proc/PID/fdinfo` says.
    pub(crate) fn write_description(&self, out: &SeqFile) {
        let (state, id) = self.state_in_words();
        seq_print!(out, "rsm-state:\t{state}\n");
        if let Some(id) = id {
            seq_print!(out, "rsm-segment-id:\t{id:#010x}\n");
        }
        let bytes = self.pages.saturating_mul(PAGE_SIZE as u64);
        seq_print!(out, "rsm-length:\t{bytes}\n");
        seq_print!(out, "rsm-imports:\t{}\n", self.connections.lock().count());
        seq_print!(out, "rsm-events:\t{}\n", self.events.pending());
    }

    /// Writes a line about the segment and one for each live import, for debugfs.
    pub(crate) fn write_line(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, id) = self.state_in_words();
        write!(out, "segment={} {state}", self.number)?;
        if let Some(id) = id {
            write!(out, " id={id:#x}")?;
        }
        let bytes = self.pages.saturating_mul(PAGE_SIZE as u64);
        let imports = self.connections.lock().count();
        let events = self.events.pending();
        writeln!(
            out,
            " pid={} length={bytes} imports={imports} events={events}",
            self.pid
        )?;
        let mut next = 0;
        while let Some((serial, peer)) = self.connection_from(next) {
            writeln!(out, "  import={serial} {}", &*peer)?;
            next = serial.saturating_add(1);
        }
        Ok(())
    }
}
