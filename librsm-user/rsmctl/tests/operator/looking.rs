// SPDX-License-Identifier: MIT OR Apache-2.0
//! `list`, `show` and `top`, by root and by those who see less.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr::NonNull;

use nix::mount::{mount, umount2, MntFlags, MsFlags};
use nix::sched::{unshare, CloneFlags};
use nix::sys::mman::{mmap_anonymous, munmap, MapFlags, ProtFlags};
use rsm::{
    Access, AccessEntry, Controller, ExportBuffer, ExportSegment, ForeignMemory, ImportSegment,
    Post, SegmentId,
};
use rsmctl::parse::debugfs;
use rsmctl::report::{List, Rights, Segment, Show, Source, State, Top};

use crate::tool::{
    command, finish, rsmctl, rsmctl_as, wait_until, Publisher, Run, TempFile, ALICE, BOB, ROOT,
};

const SEGMENTS: &str = "/sys/kernel/debug/rsm/segments";

fn find(list: &List, id: u32) -> Option<&Segment> {
    list.segments.iter().find(|segment| segment.id == Some(id))
}

/// Without debugfs, in a mount namespace of its own.
fn without_debugfs(command: &mut Command) -> &mut Command {
    let hide = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        umount2("/sys/kernel/debug", MntFlags::MNT_DETACH)?;
        Ok(())
    };
    // SAFETY: only system calls.
    unsafe { command.pre_exec(hide) }
}

#[test]
fn list_says_what_the_module_says() {
    let controller = Controller::open().expect("open");
    let node = controller.local_node();
    let bound = ExportSegment::create(&controller, ExportBuffer::new(8192).expect("memory"));
    let bound = bound.expect("create");
    let segment = ExportSegment::create(&controller, ExportBuffer::new(12288).expect("memory"));
    let segment = segment.expect("create");
    let id = segment
        .publish(None, &[AccessEntry::new(node, 0o600)])
        .expect("publish");
    let all = [Access::None, Access::Read, Access::Write, Access::ReadWrite];
    let imports =
        all.map(|access| ImportSegment::connect(&controller, node, id, access).expect("connect"));
    let windows = (
        imports[1].map().expect("map"),
        imports[3].map().expect("map"),
    );
    imports[3].signal().post(Post::Accumulate).expect("post");
    segment.signal().post(Post::Accumulate).expect("post");

    let list: List = rsmctl(&["list", "--json"]).succeeds().json();
    assert_eq!((list.source, list.missing.len()), (Source::Debugfs, 0));
    let me = std::process::id();
    let seen = find(&list, id.get()).expect("listed");
    assert_eq!(seen.state, State::Published);
    assert_eq!(
        (seen.length, seen.imports, seen.events),
        (12288, Some(4), Some(1))
    );
    assert_eq!(seen.mapped, Some(24576));
    let exporter = seen.exporter.as_ref().expect("known");
    assert_eq!((exporter.pid, exporter.user.as_deref()), (me, Some("root")));
    assert!(exporter
        .command
        .as_deref()
        .is_some_and(|name| name.starts_with("operator")));
    let rights: Vec<Rights> = seen.importers.iter().map(|import| import.rights).collect();
    assert_eq!(
        rights,
        [Rights::None, Rights::Read, Rights::Write, Rights::ReadWrite]
    );
    for (import, mappings) in seen.importers.iter().zip([0, 1, 0, 1]) {
        assert_eq!(
            (import.importer.pid, import.mappings, import.events),
            (me, mappings, 1)
        );
        assert_eq!(import.mapped, Some(mappings * 12288));
    }
    let unpublished = |segment: &&Segment| segment.state == State::Bound && segment.length == 8192;
    assert!(list.segments.iter().any(|segment| unpublished(&segment)));

    // The same from the file itself.
    let text = fs::read_to_string(SEGMENTS).expect("debugfs");
    let mut parsed = debugfs::segments(&text).expect("parse");
    let mut named = list.segments.clone();
    for segment in parsed.iter_mut().chain(&mut named) {
        let importers = segment
            .importers
            .iter_mut()
            .map(|import| &mut import.importer);
        for process in importers.chain(&mut segment.exporter) {
            (process.command, process.user) = (None, None);
        }
    }
    assert_eq!(parsed, named);

    let run = rsmctl(&["list", "--imports"]).succeeds();
    let rows: Vec<&str> = run.text().lines().collect();
    assert!(rows[0].starts_with("ID "), "{run:?}");
    let place = rows
        .iter()
        .position(|row| row.starts_with(&id.to_string()))
        .expect("row");
    assert!(
        rows[place].contains(" published ") && rows[place].contains(" 12 KiB "),
        "{run:?}"
    );
    assert!(rows[place + 4].contains("read, write"), "{run:?}");
    assert!(
        run.stderr.contains(SEGMENTS.trim_end_matches("/segments")),
        "{run:?}"
    );
    drop((windows, imports, bound));
}

#[test]
fn a_dead_segment_is_listed_until_it_is_closed() {
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let len = 4096.try_into().expect("not zero");
    // SAFETY: a new mapping.
    let memory = unsafe { mmap_anonymous(None, len, rights, MapFlags::MAP_PRIVATE) }.expect("mmap");
    let base: NonNull<u8> = memory.cast();
    let controller = Controller::open().expect("open");
    // SAFETY: nobody uses it.
    let foreign = unsafe { ForeignMemory::new(base, 4096) };
    let segment = ExportSegment::create(&controller, foreign).expect("create");
    // SAFETY: our own mapping, which nobody uses.
    unsafe { munmap(memory, 4096) }.expect("munmap");
    let dead = || {
        let list: List = rsmctl(&["list", "--json"]).succeeds().json();
        list.segments
            .iter()
            .filter(|segment| segment.state == State::Dead)
            .count()
    };
    assert_eq!(dead(), 1);
    drop(segment);
    assert_eq!(dead(), 0);
}

#[test]
fn an_empty_list() {
    let run = rsmctl(&["list"]).succeeds();
    assert_eq!(run.text(), "");
    assert!(run.stderr.starts_with("0 segments, 0 B"), "{run:?}");
    let list: List = rsmctl(&["list", "--json"]).succeeds().json();
    assert!(list.segments.is_empty());
}

#[test]
fn users_see_their_own() {
    let file = TempFile::new("own", b"alice's");
    let alices = Publisher::start(ALICE, &[&file.0, "--mode", "0644"]);
    let roots = Publisher::of_bytes(b"root's");
    let list: List = rsmctl_as(ALICE, &["list", "--json"]).succeeds().json();
    assert_eq!(list.source, Source::Proc);
    assert!(
        list.missing.iter().any(|what| what.contains("root only")),
        "{:?}",
        list.missing
    );
    assert!(
        list.missing.iter().any(|what| what.contains("of others")),
        "{:?}",
        list.missing
    );
    let seen = find(&list, alices.published.id).expect("her own");
    assert_eq!(
        (seen.length, seen.imports, seen.number, seen.mapped),
        (4096, Some(0), None, None)
    );
    assert_eq!(
        seen.exporter.as_ref().expect("known").user.as_deref(),
        Some("alice")
    );
    assert!(find(&list, roots.published.id).is_none());
    let run = rsmctl_as(ALICE, &["list"]).succeeds();
    assert!(run.stderr.contains("not seen: "), "{run:?}");
    // It is there all the same.
    let show: Show = rsmctl_as(ALICE, &["show", "--json", &roots.id()])
        .succeeds()
        .json();
    assert_eq!(
        (show.source, show.segment.exporter),
        (Source::Connect, None)
    );
    assert_eq!(show.allowed, Some(Rights::ReadWrite));
}

#[test]
fn descriptors_say_the_same_as_debugfs() {
    let publisher = Publisher::of_bytes(&[7; 5000]);
    let controller = Controller::open().expect("open");
    let id = SegmentId::new(publisher.published.id);
    let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)
        .expect("connect");
    let window = import.map().expect("map");
    let all: List = rsmctl(&["list", "--json"]).succeeds().json();
    let run: Run = finish(
        without_debugfs(&mut command(ROOT, &["list", "--json"])),
        b"",
    );
    let list: List = run.succeeds().json();
    assert_eq!(
        (list.source, list.missing.len()),
        (Source::Proc, 1),
        "{:?}",
        list.missing
    );
    let (here, there) = (
        find(&all, id.get()).expect("debugfs"),
        find(&list, id.get()).expect("proc"),
    );
    assert_eq!(there.exporter, here.exporter);
    assert_eq!(
        (there.length, there.state, there.imports),
        (here.length, here.state, here.imports)
    );
    let (here, there) = (&here.importers[0], &there.importers[0]);
    assert_eq!(
        (&there.importer, there.rights),
        (&here.importer, here.rights)
    );
    assert_eq!((there.mappings, there.events), (1, here.events));
    drop(window);
}

#[test]
fn show_a_segment() {
    let file = TempFile::new("show", &[1; 3000]);
    let publisher = Publisher::start(ALICE, &[&file.0, "--mode", "0640", "--id", "0x654321"]);
    assert_eq!(
        (publisher.published.id, publisher.published.length),
        (0x65_4321, 4096)
    );
    let show: Show = rsmctl(&["show", "6636321", "--json"]).succeeds().json();
    assert_eq!(
        (show.source, show.allowed),
        (Source::Debugfs, Some(Rights::ReadWrite))
    );
    assert_eq!(
        (show.segment.id, show.segment.length),
        (Some(0x65_4321), 4096)
    );
    let exporter = show.segment.exporter.expect("known");
    assert_eq!(exporter.pid, publisher.pid().as_raw() as u32);
    // Bob is not admitted, and learns that it is there.
    let show: Show = rsmctl_as(BOB, &["show", "0x654321", "--json"])
        .succeeds()
        .json();
    assert_eq!(
        (show.source, show.allowed),
        (Source::Connect, Some(Rights::None))
    );
    // A group of hers is.
    let mut member = command(ROOT, &["show", "0x654321", "--json"]);
    member.gid(ALICE).uid(BOB);
    let show: Show = finish(&mut member, b"").succeeds().json();
    assert_eq!(show.allowed, Some(Rights::Read));

    let run = rsmctl(&["show", "0x654321"]).succeeds();
    for word in [
        "Segment 0x654321 (6636321)",
        "rsmctl (alice)",
        "4 KiB (4096 bytes)",
        "read, write",
    ] {
        assert!(run.text().contains(word), "{word}: {run:?}");
    }
    rsmctl(&["show", "0x654322"]).fails(3, "0x654322");
}

#[test]
fn top_counts() {
    let looks = |run: Run| -> Vec<Top> {
        let lines = run.succeeds();
        let look = |line| serde_json::from_str(line).expect("a look");
        lines.text().lines().map(look).collect()
    };
    let small = Publisher::of_bytes(b"small");
    let large = Publisher::of_bytes(&[1; 10_000]);
    // What others have left is gone a moment after them.
    wait_until("no other is left", || {
        let live = looks(rsmctl(&["top", "--json", "-n", "1"]))[0].live;
        live.expect("root").segments == 2
    });
    let first = looks(rsmctl(&["top", "--json", "-n", "1"]));
    let import = rsmctl(&["cat", &small.id(), "--length", "1"]).succeeds();
    assert_eq!(import.stdout, b"s");
    let id = large.published.id;
    large.stop(nix::sys::signal::Signal::SIGTERM).succeeds();
    let second = looks(rsmctl(&["top", "--json", "-n", "3", "--interval", "10ms"]));
    assert_eq!((first.len(), second.len()), (1, 3));
    assert!(second[1].elapsed_ms < second[2].elapsed_ms && second[2].elapsed_ms >= 20);
    assert_eq!(first[0].segments[0].id, Some(id), "the longest comes first");
    assert_eq!(second[0].segments.len(), 1);
    let (before, after) = (
        first[0].counters.expect("root"),
        second[0].counters.expect("root"),
    );
    assert_eq!(after.connect, before.connect + 1);
    assert_eq!(after.destroy, before.destroy + 1);
    assert_eq!(after.create, before.create);
    let revocations = |top: &Top| -> u64 {
        let times = top.revoke_times.as_deref().expect("root");
        times.iter().map(|bucket| bucket.count).sum()
    };
    assert_eq!(revocations(&second[0]), revocations(&first[0]) + 1);
    let live = second[0].live.expect("root");
    assert_eq!((live.segments, live.pinned_pages, live.imports), (1, 1, 0));

    let text = rsmctl(&["top", "-n", "2", "-i", "0.01", "--sort", "imports"]).succeeds();
    assert_eq!(
        text.text().matches("1 segment, 4 KiB; 0 imports").count(),
        2,
        "{text:?}"
    );
    assert!(
        text.text().contains("/s)") && text.text().contains("revocation"),
        "{text:?}"
    );

    let users = looks(rsmctl_as(ALICE, &["top", "--json", "-n", "1"]));
    assert_eq!(
        (users[0].counters, users[0].live, users[0].source),
        (None, None, Source::Proc)
    );
    assert!(!users[0].missing.is_empty());
}
