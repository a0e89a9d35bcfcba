// SPDX-License-Identifier: MIT OR Apache-2.0
//! `wait` and `signal`.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;
use rsmctl::report;

use crate::tool::{
    asleep_in, command, rsmctl, rsmctl_as, wait_until, Publisher, TempFile, ALICE, BOB, ROOT,
};

/// `wait` that waits.
#[track_caller]
fn waiter(user: u32, id: &str) -> Child {
    let mut command = command(user, &["wait", id, "--json"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawn");
    wait_until("it waits", || asleep_in(child.id(), libc::SYS_ioctl));
    child
}

#[test]
fn time_runs_out() {
    let publisher = Publisher::of_bytes(b"x");
    let start = Instant::now();
    rsmctl(&["wait", &publisher.id(), "--timeout", "100ms"]).fails(6, "within 0.1 s");
    assert!(start.elapsed() >= Duration::from_millis(100));
    rsmctl(&["wait", &publisher.id(), "-t", "0"]).fails(6, "RSMERR_TIMEOUT");
}

#[test]
fn nothing_to_wait_for() {
    rsmctl(&["wait", "0x654321"]).fails(3, "0x654321");
    rsmctl(&["signal", "0x654321"]).fails(3, "0x654321");
}

#[test]
fn the_end_of_the_segment_wakes() {
    let publisher = Publisher::of_bytes(b"x");
    let waiter = waiter(ROOT, &publisher.id());
    publisher.stop(Signal::SIGINT).succeeds();
    let output = waiter.wait_with_output().expect("wait");
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let failure: report::Failure = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(failure.status.as_deref(), Some("RSMERR_CONN_ABORTED"));
}

#[test]
fn a_signal_reaches_all_who_wait() {
    let file = TempFile::new("relay", b"x");
    // Nobody may read it: events take no rights.
    let publisher = Publisher::start(ALICE, &[&file.0, "--relay", "--mode", "0"]);
    let waiters = [waiter(BOB, &publisher.id()), waiter(ALICE, &publisher.id())];
    let posted: report::Signal = rsmctl_as(BOB, &["signal", &publisher.id(), "--json"])
        .succeeds()
        .json();
    assert_eq!((posted.id, posted.posted), (publisher.published.id, true));
    for waiter in waiters {
        let output = waiter.wait_with_output().expect("wait");
        assert!(output.status.success(), "{output:?}");
        let wait: report::Wait = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(wait.id, publisher.published.id);
    }
    publisher.stop(Signal::SIGTERM).succeeds();
}

#[test]
fn events_that_are_not_taken_add_up() {
    let publisher = Publisher::of_bytes(b"x");
    // It cannot take any while it is stopped.
    nix::sys::signal::kill(publisher.pid(), Signal::SIGSTOP).expect("stop");
    let pending = || {
        let show: report::Show = rsmctl(&["show", &publisher.id(), "--json"])
            .succeeds()
            .json();
        show.segment.events
    };
    rsmctl(&["signal", &publisher.id()]).succeeds();
    rsmctl(&["signal", &publisher.id()]).succeeds();
    assert_eq!(pending(), Some(2));
    rsmctl(&["signal", &publisher.id(), "--no-accumulate"]).succeeds();
    assert_eq!(pending(), Some(2));
    nix::sys::signal::kill(publisher.pid(), Signal::SIGCONT).expect("continue");
    wait_until("it takes them", || pending() == Some(0));
    publisher.stop(Signal::SIGTERM).succeeds();
}
