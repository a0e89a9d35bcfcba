// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cat` and `put`: everything arrives, and who is stopped says how far it came.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::signal::{kill, Signal};
use nix::unistd::{dup2_stdin, pipe, Pid};
use rsmctl::report::{Cat, Failure, Put};
use sha2::{Digest, Sha256};

use crate::tool::{
    self, asleep_in, bytes, command, end_of, fill, finish, rsmctl, rsmctl_as, wait_until,
    Publisher, TempFile, ALICE, BOB, ROOT,
};

fn sum(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

#[test]
fn what_is_published_can_be_read() {
    for len in [1, 4095, 4096, 4097, (3 << 20) + 17] {
        let content = bytes(len);
        let file = TempFile::new("content", &content);
        let pages = len.next_multiple_of(4096) as u64;
        let from_file = Publisher::start(ROOT, &[&file.0]);
        let from_pipe = Publisher::of(&mut Publisher::command(ROOT, &["-"]), &content);
        for publisher in [from_file, from_pipe] {
            let published = &publisher.published;
            assert_eq!((published.length, published.content), (pages, len as u64));
            let run =
                rsmctl_as(BOB, &["cat", &publisher.id(), "--length", &len.to_string()]).succeeds();
            assert_eq!(sum(&run.stdout), sum(&content), "{len} bytes");
            let all = rsmctl(&["cat", &publisher.id()]).succeeds();
            assert_eq!(all.stdout.len() as u64, pages);
            assert!(all.stdout[len..].iter().all(|&byte| byte == 0));
            publisher.stop(Signal::SIGTERM).succeeds();
        }
    }
}

#[test]
fn a_file_without_a_length() {
    // The second says that it is as long as a page.
    for file in ["/proc/version", "/sys/class/misc/rsm/dev"] {
        let publisher = Publisher::start(ROOT, &[file]);
        let expected = fs::read(file).expect("file");
        assert_eq!(publisher.published.content, expected.len() as u64);
        let len = expected.len().to_string();
        let run = rsmctl(&["cat", &publisher.id(), "-l", &len]).succeeds();
        assert_eq!(run.stdout, expected);
    }
}

/// Somebody has read the beginning of a file, and hands over the rest.
#[test]
fn files_from_the_middle() {
    let content = bytes(4100);
    let file = TempFile::new("middle", &content);
    let from_the_middle = |mut command: Command| {
        let mut file = File::open(&file.0).expect("file");
        file.seek(SeekFrom::Start(10)).expect("seek");
        let input = move || Ok(dup2_stdin(&file)?);
        // SAFETY: only a system call.
        unsafe { command.pre_exec(input) };
        command
    };
    let mut command = from_the_middle(Publisher::command(ROOT, &["-", "--mode", "0666"]));
    let publisher = Publisher::of(&mut command, b"");
    let id = publisher.id();
    assert_eq!(publisher.published.content, 4090);
    assert_eq!(rsmctl(&["cat", &id, "-l", "4090"]).stdout, content[10..]);

    let publisher = Publisher::of_bytes(&[0; 4096]);
    let id = publisher.id();
    let run = finish(
        &mut from_the_middle(tool::command(ROOT, &["put", &id])),
        b"",
    );
    assert!(run.succeeds().stderr.contains("4090 bytes written"));
    assert_eq!(rsmctl(&["cat", &id, "-l", "4090"]).stdout, content[10..]);
}

#[test]
fn what_is_put_can_be_read() {
    let mut content = bytes(2 << 20);
    let publisher = Publisher::of_bytes(&content);
    let id = publisher.id();
    let change = bytes(1_200_000).into_iter().rev().collect::<Vec<u8>>();
    let file = TempFile::new("change", &change);
    let put: Put = rsmctl_as(
        ALICE,
        &["put", &id, &file.0, "--offset", "0x1001", "--json"],
    )
    .succeeds()
    .json();
    assert_eq!(
        (put.offset, put.bytes, put.signalled),
        (4097, 1_200_000, false)
    );
    content[4097..4097 + change.len()].copy_from_slice(&change);
    let run = finish(
        &mut command(ALICE, &["put", &id, "-", "--offset", "1M"]),
        b"from a pipe",
    );
    assert!(run.exits(0).stderr.contains("11 bytes written"));
    content[1 << 20..(1 << 20) + 11].copy_from_slice(b"from a pipe");
    assert_eq!(sum(&rsmctl(&["cat", &id]).succeeds().stdout), sum(&content));

    let run = rsmctl(&["cat", &id, "--offset", "1M", "--length", "4", "--json"]).succeeds();
    assert_eq!(run.stdout, b"from");
    let cat: Cat = serde_json::from_str(&run.stderr).expect("JSON");
    assert_eq!(
        (cat.id, cat.offset, cat.bytes),
        (publisher.published.id, 1 << 20, 4)
    );
}

#[test]
fn beyond_the_end() {
    let publisher = Publisher::of_bytes(&bytes(4096));
    let id = publisher.id();
    rsmctl(&["cat", &id, "--offset", "4097"]).fails(2, "4096 bytes");
    rsmctl(&["cat", &id, "--offset", "4000", "--length", "97"]).fails(2, "96 bytes");
    rsmctl(&["cat", &id, "--offset", "18446744073709551615"]).fails(2, "beyond");
    assert!(rsmctl(&["cat", &id, "--offset", "4096"])
        .succeeds()
        .stdout
        .is_empty());
    rsmctl(&["put", &id, "--offset", "1T"]).fails(2, "beyond");
    // A file is refused before anything is written.
    let file = TempFile::new("long", &[0xee; 97]);
    rsmctl(&["put", &id, &file.0, "--offset", "4000"]).fails(2, "room for 96");
    assert_eq!(rsmctl(&["cat", &id]).succeeds().stdout, bytes(4096));
    // Of a pipe, what fits is written.
    let mut command = command(ROOT, &["put", &id, "--offset", "4000", "--json"]);
    let failure = finish(&mut command, &[0xee; 97]).exits(2).failure();
    assert_eq!(failure.bytes, Some(96));
    assert_eq!(
        rsmctl(&["cat", &id, "-o", "4000"]).succeeds().stdout,
        [0xee; 96]
    );
    // Nothing at all is fine.
    rsmctl(&["put", &id]).succeeds();
}

#[test]
fn no_segment_and_no_right() {
    rsmctl(&["cat", "0x654321"]).fails(3, "0x654321");
    rsmctl(&["put", "0x654321"]).fails(3, "0x654321");
    rsmctl(&["put", "0x654321", "/tmp/nowhere"]).fails(3, "/tmp/nowhere");
    let file = TempFile::new("right", b"secret");
    let publisher = Publisher::start(ALICE, &[&file.0, "--mode", "0604"]);
    let denied = "RSMERR_PERM_DENIED";
    rsmctl_as(BOB, &["cat", &publisher.id()]).succeeds();
    let run = rsmctl_as(BOB, &["put", &publisher.id()]).fails(4, denied);
    assert!(run.stderr.contains("access list"), "{run:?}");
    let publisher = Publisher::start(ALICE, &[&file.0, "--mode", "0600"]);
    let run = rsmctl_as(BOB, &["cat", &publisher.id()]).fails(4, denied);
    assert!(run.stdout.is_empty());
}

/// `cat` of 8 MiB that has filled its pipe and waits.
#[track_caller]
fn stuck_cat(options: &[&str]) -> (Publisher, std::process::Child, Vec<u8>) {
    let content = bytes(8 << 20);
    let publisher = Publisher::of_bytes(&content);
    let mut command = command(ROOT, &["cat", &publisher.id()]);
    command
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("spawn");
    wait_until("the pipe is full", || {
        asleep_in(child.id(), libc::SYS_write)
    });
    (publisher, child, content)
}

#[test]
fn taken_back_in_the_middle() {
    let (publisher, child, content) = stuck_cat(&["--json"]);
    publisher.stop(Signal::SIGTERM).succeeds();
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(5), "{:?}", output.status);
    let failure: Failure = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(failure.status.as_deref(), Some("RSMERR_CONN_ABORTED"));
    assert!(failure.error.contains("of 8388608 bytes"), "{failure:?}");
    // As many as it says, and all of them from the segment.
    assert_eq!(failure.bytes, Some(output.stdout.len() as u64));
    assert!(!output.stdout.is_empty() && output.stdout.len() < content.len());
    assert_eq!(sum(&output.stdout), sum(&content[..output.stdout.len()]));
}

#[test]
fn interrupted_in_the_middle() {
    let (publisher, mut child, _) = stuck_cat(&["--json"]);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("kill");
    // Before anybody reads: nothing else can end it.
    child.wait().expect("wait");
    let output = child.wait_with_output().expect("output");
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let failure: Failure = serde_json::from_slice(&output.stderr).expect("JSON");
    assert!(failure.error.contains("of 8388608 bytes"), "{failure:?}");
    assert_eq!(failure.exit, 130);
    // What is counted has been written, and what is in the pipe need not be counted yet.
    assert!(failure
        .bytes
        .is_some_and(|bytes| bytes <= output.stdout.len() as u64));
    drop(publisher);
}

#[test]
fn nobody_hears_of_the_end() {
    let publisher = Publisher::of_bytes(&bytes(1 << 20));
    let id = publisher.id();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        for name in ["cat", "put"] {
            let (_errors, stderr) = pipe().expect("pipe");
            fill(&stderr);
            let mut command = command(ROOT, &[name, &id]);
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(stderr);
            let mut child = command.spawn().expect("spawn");
            let mut stdin = child.stdin.take().expect("piped");
            if name == "cat" {
                wait_until("the pipe is full", || {
                    asleep_in(child.id(), libc::SYS_write)
                });
            } else {
                let first = [signal as u8; 5];
                stdin.write_all(&first).expect("stdin");
                wait_until("it arrives", || {
                    rsmctl(&["cat", &id, "-l", "5"]).stdout == first
                });
            }
            kill(Pid::from_raw(child.id() as i32), signal).expect("kill");
            let status = end_of(&mut child);
            assert_eq!(status.code(), Some(128 + signal as i32), "{name}");
        }
    }
    let file = TempFile::new("unheard", b"x");
    let (_errors, stderr) = pipe().expect("pipe");
    fill(&stderr);
    let mut command = command(ROOT, &["publish", &file.0]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("spawn");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 2]).expect("the id");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("kill");
    assert!(end_of(&mut child).success());
}

#[test]
fn closed_and_full_outputs() {
    let (publisher, mut child, _) = stuck_cat(&[]);
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.signal(), Some(libc::SIGPIPE), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    for arguments in [&["cat", &publisher.id()] as &[&str], &["list"], &["doctor"]] {
        let full = File::options().write(true).open("/dev/full").expect("open");
        let output = command(ROOT, arguments).stdout(full).output().expect("run");
        assert_eq!(output.status.code(), Some(7), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to stdout"));
    }
}

#[test]
fn put_that_is_stopped() {
    let publisher = Publisher::of_bytes(&[0; 4096]);
    let start = || {
        let mut command = command(ROOT, &["put", &publisher.id()]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("spawn");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"first").expect("stdin");
        wait_until("it arrives", || {
            rsmctl(&["cat", &publisher.id(), "-l", "5"]).stdout == b"first"
        });
        wait_until("it has counted that", || {
            asleep_in(child.id(), libc::SYS_read)
        });
        (child, stdin)
    };
    let (child, stdin) = start();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("kill");
    let output = child.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(143), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("interrupted; 5 bytes"), "{text}");
    drop(stdin);

    finish(&mut command(ROOT, &["put", &publisher.id()]), &[0; 5]).succeeds();
    let (mut child, mut stdin) = start();
    publisher.stop(Signal::SIGTERM).succeeds();
    stdin.write_all(b"second").expect("stdin");
    drop(stdin);
    let mut text = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut text)
        .expect("stderr");
    assert_eq!(child.wait().expect("wait").code(), Some(5), "{text}");
    assert!(text.contains("only 5 bytes are certain"), "{text}");
}
