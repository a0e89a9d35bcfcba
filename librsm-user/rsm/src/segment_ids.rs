// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ranges of segment ids that are reserved for applications, in a file of the system's.
//!
//! Nothing enforces them: it is how applications on one machine keep out of each other's
//! way. A line of the file has a keyword, the application, the first id in hexadecimal, and
//! the number of ids:
//!
//! ```text
//! # keyword  application  first id  number
//! reserved   SUNWfoo      0x600000  1000
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use crate::error::{Error, Result, Status};
use crate::id::SegmentId;

/// Where the file is.
///
/// ```
/// let reserved = std::fs::read_to_string(rsm::SEGMENT_ID_FILE).unwrap_or_default();
/// println!("reserved on this machine:\n{reserved}");
/// # Ok::<(), rsm::Error>(())
/// ```
pub const SEGMENT_ID_FILE: &str = "/etc/rsm/rsm.segmentid";

/// Lines are read in pieces of at most so many bytes.
const PIECE: usize = 255;

/// A range of segment ids.
///
/// ```
/// use rsm::{SegmentId, SegmentIdRange};
///
/// let file = b"# ours\nreserved SUNWfoo 600000 16\n";
/// let range = SegmentIdRange::find(file, "sunwFOO")?;
/// assert_eq!(range.ids().next(), Some(SegmentId::new(0x60_0000)));
/// assert!(range.contains(SegmentId::new(0x60_000f)));
/// assert!(!range.contains(SegmentId::new(0x60_0010)));
/// assert!(!range.is_empty());
/// # Ok::<(), rsm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentIdRange {
    base: u32,
    length: u32,
}

impl SegmentIdRange {
    /// The range that [`SEGMENT_ID_FILE`] reserves for `application`.
    ///
    /// Fails with [`Status::BadConf`] if the file cannot be read or is malformed, and with
    /// [`Status::BadAppid`] if it has no range for the application.
    ///
    /// ```no_run
    /// match rsm::SegmentIdRange::of("SUNWfoo") {
    ///     Ok(range) => println!("{} ids from {}", range.len(), range.base()),
    ///     Err(error) => println!("no ids: {error}"),
    /// }
    /// ```
    pub fn of(application: impl AsRef<[u8]>) -> Result<Self> {
        Self::of_file(SEGMENT_ID_FILE, application)
    }

    /// As [`of`](Self::of), with another file.
    ///
    /// ```
    /// use rsm::{SegmentIdRange, Status};
    ///
    /// let range = SegmentIdRange::of_file("/nowhere", "SUNWfoo");
    /// assert_eq!(range, Err(Status::BadConf.into()));
    /// # Ok::<(), rsm::Error>(())
    /// ```
    pub fn of_file(path: impl AsRef<Path>, application: impl AsRef<[u8]>) -> Result<Self> {
        match File::open(path) {
            Ok(file) => Self::read(file, application.as_ref()),
            Err(_) => Err(Error::Rsm(Status::BadConf)),
        }
    }

    /// As [`of`](Self::of), in the content of such a file.
    ///
    /// Lines are looked at in their order, up to the first that names the application, in
    /// upper or lower case. A line before it that is neither a comment nor has four fields
    /// makes the file malformed, also an empty one; lines after it do not matter.
    pub fn find(content: &[u8], application: impl AsRef<[u8]>) -> Result<Self> {
        Self::read(content, application.as_ref())
    }

    /// Needs no memory but its own.
    fn read(source: impl Read, application: &[u8]) -> Result<Self> {
        const BAD_CONF: Error = Error::Rsm(Status::BadConf);
        let mut pieces = Pieces::of(source);
        while let Some(line) = pieces.next().map_err(|_| BAD_CONF)? {
            match Line::parse(line) {
                Line::Comment => {}
                Line::Malformed => return Err(BAD_CONF),
                Line::Fields(fields) if fields.are_of(application) => {
                    return fields.range().ok_or(BAD_CONF);
                }
                Line::Fields(_) => {}
            }
        }
        Err(Error::Rsm(Status::BadAppid))
    }

    /// The first id.
    pub const fn base(&self) -> SegmentId {
        SegmentId::new(self.base)
    }

    /// Number of ids.
    pub const fn len(&self) -> u32 {
        self.length
    }

    /// Are there none?
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Is `id` one of them?
    pub fn contains(&self, id: SegmentId) -> bool {
        id.get()
            .checked_sub(self.base)
            .is_some_and(|distance| distance < self.length)
    }

    /// All ids, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = SegmentId> {
        let base = self.base;
        (0..self.length).map_while(move |place| base.checked_add(place).map(SegmentId::new))
    }
}

/// The lines of a file, and the pieces of those that are too long for one.
struct Pieces<R> {
    source: R,
    buffer: [u8; PIECE],
    /// What was read and has not been handed out.
    rest: Range<usize>,
}

impl<R: Read> Pieces<R> {
    const fn of(source: R) -> Self {
        Self {
            source,
            buffer: [0; PIECE],
            rest: 0..0,
        }
    }

    /// The next one, with the end of its line; `None` at the end of the file.
    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.buffer.copy_within(self.rest.clone(), 0);
        let mut end = self.rest.len();
        let len = loop {
            let newline = self.buffer[..end].iter().position(|&byte| byte == b'\n');
            if let Some(place) = newline {
                break place + 1;
            }
            // Nothing is read where there is no room for it, either.
            match self.source.read(&mut self.buffer[end..]) {
                Ok(0) => break end,
                Ok(more) => end += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.rest = len..end;
        Ok((len > 0).then(|| &self.buffer[..len]))
    }
}

enum Line<'a> {
    Comment,
    Malformed,
    Fields(Fields<'a>),
}

/// Keyword, application, first id, number of ids.
struct Fields<'a>([&'a [u8]; 4]);

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Self {
        let mut fields = line
            .split(|byte| matches!(byte, b' ' | b'\t' | b'\n'))
            .filter(|field| !field.is_empty());
        let mut next = || fields.next();
        match (next(), next(), next(), next()) {
            (Some([b'#', ..]), ..) => Self::Comment,
            (Some(keyword), Some(application), Some(base), Some(length)) => {
                Self::Fields(Fields([keyword, application, base, length]))
            }
            _ => Self::Malformed,
        }
    }
}

impl Fields<'_> {
    fn are_of(&self, application: &[u8]) -> bool {
        self.0[1].eq_ignore_ascii_case(application)
    }

    fn range(&self) -> Option<SegmentIdRange> {
        let [keyword, _, base, length] = self.0;
        // The guide has both spellings.
        let reserved = ["reserved", "reserve"]
            .iter()
            .any(|word| keyword.eq_ignore_ascii_case(word.as_bytes()));
        if !reserved {
            return None;
        }
        let base = base
            .strip_prefix(b"0x")
            .or_else(|| base.strip_prefix(b"0X"))
            .unwrap_or(base);
        Some(SegmentIdRange {
            base: number(base, 16)?,
            length: number(length, 10)?,
        })
    }
}

/// The number that `text` begins with; what follows it does not matter.
fn number(text: &[u8], radix: u32) -> Option<u32> {
    let digits = text
        .iter()
        .map_while(|&byte| char::from(byte).to_digit(radix));
    let mut value = None;
    for digit in digits {
        value = Some(
            value
                .unwrap_or(0_u32)
                .checked_mul(radix)?
                .checked_add(digit)?,
        );
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(content: &str, application: &str) -> Result<(u32, u32), Status> {
        SegmentIdRange::find(content.as_bytes(), application)
            .map(|range| (range.base().get(), range.len()))
            .map_err(|error| error.status())
    }

    const BAD_CONF: Result<(u32, u32), Status> = Err(Status::BadConf);
    const BAD_APPID: Result<(u32, u32), Status> = Err(Status::BadAppid);

    #[test]
    fn what_a_file_says() {
        let file = "# comment\n  \t# another\nreserved SUNWfoo 0x600000 100\n\
                    RESERVE\tbar\t700000\t7 and more\nreserved bar 1 1\nreserved x 0XaB 0\n";
        assert_eq!(find(file, "SUNWfoo"), Ok((0x60_0000, 100)));
        assert_eq!(find(file, "sunwFOO"), Ok((0x60_0000, 100)));
        assert_eq!(find(file, "bar"), Ok((0x70_0000, 7)), "the first counts");
        assert_eq!(find(file, "x"), Ok((0xab, 0)));
        assert_eq!(find(file, "SUNWfo"), BAD_APPID);
        assert_eq!(find(file, ""), BAD_APPID);
        assert_eq!(find("", "x"), BAD_APPID);
    }

    #[test]
    fn what_is_malformed() {
        let good = "reserved x 1 2";
        for bad in ["", " ", "three fields only", "x"] {
            assert_eq!(find(&format!("{bad}\n{good}\n"), "x"), BAD_CONF, "{bad:?}");
            assert_eq!(
                find(&format!("{good}\n{bad}\n"), "x"),
                Ok((1, 2)),
                "{bad:?}"
            );
        }
        for bad in [
            "foo x 1 2",
            "reserved x 1",
            "reserved x 100000000 2",
            "reserved x 1 4294967296",
            "reserved x 1 -1",
            "reserved x one 2",
            "reserved x 0x 2",
        ] {
            assert_eq!(find(bad, "x"), BAD_CONF, "{bad:?}");
            let other = find(bad, "other");
            assert!(other == BAD_APPID || bad.split(' ').count() < 4, "{bad:?}");
        }
        assert_eq!(
            find("reserved x ffffffff 4294967295", "x"),
            Ok((u32::MAX, u32::MAX))
        );
        assert_eq!(find("reserved x 1f 12k", "x"), Ok((0x1f, 12)));
    }

    #[test]
    fn long_lines_are_read_in_pieces() {
        let comment = "#".repeat(255);
        assert_eq!(find(&format!("{comment}reserved x 1 2"), "x"), Ok((1, 2)));
        let comment = "#".repeat(254);
        assert_eq!(find(&format!("{comment}reserved x 1 2"), "x"), BAD_CONF);
    }

    /// A file that is read a few bytes at a time, and then is or is not at its end.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = into.len().min(3);
            match self.0.read(&mut into[..len])? {
                0 if len > 0 && self.1 => Err(io::ErrorKind::Other.into()),
                got => Ok(got),
            }
        }
    }

    #[test]
    fn files_that_come_in_pieces() {
        let comment = "#".repeat(254);
        let file = format!("# a\n{comment}\n#{comment}reserved x 1 2\nreserved y 3 4");
        let find = |application, fails| {
            SegmentIdRange::read(Slow(file.as_bytes(), fails), application)
                .map(|range| (range.base().get(), range.len()))
                .map_err(|error| error.status())
        };
        assert_eq!(find(b"x", false), Ok((1, 2)));
        assert_eq!(find(b"x", true), Ok((1, 2)), "no further than it");
        assert_eq!(find(b"y", false), Ok((3, 4)));
        assert_eq!(find(b"z", false), BAD_APPID);
        assert_eq!(find(b"z", true), BAD_CONF);
    }

    #[test]
    fn ranges() {
        let range = SegmentIdRange {
            base: u32::MAX - 1,
            length: 5,
        };
        assert_eq!(range.ids().count(), 2, "no further than ids go");
        assert!(range.contains(SegmentId::new(u32::MAX)));
        assert!(!range.contains(SegmentId::new(3)));
        let range = SegmentIdRange { base: 5, length: 0 };
        assert!(range.is_empty() && !range.contains(SegmentId::new(5)));
    }

    #[test]
    fn no_file() {
        let range = SegmentIdRange::of_file("/nonexistent", "x");
        assert_eq!(range, Err(Status::BadConf.into()));
    }

    /// A line of a good file: an application out of few, or a comment.
    fn line() -> impl Strategy<Value = (String, Option<(u8, u32, u32)>)> {
        let reserved = (
            0..5_u8,
            any::<u32>(),
            any::<u32>(),
            "[ \t]{1,3}",
            "(| more|#)",
            any::<bool>(),
        );
        prop_oneof![
            "[ \t]{0,3}#[ -~]{0,40}".prop_map(|comment| (comment, None)),
            reserved.prop_map(|(app, base, length, gap, tail, long)| {
                let (word, prefix) = if long {
                    ("Reserved", "0x")
                } else {
                    ("reserve", "")
                };
                let text = format!("{word}{gap}App{app}{gap}{prefix}{base:x}{gap}{length}{tail}");
                (text, Some((app, base, length)))
            }),
        ]
    }

    proptest! {
        #[test]
        fn the_first_line_that_names_the_application(
            lines in prop::collection::vec(line(), 0..12),
            app in 0..5_u8,
        ) {
            let text: Vec<&str> = lines.iter().map(|(text, _)| &**text).collect();
            let file = text.join("\n");
            let first = lines.iter().filter_map(|line| line.1).find(|entry| entry.0 == app);
            let expected = first.map(|(_, base, length)| (base, length)).ok_or(Status::BadAppid);
            prop_assert_eq!(find(&file, &format!("aPP{app}")), expected);
        }

        #[test]
        fn no_file_does_any_harm(content in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Err(error) = SegmentIdRange::find(&content, "x") {
                prop_assert!(matches!(error.status(), Status::BadConf | Status::BadAppid));
            }
        }
    }
}
