// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that guest and host exchange over the guest's second serial port.
//!
//! ```text
//! line   = "@" verb *( TAB field ) LF
//! field  = *( plain / "%" HEX HEX )
//! plain  = any byte from 0x20 to 0x7e except "%"
//! ```
//!
//! Everything a test program prints travels in fields, so nothing it prints can
//! look like a record. Lines without the "@" are noise (a boot loader's, say)
//! and are skipped.
//!
//! | from | record | meaning |
//! |---|---|---|
//! | guest | `hello` version release | process 1 runs; `release` as `uname -r` |
//! | guest | `note` text | for the reader, decides nothing |
//! | guest | `module` name problem | loaded, or why not (empty = loaded) |
//! | guest | `start` index name | program `index` begins |
//! | guest | `out` index bytes | it printed this, in any portions |
//! | guest | `exit` index how value | `exited` status, `signalled` number, `timeout` seconds, `failed` reason |
//! | guest | `check` name verdict text | a detector's verdict: `ok`, `fail` or `skip` |
//! | guest | `end` count | last record; `count` records came before it |
//! | host | `in` bytes | keys for the shell |
//! | host | `size` rows columns | the terminal's size |

use std::fmt::Write as _;

/// Version of the protocol; guest and host are built together, so they must agree.
pub const VERSION: &str = "1";

/// How a program in the guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It called exit with this status.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It was killed after this many seconds.
    TimedOut(u64),
    /// It could not be started.
    Failed(String),
}

impl Ending {
    /// Whether the program says that all is well.
    pub fn is_success(&self) -> bool {
        *self == Ending::Exited(0)
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Exited(status) => write!(f, "exit status {status}"),
            Ending::Signalled(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Ending::TimedOut(seconds) => write!(f, "still running after {seconds} s, killed"),
            Ending::Failed(reason) => write!(f, "could not be started: {reason}"),
        }
    }
}

/// What a detector found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Looked, and all is as it was.
    Ok,
    /// Looked, and something is wrong.
    Fail,
    /// This kernel has nothing to look at.
    Skip,
}

/// One line of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table at the top of the file says it all")]
pub enum Record {
    Hello {
        version: String,
        release: String,
    },
    Note(String),
    Module {
        name: String,
        problem: String,
    },
    Start {
        index: usize,
        name: String,
    },
    Out {
        index: usize,
        bytes: Vec<u8>,
    },
    Exit {
        index: usize,
        ending: Ending,
    },
    Check {
        name: String,
        verdict: Verdict,
        text: String,
    },
    End(u64),
    In(Vec<u8>),
    Size {
        rows: u16,
        columns: u16,
    },
}

/// Writes `bytes` so that they fit into a field.
fn escape(bytes: &[u8], to: &mut String) {
    for &byte in bytes {
        match byte {
            b'%' | 0..=0x1f | 0x7f..=0xff => {
                let _ = write!(to, "%{byte:02x}");
            }
            _ => to.push(byte as char),
        }
    }
}

/// Reverses [`escape`]; `None` for a field that `escape` cannot have written.
fn unescape(field: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            0x20..=0x7e => byte,
            _ => return None,
        });
    }
    Some(bytes)
}

/// Writes one line from a word and its fields; [`plan`](crate::plan) uses the same form.
pub fn line(verb: &str, fields: &[&[u8]]) -> String {
    let mut line = format!("@{verb}");
    for field in fields {
        line.push('\t');
        escape(field, &mut line);
    }
    line.push('\n');
    line
}

/// Takes a line apart again. `None` if it is not one of ours.
pub fn parse_line(line: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    let mut parts = line
        .trim_end_matches(['\r', '\n'])
        .strip_prefix('@')?
        .split('\t');
    let verb = parts.next()?;
    Some((verb, parts.map(unescape).collect::<Option<_>>()?))
}

impl Record {
    /// The record as a line, with its LF.
    pub fn to_line(&self) -> String {
        match self {
            Record::Hello { version, release } => {
                line("hello", &[version.as_bytes(), release.as_bytes()])
            }
            Record::Note(text) => line("note", &[text.as_bytes()]),
            Record::Module { name, problem } => {
                line("module", &[name.as_bytes(), problem.as_bytes()])
            }
            Record::Start { index, name } => {
                line("start", &[index.to_string().as_bytes(), name.as_bytes()])
            }
            Record::Out { index, bytes } => line("out", &[index.to_string().as_bytes(), bytes]),
            Record::Exit { index, ending } => {
                let (how, value) = match ending {
                    Ending::Exited(status) => ("exited", status.to_string()),
                    Ending::Signalled(number) => ("signalled", number.to_string()),
                    Ending::TimedOut(seconds) => ("timeout", seconds.to_string()),
                    Ending::Failed(reason) => ("failed", reason.clone()),
                };
                let index = index.to_string();
                line(
                    "exit",
                    &[index.as_bytes(), how.as_bytes(), value.as_bytes()],
                )
            }
            Record::Check {
                name,
                verdict,
                text,
            } => {
                let verdict = match verdict {
                    Verdict::Ok => "ok",
                    Verdict::Fail => "fail",
                    Verdict::Skip => "skip",
                };
                line(
                    "check",
                    &[name.as_bytes(), verdict.as_bytes(), text.as_bytes()],
                )
            }
            Record::End(count) => line("end", &[count.to_string().as_bytes()]),
            Record::In(bytes) => line("in", &[bytes]),
            Record::Size { rows, columns } => line(
                "size",
                &[rows.to_string().as_bytes(), columns.to_string().as_bytes()],
            ),
        }
    }

    /// Reads a line; `None` if it is noise or damaged.
    pub fn parse(text: &str) -> Option<Record> {
        let (verb, fields) = parse_line(text)?;
        let word = |n: usize| -> Option<String> { String::from_utf8(fields.get(n)?.clone()).ok() };
        fn number<T: std::str::FromStr>(word: Option<String>) -> Option<T> {
            word?.parse().ok()
        }
        Some(match (verb, fields.len()) {
            ("hello", 2) => Record::Hello {
                version: word(0)?,
                release: word(1)?,
            },
            ("note", 1) => Record::Note(word(0)?),
            ("module", 2) => Record::Module {
                name: word(0)?,
                problem: word(1)?,
            },
            ("start", 2) => Record::Start {
                index: number(word(0))?,
                name: word(1)?,
            },
            ("out", 2) => Record::Out {
                index: number(word(0))?,
                bytes: fields[1].clone(),
            },
            ("exit", 3) => Record::Exit {
                index: number(word(0))?,
                ending: match word(1)?.as_str() {
                    "exited" => Ending::Exited(number(word(2))?),
                    "signalled" => Ending::Signalled(number(word(2))?),
                    "timeout" => Ending::TimedOut(number(word(2))?),
                    "failed" => Ending::Failed(word(2)?),
                    _ => return None,
                },
            },
            ("check", 3) => Record::Check {
                name: word(0)?,
                verdict: match word(1)?.as_str() {
                    "ok" => Verdict::Ok,
                    "fail" => Verdict::Fail,
                    "skip" => Verdict::Skip,
                    _ => return None,
                },
                text: word(2)?,
            },
            ("end", 1) => Record::End(number(word(0))?),
            ("in", 1) => Record::In(fields[0].clone()),
            ("size", 2) => Record::Size {
                rows: number(word(0))?,
                columns: number(word(1))?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_survives_the_wire() {
        let records = [
            Record::Hello {
                version: VERSION.into(),
                release: "7.2.12+deb13".into(),
            },
            Record::Note(String::new()),
            Record::Module {
                name: "rsm".into(),
                problem: "line one\nline two".into(),
            },
            Record::Start {
                index: 3,
                name: "100 % name\twith tab".into(),
            },
            Record::Out {
                index: 0,
                bytes: (0..=255).collect(),
            },
            Record::Exit {
                index: 1,
                ending: Ending::Exited(101),
            },
            Record::Exit {
                index: 1,
                ending: Ending::Signalled(11),
            },
            Record::Exit {
                index: 1,
                ending: Ending::TimedOut(60),
            },
            Record::Exit {
                index: 1,
                ending: Ending::Failed("ENOEXEC: bad".into()),
            },
            Record::Check {
                name: "pins".into(),
                verdict: Verdict::Fail,
                text: "3 pages".into(),
            },
            Record::End(17),
            Record::In(vec![3, 27, b'[', b'A', 0xc3, 0xa4]),
            Record::Size {
                rows: 24,
                columns: 80,
            },
        ];
        for record in records {
            let line = record.to_line();
            assert_eq!(line.matches('\n').count(), 1, "{line:?} is one line");
            assert!(line.is_ascii());
            assert_eq!(Record::parse(&line), Some(record));
        }
    }

    #[test]
    fn output_cannot_forge_a_record() {
        let line = Record::Out {
            index: 0,
            bytes: b"\n@end\t1\n".to_vec(),
        }
        .to_line();
        assert_eq!(line.lines().count(), 1);
        assert!(!line.trim_end().contains('\n'));
    }

    #[test]
    fn noise_is_no_record() {
        for noise in [
            "",
            "SeaBIOS",
            "@",
            "@end",
            "@end\tmany",
            "@out\t0",
            "@out\t0\t%4",
            "@out\t0\t%zz",
            "@exit\t0\tvanished\t1",
            "@unknown\t1",
            "@check\tpins\tperhaps\t",
        ] {
            assert_eq!(Record::parse(noise), None, "{noise:?}");
        }
    }

    #[test]
    fn a_serial_line_may_end_in_cr_lf() {
        assert_eq!(Record::parse("@end\t4\r\n"), Some(Record::End(4)));
    }
}
