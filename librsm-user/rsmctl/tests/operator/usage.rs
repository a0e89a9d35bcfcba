// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line, errors, colours, and what runs other programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::tool::{finish, rsmctl, Publisher, PROGRAM};

const ESCAPE: char = '\u{1b}';

#[test]
fn mistakes_in_the_command_line() {
    for (arguments, word) in [
        (&[] as &[&str], "Usage"),
        (&["lst"], "unrecognized subcommand"),
        (&["cat"], "<ID>"),
        (&["cat", "five"], "in decimal, or in hexadecimal with 0x"),
        (&["cat", "0x100000000"], "at most 0xffffffff"),
        (&["cat", "5", "--offset", "1.5"], "a number of bytes"),
        (&["publish", "f", "--mode", "0755"], "did you mean 0644?"),
        (&["publish", "f", "--id", "0x80000000"], "leave --id out"),
        (&["wait", "5", "--timeout", "soon"], "a time such as"),
        (&["completions", "csh"], "csh"),
    ] {
        let run = rsmctl(arguments).exits(2);
        assert!(
            run.stdout.is_empty() && run.stderr.contains(word),
            "{run:?}"
        );
        assert!(!run.stderr.contains(ESCAPE), "{run:?}");
    }
}

#[test]
fn help_and_version() {
    assert!(rsmctl(&["--help"]).succeeds().text().contains("Exit codes"));
    assert!(rsmctl(&["--version"])
        .succeeds()
        .text()
        .starts_with("rsmctl "));
    let help = rsmctl(&["publish", "--help"]).succeeds();
    assert!(help.text().contains("--until-event"));
}

#[test]
fn errors_in_json() {
    let failure = rsmctl(&["--json", "cat", "0x654321"]).exits(3).failure();
    assert_eq!(
        (failure.exit, failure.status.as_deref()),
        (3, Some("RSMERR_SEG_NOT_PUBLISHED"))
    );
    assert!(failure.error.contains("0x654321") && failure.advice.is_some());
    assert_eq!(failure.bytes, None);
}

#[test]
fn colours_are_for_terminals() {
    let publisher = Publisher::of_bytes(b"x");
    let shown = |options: &[&str]| {
        let run = rsmctl(&[options, &["show", &publisher.id()]].concat()).succeeds();
        run.text().to_owned() + &run.stderr
    };
    assert!(!shown(&[]).contains(ESCAPE));
    assert!(!shown(&["--color", "never"]).contains(ESCAPE));
    assert!(shown(&["--color", "always"]).contains(ESCAPE));
    let mut command = Command::new(PROGRAM);
    command
        .args(["show", &publisher.id()])
        .env("CLICOLOR_FORCE", "1");
    assert!(finish(&mut command, b"").text().contains(ESCAPE));
    assert!(!finish(command.env("NO_COLOR", "1"), b"")
        .text()
        .contains(ESCAPE));
}

#[test]
fn completions_for_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = rsmctl(&["completions", shell]).succeeds();
        assert!(
            run.text().contains("rsmctl") && run.text().contains("until-event"),
            "{shell}"
        );
    }
}

#[test]
fn bench_is_another_program() {
    let directory = "/tmp/rsmctl-bench";
    fs::create_dir(directory).expect("directory");
    let program = format!("{directory}/rsmctl");
    fs::copy(PROGRAM, &program).expect("copy");
    let bench = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("bench").args(arguments).env("PATH", "/nowhere");
        finish(&mut command, b"")
    };
    bench(&[]).fails(3, "cannot run rsm-bench");

    let other = format!("{directory}/rsm-bench");
    fs::write(&other, "#!/bin/sh\necho \"$@\"\nexit 9\n").expect("script");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("chmod");
    let run = bench(&["--json", "-n", "5", "--help"]).exits(9);
    assert_eq!(run.text(), "peers --json -n 5 --help\n");

    fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).expect("chmod");
    bench(&[]).fails(4, "cannot run rsm-bench");
    fs::remove_dir_all(directory).expect("remove");
}
