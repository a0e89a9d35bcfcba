// SPDX-License-Identifier: MIT OR Apache-2.0
//! What commands print with `--json`: one shape for each, made of these.
//!
//! Ids are numbers, lengths are bytes, and `null` stands for what is not known; members may be
//! added. `top` prints a line for each look; everything else prints one object.

use serde::{Deserialize, Serialize};

/// Where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// `/sys/kernel/debug/rsm`: everything.
    Debugfs,
    /// The descriptors of those processes that one may look into.
    Proc,
    /// By connecting to it.
    Connect,
}

/// State of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has memory, and nobody else can connect.
    Bound,
    /// Others can connect.
    Published,
    /// It has been destroyed, and its descriptor is still open.
    Dead,
}

/// Rights of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rights {
    /// Cannot be mapped.
    #[serde(rename = "-")]
    None,
    /// Reading.
    #[serde(rename = "r")]
    Read,
    /// Writing.
    #[serde(rename = "w")]
    Write,
    /// Reading and writing.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, if it is there still.
    pub command: Option<String>,
    /// Its user's name, or number.
    pub user: Option<String>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Counts from the loading of the module; not known without debugfs.
    pub number: Option<u64>,
    /// State.
    pub state: State,
    /// Id, while it is published.
    pub id: Option<u32>,
    /// Who made it, or, without debugfs, holds it.
    pub exporter: Option<Process>,
    /// Bytes.
    pub length: u64,
    /// Number of live imports.
    pub imports: Option<u64>,
    /// Events that wait for the exporter.
    pub events: Option<u64>,
    /// Bytes that all imports have mapped.
    pub mapped: Option<u64>,
    /// The live imports, as far as they can be seen.
    pub importers: Vec<Import>,
}

/// A live import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Counts the imports of its segment; not known without debugfs.
    pub number: Option<u64>,
    /// Who connected, or, without debugfs, holds it.
    pub importer: Process,
    /// What it may do.
    pub rights: Rights,
    /// Number of mappings.
    pub mappings: u64,
    /// Bytes of these, if they can be seen.
    pub mapped: Option<u64>,
    /// Events that wait for the importer.
    pub events: u64,
}

/// `list`: everything that can be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Where it was seen.
    pub source: Source,
    /// What is missing for want of rights, in words.
    pub missing: Vec<String>,
    /// The segments.
    pub segments: Vec<Segment>,
}

/// `show`: one segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// Where it was seen.
    pub source: Source,
    /// What is missing for want of rights, in words.
    pub missing: Vec<String>,
    /// The segment.
    pub segment: Segment,
    /// What the caller may do with it; not known if the device cannot be opened.
    pub allowed: Option<Rights>,
}

/// Objects that exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Segments.
    pub segments: u64,
    /// Pages that are pinned for them.
    pub pinned_pages: u64,
    /// Imports, live and aborted.
    pub imports: u64,
    /// Controller descriptors.
    pub controllers: u64,
    /// Mappings of imports.
    pub views: u64,
    /// Zero pages behind windows that were taken back.
    pub trash_pages: u64,
}

/// What has happened since the module was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Segments made.
    pub create: u64,
    /// Publications.
    pub publish: u64,
    /// Imports connected.
    pub connect: u64,
    /// Segments that got other memory.
    pub rebind: u64,
    /// Publications taken back.
    pub unpublish: u64,
    /// Segments destroyed by their exporters.
    pub destroy: u64,
    /// Segments that died with their exporters' memory.
    pub lose: u64,
}

/// How many revocations took how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Less than this many microseconds, and no less than the bucket before; `null` for the
    /// last, which has no limit.
    pub below_us: Option<u64>,
    /// So many.
    pub count: u64,
}

/// `top`: one look, a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Milliseconds since the first look.
    pub elapsed_ms: u64,
    /// Where segments were seen.
    pub source: Source,
    /// What is missing for want of rights, in words.
    pub missing: Vec<String>,
    /// Objects that exist; needs debugfs.
    pub live: Option<Live>,
    /// What has happened; needs debugfs.
    pub counters: Option<Counters>,
    /// How long revocations took; needs debugfs.
    pub revoke_times: Option<Vec<Bucket>>,
    /// The segments, in the order asked for.
    pub segments: Vec<Segment>,
}

/// `publish`: printed once others can connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Id.
    pub id: u32,
    /// Bytes of the segment, whole pages.
    pub length: u64,
    /// Bytes of the file in it; the rest is zero.
    pub content: u64,
}

/// `cat`: printed to stderr, after the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cat {
    /// Id.
    pub id: u32,
    /// Where it began.
    pub offset: u64,
    /// Bytes written out.
    pub bytes: u64,
}

/// `put`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Id.
    pub id: u32,
    /// Where it began.
    pub offset: u64,
    /// Bytes that have reached the segment.
    pub bytes: u64,
    /// Was an event posted?
    pub signalled: bool,
}

/// `wait`, when there was an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Id.
    pub id: u32,
    /// Milliseconds until then.
    pub waited_ms: u64,
}

/// `signal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Id.
    pub id: u32,
    /// Always true.
    pub posted: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Will be in somebody's way.
    Warning,
    /// RSM cannot be used, or does not keep its promise.
    Problem,
}

/// One thing that `doctor` has looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do.
    pub advice: Option<String>,
}

/// `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// How many problems; the exit code is 1 if there are any.
    pub problems: u64,
    /// How many warnings.
    pub warnings: u64,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

/// Any command that fails prints this to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub error: String,
    /// What to do.
    pub advice: Option<String>,
    /// The RSMAPI's name of it, `RSMERR_…`.
    pub status: Option<String>,
    /// How many bytes had been moved for certain.
    pub bytes: Option<u64>,
    /// The exit code.
    pub exit: u8,
}
