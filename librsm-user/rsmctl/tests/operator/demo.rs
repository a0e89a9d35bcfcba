// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-demo`, which is what `make demo` runs: all that it shows, and what it says when it
//! cannot show anything.

use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::tool::{bytes, finish, without_module, Run, TempFile, BOB};

const DEMO: &str = "/rsm/bin/rsm-demo";

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(DEMO);
    command.args(arguments).env_remove("NO_COLOR");
    command
}

/// A file with no two pages alike, and its sum.
fn file(name: &str, len: usize) -> (TempFile, String) {
    let mut content = bytes(len);
    for (number, part) in content.chunks_exact_mut(4096).enumerate() {
        part[..8].copy_from_slice(&(number as u64 + 1).to_le_bytes());
    }
    let mut sum = String::new();
    for byte in Sha256::digest(&content) {
        write!(sum, "{byte:02x}").expect("strings grow");
    }
    (TempFile::new(name, &content), sum)
}

/// Runs the demo, which must go well in everything.
#[track_caller]
fn shown(options: &[&str], len: usize) {
    let (file, sum) = file("demo", len);
    let run = finish(demo(options).arg(&file.0), b"").succeeds();
    assert_eq!(run.stderr, "", "{run:?}");
    let lines: Vec<&str> = run.text().lines().map(str::trim).collect();
    let has = |line: &str| lines.iter().any(|shown| shown.ends_with(line));

    // What it counted and what it printed are the same, and nothing failed.
    let checks = lines.iter().filter(|line| line.starts_with("ok  ")).count();
    let verdict = format!("All {checks} checks passed");
    assert_eq!(checks, 10, "{run:?}");
    assert!(
        lines.iter().any(|line| line.starts_with(&verdict)),
        "{run:?}"
    );
    assert!(!run.text().contains("FAILED"), "{run:?}");

    for name in ["importer ", "sha256sum"] {
        assert!(has(&format!("{name}  {sum}")), "{name} {sum}: {run:?}");
    }
    assert!(has("the sum is that of the file"), "{run:?}");
    assert!(
        has("the stranger is told: permission denied (RSMERR_PERM_DENIED, 27)"),
        "{run:?}"
    );
    assert!(has("memory still pinned: 0 B"), "{run:?}");
}

/// Fails unless the run ended with one message, which has `text`, and showed no act of the play.
#[track_caller]
fn refused(run: Run, text: &str) {
    let run = run.exits(2);
    assert_eq!(run.stderr.lines().count(), 1, "{run:?}");
    assert!(run.stderr.starts_with("rsm-demo: "), "{run:?}");
    assert!(run.stderr.contains(text), "{text}: {run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
}

#[test]
fn a_file_is_shared_and_taken_back() {
    let debug = std::env::var("RSM_KERNEL_KIND").as_deref() == Ok("debug");
    shown(&[], if debug { 1 << 20 } else { 64 << 20 });
}

#[test]
fn small_pages_and_an_odd_length() {
    shown(&["--small-pages"], (1 << 20) + 4097);
}

#[test]
fn files_that_cannot_be_shared() {
    let empty = TempFile::new("demo-empty", b"");
    refused(
        finish(&mut demo(&["/tmp/rsmctl-nowhere"]), b""),
        "/tmp/rsmctl-nowhere: No such file or directory",
    );
    refused(finish(&mut demo(&[&empty.0]), b""), "is empty");
    refused(
        finish(&mut demo(&["/tmp"]), b""),
        "/tmp: is not a regular file",
    );
    let run = finish(&mut demo(&[]), b"").exits(2);
    assert!(run.stderr.contains("<FILE>"), "{run:?}");
}

#[test]
fn it_needs_root_and_the_module() {
    let file = TempFile::new("demo-small", &[7; 4096]);
    let mut as_bob = demo(&[&file.0]);
    as_bob.gid(BOB).uid(BOB);
    refused(finish(&mut as_bob, b""), "must be run as root");
    without_module(|| {
        refused(
            finish(&mut demo(&[&file.0]), b""),
            "is the rsm module loaded?",
        )
    });
}
