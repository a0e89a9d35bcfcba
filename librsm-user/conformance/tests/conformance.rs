// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each check of the suite as a test.

#![allow(non_snake_case)]

use conformance::Suite;

include!(concat!(env!("OUT_DIR"), "/checks.rs"));

static SUITE: Suite = Suite::new("/rsm/bin/rsm-conformance", &[]);

fn run(id: &str) {
    SUITE.check(id);
}

#[test]
fn no_check_is_left_out() {
    let (good, list) = SUITE.run(&["-l"], &[]);
    let mut listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut run = ALL.to_vec();
    listed.sort_unstable();
    run.sort_unstable();
    assert_eq!(run, listed);
    assert!(good, "two have the same number");
}

#[test]
fn the_suite_notices_failures() {
    let (good, output) = SUITE.run(&["--selftest"], &[]);
    assert!(good && output.contains("\nok "), "\n{output}");
    assert!(!output.contains("\nnot ok "), "\n{output}");
}

#[test]
fn unknown_checks_fail() {
    let answer = SUITE.answer("T000");
    assert!(answer.contains("not ok "), "\n{answer}");
}
