// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each check of the suite as a test.

#![allow(non_snake_case)]

use std::fs::{set_permissions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

include!(concat!(env!("OUT_DIR"), "/checks.rs"));

const PROGRAM: &str = "/rsm/bin/rsm-conformance";

fn output(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{PROGRAM}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text + &String::from_utf8_lossy(&output.stderr)
}

/// Runs one check, which must pass and not be skipped: the guest has all that it needs.
fn run(id: &str) {
    // What the udev rule does.
    set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("/dev/rsm");
    let output = output(&[id], &[]);
    let verdict = format!("\nok 1 - {id} ");
    let passed = output.contains("\n1..1\n") && output.contains(&verdict);
    assert!(passed && !output.contains(" # SKIP "), "\n{output}");
}

#[test]
fn no_check_is_left_out() {
    let list = output(&["-l"], &[]);
    let mut listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut run = ALL.to_vec();
    listed.sort_unstable();
    run.sort_unstable();
    assert_eq!(run, listed);
}

#[test]
fn the_suite_notices_failures() {
    // Some of them must not be done in time.
    let output = output(&["--selftest"], &[("RSM_TIMEOUT", "5")]);
    assert!(output.contains("\nok "), "\n{output}");
    assert!(!output.contains("\nnot ok "), "\n{output}");
}
