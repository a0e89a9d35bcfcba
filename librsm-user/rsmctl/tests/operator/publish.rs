// SPDX-License-Identifier: MIT OR Apache-2.0
//! `publish`: what it takes, who may connect, and how it ends.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::{kill, signal, SigHandler, Signal};
use nix::sys::stat::{umask, Mode};
use nix::unistd::Pid;
use rsm::{Access, Controller, ImportSegment, Post, SegmentId};

use crate::tool::{
    command, finish, rsmctl, rsmctl_as, wait_until, Publisher, TempFile, ALICE, BOB, ROOT,
};

/// With little memory to lock.
fn limited(command: &mut Command, bytes: u64) -> &mut Command {
    let limit = move || Ok(setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes)?);
    // SAFETY: only a system call.
    unsafe { command.pre_exec(limit) }
}

#[test]
fn files_that_cannot_be_exported() {
    let empty = TempFile::new("empty", b"");
    let secret = TempFile::new("secret", b"x");
    fs::set_permissions(&secret.0, Permissions::from_mode(0o600)).expect("chmod");
    rsmctl(&["publish", &empty.0]).fails(2, "is empty");
    rsmctl(&["publish", "-"]).fails(2, "stdin is empty");
    rsmctl(&["publish", "/tmp"]).fails(2, "is a directory");
    rsmctl(&["publish", "/tmp/nowhere"]).fails(3, "/tmp/nowhere");
    rsmctl_as(ALICE, &["publish", &secret.0]).fails(4, "ermission denied");
}

#[test]
fn more_than_the_limits_allow() {
    let large = "/tmp/rsmctl-large";
    File::create(large)
        .and_then(|file| file.set_len(1 << 40))
        .expect("file");
    rsmctl(&["publish", large]).fails(7, "1 TiB: the memory that is available is");
    let file = TempFile::new("limited", &[1; 70_000]);
    let run =
        |arguments: &[&str], bytes| finish(limited(&mut command(ALICE, arguments), bytes), b"");
    let failed = run(&["publish", &file.0], 65_536).fails(7, "locked memory");
    assert!(
        failed.stderr.contains("ulimit -l") && failed.stderr.contains("64 KiB"),
        "{failed:?}"
    );
    // Without end.
    run(&["publish", "/dev/zero"], 4 << 20).fails(7, "/dev/zero is too large");
    // The limit is of the user, and not only of the process.
    let other = Publisher::of(
        limited(&mut Publisher::command(ALICE, &[&file.0]), 131_072),
        b"",
    );
    let failed = run(&["publish", &file.0], 131_072).fails(7, "RSMERR_INSUFFICIENT_MEM");
    assert!(failed.stderr.contains("rsmctl doctor"), "{failed:?}");
    drop(other);
    fs::remove_file(large).expect("remove");
}

#[test]
fn a_limit_of_the_module() {
    let parameter = "/sys/module/rsm/parameters/max_exported_mem";
    let file = TempFile::new("module", &[1; 10_000]);
    fs::write(parameter, "8192").expect("parameter");
    let run = rsmctl(&["publish", &file.0]);
    fs::write(parameter, "0").expect("parameter");
    run.fails(7, "the module's limit");
}

#[test]
fn ids() {
    let file = TempFile::new("ids", b"x");
    let chosen = Publisher::start(ROOT, &[&file.0, "--id", "4194304"]);
    assert_eq!(chosen.published.id, 0x40_0000);
    rsmctl(&["publish", &file.0, "--id", "0x400000"]).fails(1, "RSMERR_SEGID_IN_USE");
    let first = Publisher::start(ROOT, &[&file.0]);
    let second = Publisher::start(ROOT, &[&file.0]);
    assert!(first.published.id >= 0x8000_0000 && second.published.id > first.published.id);
}

#[test]
fn who_may_connect() {
    umask(Mode::from_bits_truncate(0o022));
    let file = TempFile::new("access", b"x");
    // Alice, her group, others: may read? may write?
    let reads = |publisher: &Publisher, uid: u32, gid: u32| {
        let mut command = command(ROOT, &["cat", &publisher.id(), "--length", "1"]);
        command.gid(gid).uid(uid);
        let run = finish(&mut command, b"");
        match run.status.code() {
            Some(0) => true,
            Some(4) => false,
            _ => panic!("{run:?}"),
        }
    };
    for (options, expected) in [
        (&["--mode", "0640"] as &[&str], [true, true, false]),
        (&["--mode", "0604"], [true, false, true]),
        (&["--mode", "0"], [false, false, false]),
        (&["--access", "0:0440"], [true, true, false]),
        // As files: what the umask leaves.
        (&[], [true, true, true]),
    ] {
        let publisher = Publisher::start(ALICE, &[&[file.0.as_str()], options].concat());
        let seen = [(ALICE, ALICE), (BOB, ALICE), (BOB, BOB)]
            .map(|(uid, gid)| reads(&publisher, uid, gid));
        assert_eq!(seen, expected, "{options:?}");
        assert!(reads(&publisher, ROOT, ROOT));
        publisher.stop(Signal::SIGTERM).succeeds();
    }
    rsmctl(&["publish", &file.0, "--access", "1:0600"]).fails(2, "RSMERR_BAD_ACL");
    rsmctl(&["publish", &file.0, "--access", "0:0600,1:0600"]).fails(2, "RSMERR_BAD_ACL");
}

#[test]
fn ends_by_signals() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let publisher = Publisher::of_bytes(b"x");
        let id = publisher.id();
        rsmctl(&["cat", &id]).succeeds();
        publisher.stop(signal).succeeds();
        rsmctl(&["cat", &id]).fails(3, &id);
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    let ignore = || {
        // SAFETY: no handler.
        unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }?;
        Ok(())
    };
    let mut command = Publisher::command(ROOT, &["-"]);
    // SAFETY: only a system call.
    let publisher = Publisher::of(unsafe { command.pre_exec(ignore) }, b"x");
    kill(publisher.pid(), Signal::SIGHUP).expect("kill");
    std::thread::sleep(Duration::from_millis(50));
    rsmctl(&["cat", &publisher.id()]).succeeds();
    publisher.stop(Signal::SIGINT).succeeds();
}

#[test]
fn ends_by_time() {
    let start = Instant::now();
    let publisher = Publisher::of(
        &mut Publisher::command(ROOT, &["-", "--timeout", "0.3"]),
        b"x",
    );
    publisher.end().succeeds();
    assert!(start.elapsed() >= Duration::from_millis(300));
    // Not before its time.
    let publisher = Publisher::of(
        &mut Publisher::command(ROOT, &["-", "--timeout", "3600"]),
        b"x",
    );
    rsmctl(&["cat", &publisher.id()]).succeeds();
    publisher.stop(Signal::SIGTERM).succeeds();
}

#[test]
fn ends_by_an_event() {
    let publisher = Publisher::of(
        &mut Publisher::command(ROOT, &["-", "--until-event", "--mode", "0622"]),
        b"x",
    );
    rsmctl(&["signal", &publisher.id()]).succeeds();
    publisher.end().succeeds();
    let publisher = Publisher::of(
        &mut Publisher::command(ROOT, &["-", "-u", "--mode", "0622"]),
        b"x",
    );
    finish(
        &mut command(ALICE, &["put", &publisher.id(), "--signal"]),
        b"done",
    )
    .succeeds();
    publisher.end().succeeds();
}

/// Two threads that post events to a segment until it is gone, and the connection they use. The
/// publisher is stopped when this returns, and has many events to take.
fn flood(publisher: &Publisher) -> (ImportSegment, [JoinHandle<()>; 2]) {
    kill(publisher.pid(), Signal::SIGSTOP).expect("stop");
    let controller = Controller::open().expect("controller");
    let id = SegmentId::new(publisher.published.id);
    let node = controller.local_node();
    let import = ImportSegment::connect(&controller, node, id, Access::None).expect("connect");
    let posted = Arc::new(AtomicU32::new(0));
    let threads = [(); 2].map(|()| {
        let (signal, posted) = (import.signal().clone(), Arc::clone(&posted));
        thread::spawn(move || {
            while signal.post(Post::Accumulate).is_ok() {
                posted.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    wait_until("events pile up", || posted.load(Ordering::Relaxed) > 2000);
    (import, threads)
}

#[test]
fn ends_however_many_events_there_are() {
    for options in [
        &["--relay"] as &[&str],
        &["--timeout", "0.5"],
        &["--until-event"],
    ] {
        let mut command = Publisher::command(ROOT, &[&["-", "--mode", "0"], options].concat());
        let publisher = Publisher::of(&mut command, b"x");
        let (import, threads) = flood(&publisher);
        kill(publisher.pid(), Signal::SIGCONT).expect("continue");
        if options == ["--relay"] {
            // It is taking them.
            let patience = Some(Duration::from_secs(150));
            import.signal().wait(patience).expect("an event");
            kill(publisher.pid(), Signal::SIGTERM).expect("kill");
        }
        publisher.end().succeeds();
        for thread in threads {
            thread.join().expect("thread");
        }
    }
}

#[test]
fn for_people_it_prints_the_id_and_what_it_does() {
    let file = TempFile::new("people", &[5; 5000]);
    let mut command = command(ROOT, &["publish", &file.0]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("spawn");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("stdout");
    let id = line.trim_end();
    // That nobody reads any more is no reason to end.
    drop(stdout);
    rsmctl(&["cat", id]).succeeds();
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("kill");
    let output = child.wait_with_output().expect("wait");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("(5000 bytes) in a segment of 8 KiB") && text.contains("taken back"),
        "{text}"
    );
}
