// SPDX-License-Identifier: MIT OR Apache-2.0
//! The director: casts the three processes, gives them their cues, and judges.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use nix::sys::resource::{setrlimit, Resource, RLIM_INFINITY};
use nix::sys::utsname::uname;
use nix::unistd::geteuid;
use rsm::{Controller, SegmentId, Status};

use crate::actor::{Actor, Failure, Role};
use crate::board::Board;
use crate::measure::{Bytes, Count, Nanos, Rate};
use crate::screen::{Screen, Verdict};
use crate::{exporter, importer, stranger};

const EXPORTER: Role = Role {
    name: "exporter",
    uid: 1000,
    gid: 2000,
    about: "owns the memory",
};
const IMPORTER: Role = Role {
    name: "importer",
    uid: 1001,
    gid: 2000,
    about: "is in the owner's group: may read",
};
const STRANGER: Role = Role {
    name: "stranger",
    uid: 1002,
    gid: 2002,
    about: "is not: may do nothing",
};

/// How long the importer reads before the memory is taken away.
const READING: Duration = Duration::from_millis(500);

/// Longest wait for the importer to get going.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(path: &Path, small_pages: bool) -> Result<Verdict, Failure> {
    if !geteuid().is_root() {
        return Err("must be run as root, for it plays three users".into());
    }
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned();
    let open = || File::open(path).map_err(|error| format!("{}: {error}", path.display()));
    let file = open()?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(format!("{}: is not a regular file", path.display()).into());
    }
    let length = about.len();
    if length == 0 {
        return Err(format!("{}: is empty, there is nothing to share", path.display()).into());
    }
    let subtitle = {
        let controller = Controller::open()?;
        let system = uname()?;
        format!(
            "Linux {}, {} CPUs, rsm interface version {}",
            system.release().to_string_lossy(),
            available_parallelism()?,
            controller.abi_version()
        )
    };
    // The exporter pins more than the few MiB that an ordinary user may lock.
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;

    let board = Board::new()?;
    let bytes = length.try_into()?;
    let mut screen = Screen::new("Memory that its owner can take back", subtitle);
    // Before the exporter has any memory: what a child inherits would be copied.
    let mut importer = Actor::cast(IMPORTER, |line, controller| {
        importer::play(line, &controller, board, bytes)
    })?;
    let mut stranger = Actor::cast(STRANGER, |line, controller| {
        stranger::play(line, &controller)
    })?;
    let mut exporter = Actor::cast(EXPORTER, |line, controller| {
        exporter::play(line, &controller, board, file, bytes, small_pages)
    })?;
    for actor in [&exporter, &importer, &stranger] {
        screen.introduce(&actor.role, actor.pid);
    }

    let id = share(&mut screen, &mut exporter, &name, length)?;
    read(&mut screen, &mut importer, id, path, length)?;
    keep_out(&mut screen, &mut stranger, id)?;
    take_back(&mut screen, &mut exporter, &mut importer, board)?;

    let ends = [exporter.leave(), importer.leave(), stranger.leave()];
    let bad: Vec<String> = ends
        .into_iter()
        .filter_map(Result::err)
        .map(|e| e.to_string())
        .collect();
    screen.check(
        bad.is_empty(),
        match bad.is_empty() {
            true => "nobody was killed: all three processes ended by themselves".into(),
            false => bad.join(", "),
        },
    );
    Ok(screen.verdict())
}

fn share(
    screen: &mut Screen,
    exporter: &mut Actor,
    name: &str,
    length: u64,
) -> Result<SegmentId, Failure> {
    screen.act("Share a file's content");
    exporter.line.say(&[&"share"])?;
    let nanos = exporter.hear("read")?.number(0)?;
    screen.line(
        "exporter",
        format_args!(
            "reads {name} into its memory: {} in {}, {}",
            Bytes(length),
            Nanos(nanos),
            Rate {
                bytes: length,
                nanos
            }
        ),
    );
    let words = exporter.hear("exported")?;
    screen.line(
        "exporter",
        format_args!(
            "exports that memory: {} pinned in place in {}, nothing copied",
            Bytes(words.number(1)?),
            Nanos(words.number(0)?)
        ),
    );
    let id = SegmentId::new(exporter.hear("published")?.number(0)?.try_into()?);
    screen.line(
        "exporter",
        format_args!(
            "publishes it as segment {id}, access {:04o}",
            exporter::MODE
        ),
    );
    Ok(id)
}

fn read(
    screen: &mut Screen,
    importer: &mut Actor,
    id: SegmentId,
    path: &Path,
    length: u64,
) -> Result<(), Failure> {
    screen.act("Read it from another process");
    importer.line.say(&[&"use", &id.get()])?;
    let nanos = importer.hear("mapped")?.number(0)?;
    screen.line(
        "importer",
        format_args!(
            "connects and maps {}, read-only, in {}",
            Bytes(length),
            Nanos(nanos)
        ),
    );
    let reference = Reference::start(path)?;
    let words = importer.hear("hashed")?;
    let nanos = words.number(0)?;
    screen.line(
        "importer",
        format_args!(
            "computes SHA-256 through the mapping in {}, {}",
            Nanos(nanos),
            Rate {
                bytes: length,
                nanos
            }
        ),
    );
    let through_mapping = words.text(1);
    let of_file = reference.finish()?;
    screen.line("importer", through_mapping);
    screen.line("sha256sum", &of_file);
    screen.check(through_mapping == of_file, "the sum is that of the file");
    Ok(())
}

fn keep_out(screen: &mut Screen, stranger: &mut Actor, id: SegmentId) -> Result<(), Failure> {
    screen.act("Keep others out");
    stranger.line.say(&[&"intrude", &id.get()])?;
    screen.line("stranger", format_args!("tries to connect to segment {id}"));
    let code = stranger.hear("result")?.number(0)?;
    screen.check(
        code == u64::from(Status::PermDenied.code()),
        format_args!("the stranger is told: {}", describe(code)),
    );
    Ok(())
}

fn take_back(
    screen: &mut Screen,
    exporter: &mut Actor,
    importer: &mut Actor,
    board: &Board,
) -> Result<(), Failure> {
    screen.act("Take the memory back while it is being read");
    importer.line.say(&[&"watch"])?;
    let words = importer.hear("watching")?.number(0)?;
    screen.line(
        "importer",
        format_args!("reads {words} places all over it in a tight loop"),
    );
    let deadline = Instant::now() + PATIENCE;
    while board.reads.load(Ordering::Relaxed) == 0 {
        if Instant::now() > deadline {
            return Err("the importer does not read".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(READING);

    exporter.line.say(&[&"destroy"])?;
    let destroyed = exporter.hear("destroyed")?;
    screen.line(
        "exporter",
        format_args!(
            "destroys the segment: returned after {}",
            Nanos(destroyed.number(0)?)
        ),
    );
    screen.line("exporter", "fills the memory with other content at once");

    let seen = importer.hear("watched")?;
    let [live, zeroes, old, foreign, lost] =
        [0, 1, 2, 3, 4].map(|index| seen.number(index).unwrap_or(u64::MAX));
    screen.line(
        "importer",
        format_args!("has read the file's words {} times", Count(live)),
    );
    screen.line(
        "importer",
        format_args!(
            "reads on after the end: {} words",
            Count(zeroes.saturating_add(old))
        ),
    );
    screen.line(
        "importer",
        format_args!(
            "noticed the end {} after destroy was called",
            Nanos(seen.number(5)?)
        ),
    );
    screen.check(
        live > 0 && zeroes > 0 && old == 0,
        format_args!(
            "after destroy had returned: {} words of the file, {} zeroes",
            Count(old),
            Count(zeroes)
        ),
    );
    screen.check(
        foreign == 0,
        format_args!("words of the new content seen: {}", Count(foreign)),
    );
    screen.check(
        lost == 0,
        format_args!(
            "reads called good although they missed the segment: {}",
            Count(lost)
        ),
    );
    let told = seen.number(6)?;
    let aborted = u64::from(Status::ConnAborted.code());
    screen.check(
        told == aborted,
        format_args!("the importer is told: {}", describe(told)),
    );
    let again = seen.number(7)?;
    screen.check(
        again == aborted,
        format_args!("it cannot map it again: {}", describe(again)),
    );

    exporter.line.say(&[&"inspect"])?;
    let strange = exporter.hear("inspected")?.number(0)?;
    let pinned = destroyed.number(1)?;
    screen.check(
        strange == 0,
        format_args!(
            "bytes of the exporter's memory changed by others: {}",
            Count(strange)
        ),
    );
    screen.check(
        pinned == 0,
        format_args!("memory still pinned: {}", Bytes(pinned)),
    );
    Ok(())
}

/// What the status with this number says; 0 is success.
fn describe(code: u64) -> String {
    match u32::try_from(code).ok().and_then(Status::from_code) {
        Some(status) => status.to_string(),
        None if code == 0 => "welcome".into(),
        None => format!("unknown status {code}"),
    }
}

/// The sum that the file itself has, computed by a program that knows nothing of us.
struct Reference(Child);

impl Reference {
    fn start(path: &Path) -> Result<Self, Failure> {
        Command::new("sha256sum")
            .stdin(File::open(path)?)
            .stdout(Stdio::piped())
            .spawn()
            .map(Self)
            .map_err(|error| format!("cannot run sha256sum: {error}").into())
    }

    fn finish(self) -> Result<String, Failure> {
        let output = self.0.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        match text.split_whitespace().next() {
            Some(sum) if output.status.success() => Ok(sum.into()),
            _ => Err(format!("sha256sum failed: {}", output.status).into()),
        }
    }
}
