// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in C, each of which checks itself: built with what pkg-config says of the
//! library as it is installed, and linked dynamically.

use std::process::Command;

fn run(name: &str) {
    let output = Command::new(format!("/rsm/c-examples/{name}"))
        .output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}:\n{text}{errors}",
        output.status
    );
}

#[test]
fn usage() {
    run("usage");
}

#[test]
fn ring() {
    run("ring");
}

#[test]
fn ping_pong() {
    run("ping_pong");
}

#[test]
fn rebind() {
    run("rebind");
}

#[test]
fn recovery() {
    run("recovery");
}
