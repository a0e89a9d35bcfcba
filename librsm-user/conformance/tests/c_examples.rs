// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in C, each of which checks itself: built with what pkg-config says of the
//! library as it is installed, and linked dynamically.

fn run(name: &str) {
    let program = format!("/rsm/c-examples/{name}");
    let (good, output) = conformance::run(&program, &[], &[]);
    assert!(good, "\n{output}");
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
