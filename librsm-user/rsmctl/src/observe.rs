// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is: from debugfs where that can be read, and otherwise from the descriptors of
//! the processes that one may look into.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::failure::{Exit, Failure, Result};
use crate::names::Users;
use crate::parse::fdinfo::{Connection, Descriptor, Export};
use crate::parse::{debugfs, fdinfo, ParseError};
use crate::report::{Bucket, Counters, Import, List, Live, Process, Segment, Source, State};
use crate::units;

/// The module's directory.
pub const DEBUGFS: &str = "/sys/kernel/debug/rsm";

/// Everything that can be seen.
pub fn list() -> Result<List> {
    let mut list = match from_debugfs("segments", debugfs::segments)? {
        Ok(segments) => List {
            source: Source::Debugfs,
            missing: Vec::new(),
            segments,
        },
        Err(why) => {
            loaded()?;
            let seen = Seen::look()?;
            let mut missing = vec![format!(
                "{DEBUGFS} {why}: segments' numbers, mapped bytes and counters"
            )];
            if seen.hidden > 0 {
                let processes = match seen.hidden {
                    1 => "1 process".to_owned(),
                    number => format!("{number} processes"),
                };
                missing.push(format!("segments and imports of {processes} of others"));
            }
            List {
                source: Source::Proc,
                missing,
                segments: seen.segments(),
            }
        }
    };
    Users::read().describe_all(&mut list.segments);
    Ok(list)
}

/// Objects, counters and times, if debugfs can be read.
pub fn statistics() -> Result<Option<(Live, Counters, Vec<Bucket>)>> {
    let live = |what: &str| from_debugfs(&format!("live_{what}"), debugfs::live);
    let (Ok(counters), Ok(times)) = (
        from_debugfs("counters", debugfs::counters)?,
        from_debugfs("revoke_times", debugfs::revoke_times)?,
    ) else {
        return Ok(None);
    };
    let live = Live {
        segments: live("segments")?.unwrap_or(0),
        pinned_pages: live("pinned_pages")?.unwrap_or(0),
        imports: live("imports")?.unwrap_or(0),
        controllers: live("controllers")?.unwrap_or(0),
        views: live("views")?.unwrap_or(0),
        trash_pages: live("trash_pages")?.unwrap_or(0),
    };
    Ok(Some((live, counters, times)))
}

/// Fails unless the module is there.
fn loaded() -> Result<()> {
    if Path::new("/sys/module/rsm").exists() {
        return Ok(());
    }
    Err(Failure::new(Exit::NotFound, "the rsm module is not loaded")
        .advise("Load it with `modprobe rsm`; `rsmctl doctor` says what is missing."))
}

/// A file of the module's directory; or why it cannot be read, in words.
fn from_debugfs<T>(
    name: &str,
    parse: impl FnOnce(&str) -> Result<T, ParseError>,
) -> Result<Result<T, &'static str>> {
    let path = format!("{DEBUGFS}/{name}");
    match fs::read_to_string(&path) {
        Ok(text) => match parse(&text) {
            Ok(content) => Ok(Ok(content)),
            Err(problem) => Err(not_understood(&path, &problem)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("is not there")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Err("can be read by root only"))
        }
        Err(error) => Err(Failure::io(format!("cannot read {path}"), &error)),
    }
}

fn not_understood(path: &str, problem: &ParseError) -> Failure {
    Failure::new(Exit::Failed, format!("{path}: {problem}"))
        .advise("Are this program and the rsm module of the same version?")
}

/// What descriptors say.
#[derive(Debug, Default)]
struct Seen {
    /// By inode: a segment may have several descriptors.
    exports: HashMap<u64, (u32, Export)>,
    imports: Vec<(u32, Connection)>,
    /// Processes that one may not look into.
    hidden: u64,
}

impl Seen {
    fn look() -> Result<Self> {
        let mut seen = Self::default();
        let processes =
            fs::read_dir("/proc").map_err(|error| Failure::io("cannot read /proc", &error))?;
        for pid in processes
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        {
            seen.look_into(pid)?;
        }
        Ok(seen)
    }

    /// Processes may end and descriptors be closed meanwhile.
    fn look_into(&mut self, pid: u32) -> Result<()> {
        let descriptors = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => {
                self.hidden += u64::from(error.kind() == io::ErrorKind::PermissionDenied);
                return Ok(());
            }
        };
        for descriptor in descriptors.flatten() {
            let target = fs::read_link(descriptor.path()).unwrap_or_default();
            let name = target.to_str().unwrap_or_default();
            if !matches!(name, "anon_inode:[rsm-export]" | "anon_inode:[rsm-import]") {
                continue;
            }
            let number = descriptor.file_name();
            let path = format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy());
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            match fdinfo::descriptor(&text) {
                Ok(descriptor) => self.note(pid, descriptor),
                Err(problem) => return Err(not_understood(&path, &problem)),
            }
        }
        Ok(())
    }

    fn note(&mut self, pid: u32, descriptor: Option<Descriptor>) {
        match descriptor {
            Some(Descriptor::Export(export)) => {
                let holder = self.exports.entry(export.inode).or_insert((pid, export));
                holder.0 = holder.0.min(pid);
            }
            Some(Descriptor::Import(import)) if import.live => self.imports.push((pid, import)),
            _ => {}
        }
    }

    /// Segments with their imports; imports of segments that one cannot see make them known.
    fn segments(self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = self
            .exports
            .into_values()
            .map(|(pid, export)| Segment {
                number: None,
                state: export.state,
                id: export.id,
                exporter: Some(process(pid)),
                length: export.length,
                imports: Some(export.imports),
                events: Some(export.events),
                mapped: None,
                importers: Vec::new(),
            })
            .collect();
        for (pid, connection) in self.imports {
            let known = segments
                .iter()
                .position(|segment| segment.id == Some(connection.id));
            let place = known.unwrap_or_else(|| {
                segments.push(published(connection.id, connection.length));
                segments.len() - 1
            });
            segments[place].importers.push(Import {
                number: None,
                importer: process(pid),
                rights: connection.rights,
                mappings: connection.mappings,
                mapped: None,
                events: connection.events,
            });
        }
        segments.sort_by_key(|segment| {
            let exporter = segment.exporter.as_ref().map(|process| process.pid);
            (segment.id.is_none(), segment.id, exporter)
        });
        segments
    }
}

/// A published segment of which nothing else is known.
pub fn published(id: u32, length: u64) -> Segment {
    Segment {
        number: None,
        state: State::Published,
        id: Some(id),
        exporter: None,
        length,
        imports: None,
        events: None,
        mapped: None,
        importers: Vec::new(),
    }
}

fn process(pid: u32) -> Process {
    Process {
        pid,
        ..Process::default()
    }
}

/// Where it was seen and what is missing, in words.
pub fn note(source: Source, missing: &[String]) -> String {
    let place = match source {
        Source::Debugfs => DEBUGFS,
        Source::Proc => "descriptors of processes that you may look into",
        Source::Connect => "connecting",
    };
    let missing = missing.iter().map(|what| format!("\n  not seen: {what}"));
    let root = if missing.len() > 0 {
        "\n  root sees everything"
    } else {
        ""
    };
    format!("from {place}{}{root}", missing.collect::<String>())
}

/// How many segments with how much memory.
pub fn totals(segments: &[Segment]) -> String {
    let bytes = segments
        .iter()
        .filter(|segment| segment.state != State::Dead)
        .fold(0, |sum: u64, segment| sum.saturating_add(segment.length));
    format!(
        "{}, {}",
        units::count(segments.len() as u64, "segment"),
        units::bytes(bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Rights;

    fn export(inode: u64, id: Option<u32>) -> Descriptor {
        Descriptor::Export(Export {
            inode,
            state: id.map_or(State::Bound, |_| State::Published),
            id,
            length: 4096,
            imports: 1,
            events: 0,
        })
    }

    fn import(id: u32, live: bool) -> Descriptor {
        Descriptor::Import(Connection {
            live,
            id,
            rights: Rights::Read,
            length: 4096,
            mappings: 0,
            events: 0,
        })
    }

    #[test]
    fn descriptors_become_segments() {
        let mut seen = Seen::default();
        for (pid, descriptor) in [
            (20, export(7, Some(5))),
            (10, export(7, Some(5))),
            (10, export(8, None)),
            (30, import(5, true)),
            (31, import(5, false)),
            (32, import(6, true)),
        ] {
            seen.note(pid, Some(descriptor));
        }
        seen.note(33, None);
        let segments = seen.segments();
        let ids: Vec<_> = segments.iter().map(|segment| segment.id).collect();
        assert_eq!(ids, [Some(5), Some(6), None]);
        assert_eq!(segments[0].exporter, Some(process(10)));
        assert_eq!(segments[0].importers.len(), 1);
        assert_eq!(segments[0].importers[0].importer.pid, 30);
        assert_eq!((&segments[1].exporter, segments[1].imports), (&None, None));
        assert_eq!(totals(&segments), "3 segments, 12 KiB");
    }

    #[test]
    fn what_is_missing_is_said() {
        let text = note(Source::Proc, &["a".into(), "b".into()]);
        assert!(
            text.contains("not seen: a\n")
                && text.contains("not seen: b\n")
                && text.contains("root")
        );
        assert!(!note(Source::Debugfs, &[]).contains("root"));
    }
}
