// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `/proc/PID/fdinfo/FD` says of descriptors of segments and imports. The kernel's own
//! lines come first, ours begin with `rsm-`.

use super::{decimal, id, rights, state, ParseError};
use crate::report::{Rights, State};

/// A descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// Of a segment.
    Export(Export),
    /// Of an import.
    Import(Connection),
}

/// What is said of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Number of the inode: the same for all descriptors of the segment.
    pub inode: u64,
    /// State.
    pub state: State,
    /// Id, while it is published.
    pub id: Option<u32>,
    /// Bytes.
    pub length: u64,
    /// Live imports.
    pub imports: u64,
    /// Pending events.
    pub events: u64,
}

/// What is said of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Is it live?
    pub live: bool,
    /// Id of the segment.
    pub id: u32,
    /// What it may do.
    pub rights: Rights,
    /// Bytes of the segment.
    pub length: u64,
    /// Number of mappings.
    pub mappings: u64,
    /// Pending events.
    pub events: u64,
}

/// The lines of a text, taken in their order.
struct Lines<'a> {
    lines: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Lines<'a> {
    /// The value of the line that comes next, if it has this name.
    fn value(&mut self, name: &str) -> Option<(usize, &'a str)> {
        let &(index, line) = self.lines.get(self.next)?;
        let value = line.strip_prefix(name)?.strip_prefix(":\t")?;
        self.next += 1;
        Some((index, value))
    }

    /// The same, which must be there and make sense.
    fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let (index, value) = self.value(name).ok_or_else(|| self.problem(name))?;
        parse(value).ok_or_else(|| ParseError::new(index, name, value))
    }

    fn problem(&self, expected: &'static str) -> ParseError {
        let (index, line) = self
            .lines
            .get(self.next)
            .copied()
            .unwrap_or((self.next, ""));
        ParseError::new(index, expected, line)
    }
}

/// The whole text; `None` if it is of another kind of file.
pub fn descriptor(text: &str) -> Result<Option<Descriptor>, ParseError> {
    let inode = text
        .lines()
        .find_map(|line| decimal(line.strip_prefix("ino:\t")?))
        .unwrap_or(0);
    let mut lines = Lines {
        lines: text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.starts_with("rsm-"))
            .collect(),
        next: 0,
    };
    let descriptor = if lines.lines.is_empty() {
        return Ok(None);
    } else if lines.lines[0].1.starts_with("rsm-state:") {
        Descriptor::Export(export(inode, &mut lines)?)
    } else {
        Descriptor::Import(connection(&mut lines)?)
    };
    match lines.lines.get(lines.next) {
        None => Ok(Some(descriptor)),
        Some(_) => Err(lines.problem("nothing more")),
    }
}

fn export(inode: u64, lines: &mut Lines<'_>) -> Result<Export, ParseError> {
    let state = lines.read("rsm-state", state)?;
    let id = match state {
        State::Published => Some(lines.read("rsm-segment-id", id)?),
        State::Bound | State::Dead => None,
    };
    Ok(Export {
        inode,
        state,
        id,
        length: lines.read("rsm-length", decimal)?,
        imports: lines.read("rsm-imports", decimal)?,
        events: lines.read("rsm-events", decimal)?,
    })
}

fn connection(lines: &mut Lines<'_>) -> Result<Connection, ParseError> {
    Ok(Connection {
        live: lines.read("rsm-connection", |text| match text {
            "live" => Some(true),
            "aborted" => Some(false),
            _ => None,
        })?,
        id: lines.read("rsm-segment-id", id)?,
        rights: lines.read("rsm-rights", rights)?,
        length: lines.read("rsm-length", decimal)?,
        mappings: lines.read("rsm-mappings", decimal)?,
        events: lines.read("rsm-events", decimal)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &str = "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1063\n";
    const EXPORT: &str = "rsm-state:\tpublished\nrsm-segment-id:\t0x80000001\n\
        rsm-length:\t8192\nrsm-imports:\t1\nrsm-events:\t2\n";
    const BOUND: &str = "rsm-state:\tbound\nrsm-length:\t8192\nrsm-imports:\t0\nrsm-events:\t0\n";
    const IMPORT: &str = "rsm-connection:\tlive\nrsm-segment-id:\t0x00600000\nrsm-rights:\trw\n\
        rsm-length:\t4096\nrsm-mappings:\t3\nrsm-events:\t1\n";

    #[test]
    fn segments() {
        let seen = descriptor(&format!("{KERNEL}{EXPORT}")).unwrap().unwrap();
        let expected = Export {
            inode: 1063,
            state: State::Published,
            id: Some(0x8000_0001),
            length: 8192,
            imports: 1,
            events: 2,
        };
        assert_eq!(seen, Descriptor::Export(expected));
        let seen = descriptor(&format!("{KERNEL}{BOUND}")).unwrap().unwrap();
        assert!(matches!(
            seen,
            Descriptor::Export(Export {
                state: State::Bound,
                id: None,
                ..
            })
        ));
    }

    #[test]
    fn imports() {
        let seen = descriptor(&format!("{KERNEL}{IMPORT}")).unwrap().unwrap();
        let expected = Connection {
            live: true,
            id: 0x60_0000,
            rights: Rights::ReadWrite,
            length: 4096,
            mappings: 3,
            events: 1,
        };
        assert_eq!(seen, Descriptor::Import(expected));
    }

    #[test]
    fn other_files() {
        assert_eq!(descriptor(KERNEL), Ok(None));
        assert_eq!(descriptor(""), Ok(None));
    }

    #[test]
    fn lines_that_the_module_does_not_write() {
        for bad in [
            EXPORT.replace("published", "there"),
            EXPORT.replace("rsm-segment-id:\t0x80000001\n", ""),
            EXPORT.replace("8192", "0x2000"),
            EXPORT.replace("rsm-imports:\t1\n", ""),
            EXPORT.replace(":\t", ": "),
            format!("{EXPORT}rsm-more:\t1\n"),
            BOUND.replace("rsm-length", "rsm-segment-id:\t0x80000001\nrsm-length"),
            IMPORT.replace("live", "alive"),
            IMPORT.replace("rsm-rights:\trw", "rsm-rights:\trwx"),
            IMPORT.replace("0x00600000", "6291456"),
            "rsm-other:\t1\n".to_owned(),
        ] {
            assert!(descriptor(&bad).is_err(), "{bad:?}");
        }
    }
}
