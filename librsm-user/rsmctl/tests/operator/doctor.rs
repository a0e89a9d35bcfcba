// SPDX-License-Identifier: MIT OR Apache-2.0
//! `doctor`, where all is well and where it is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::mount::{mount, MsFlags};
use nix::sched::{unshare, CloneFlags};
use nix::sys::resource::{setrlimit, Resource};
use rsmctl::report::{Doctor, Finding, Level};

use crate::tool::{command, finish, rsmctl, without_module, Publisher, ALICE, ROOT};

/// What it says, which must agree with its exit code.
#[track_caller]
fn look(command: &mut Command) -> Doctor {
    let run = finish(command.arg("--json"), b"");
    let doctor: Doctor = run.json();
    let problems = doctor
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Problem);
    assert_eq!(doctor.problems, problems.count() as u64);
    run.exits(i32::from(doctor.problems > 0));
    for finding in &doctor.findings {
        let needs_advice = matches!(finding.level, Level::Warning | Level::Problem);
        assert!(!needs_advice || finding.advice.is_some(), "{finding:?}");
    }
    doctor
}

#[track_caller]
fn finding<'a>(doctor: &'a Doctor, check: &str) -> &'a Finding {
    let found = doctor
        .findings
        .iter()
        .find(|finding| finding.check == check);
    found.unwrap_or_else(|| panic!("{check} is not in {doctor:?}"))
}

#[test]
fn all_is_well() {
    let doctor = look(&mut command(ROOT, &["doctor"]));
    assert_eq!(doctor.problems, 0, "{doctor:?}");
    for check in [
        "kernel",
        "module",
        "device",
        "interface",
        "debugfs",
        "kvm",
        "rights",
        "segments",
    ] {
        assert_eq!(
            finding(&doctor, check).level,
            Level::Ok,
            "{check}: {doctor:?}"
        );
    }
    assert!(finding(&doctor, "rights").found.contains("CAP_IPC_OWNER"));
    assert!(
        finding(&doctor, "segments").found.contains(" of 1048576"),
        "{doctor:?}"
    );
    let run = rsmctl(&["doctor"]).succeeds();
    assert!(
        run.text()
            .contains("ok       module          rsm is loaded"),
        "{run:?}"
    );
}

#[test]
fn a_user_with_little() {
    let mut command = command(ALICE, &["doctor"]);
    let limit = || Ok(setrlimit(Resource::RLIMIT_MEMLOCK, 65_536, 65_536)?);
    // SAFETY: only a system call.
    unsafe { command.pre_exec(limit) };
    let doctor = look(&mut command);
    assert_eq!(doctor.problems, 0, "{doctor:?}");
    let memory = finding(&doctor, "locked memory");
    assert_eq!(memory.level, Level::Warning);
    assert!(memory
        .advice
        .as_deref()
        .is_some_and(|advice| advice.contains("limits.conf")));
    assert_eq!(finding(&doctor, "debugfs").level, Level::Note);
    assert!(
        finding(&doctor, "segments").found.contains("only root"),
        "{doctor:?}"
    );
}

#[test]
fn a_closed_device() {
    let mut command = command(ALICE, &["doctor"]);
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o600)).expect("chmod");
    let doctor = look(&mut command);
    let device = finding(&doctor, "device");
    assert_eq!(device.level, Level::Problem);
    assert!(
        device.found.contains("mode 0600 and belongs to root"),
        "{device:?}"
    );
    assert!(
        device
            .advice
            .as_deref()
            .is_some_and(|advice| advice.contains("udev")),
        "{device:?}"
    );
    // Others say the same.
    let mut list = crate::tool::command(ALICE, &["cat", "5"]);
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o600)).expect("chmod");
    finish(&mut list, b"").fails(4, "/dev/rsm");
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("chmod");
}

#[test]
fn no_module() {
    let run = |arguments: &[&str]| finish(Command::new(crate::tool::PROGRAM).args(arguments), b"");
    without_module(|| {
        let doctor = look(Command::new(crate::tool::PROGRAM).arg("doctor"));
        let module = finding(&doctor, "module");
        assert_eq!((module.level, doctor.problems), (Level::Problem, 1));
        assert!(module
            .advice
            .as_deref()
            .is_some_and(|advice| advice.contains("modprobe rsm")));
        for arguments in [
            &["list"] as &[&str],
            &["show", "5"],
            &["top"],
            &["cat", "5"],
            &["wait", "5"],
        ] {
            run(arguments).fails(3, "module");
        }
        run(&["publish", "/proc/version"]).fails(3, "module");
    });
}

#[test]
fn virtual_machines_that_keep_memory() {
    let mut command = command(ROOT, &["doctor"]);
    let load_kvm = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        mount(
            Some("tmpfs"),
            "/sys/module",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )?;
        fs::create_dir_all("/sys/module/kvm/parameters")?;
        fs::create_dir_all("/sys/module/rsm")?;
        fs::write("/sys/module/kvm/parameters/allow_unsafe_mappings", "Y\n")
    };
    // SAFETY: the test has one thread, so that no lock is held by another.
    unsafe { command.pre_exec(load_kvm) };
    let doctor = look(&mut command);
    let kvm = finding(&doctor, "kvm");
    assert_eq!(
        (kvm.level, doctor.problems),
        (Level::Problem, 1),
        "{doctor:?}"
    );
    assert!(kvm
        .advice
        .as_deref()
        .is_some_and(|advice| advice.contains("allow_unsafe_mappings")));
}

#[test]
fn a_limit_that_is_nearly_reached() {
    let parameter = "/sys/module/rsm/parameters/max_segments";
    let publisher = Publisher::of_bytes(b"x");
    let before = fs::read_to_string(parameter).expect("parameter");
    fs::write(parameter, "1").expect("parameter");
    let doctor = look(&mut command(ROOT, &["doctor"]));
    fs::write(parameter, before.trim_end()).expect("parameter");
    let segments = finding(&doctor, "segments");
    assert_eq!(
        (segments.level, segments.found.as_str()),
        (Level::Warning, "1 of 1")
    );
    assert_eq!(finding(&doctor, "exported memory").found, "4 KiB; no limit");
    drop(publisher);
}

#[test]
fn malformed_ranges_of_ids() {
    fs::create_dir_all("/etc/rsm").expect("directory");
    fs::write(
        "/etc/rsm/rsm.segmentid",
        "# one\n\nreserved A 0x600000 10\n",
    )
    .expect("file");
    let doctor = look(&mut command(ROOT, &["doctor"]));
    fs::remove_file("/etc/rsm/rsm.segmentid").expect("remove");
    assert_eq!(finding(&doctor, "segment ids").level, Level::Warning);
}
