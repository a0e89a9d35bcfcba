// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may connect, all of it: every access list and every umask against every kind of
//! importer, by a model of the rules.

use std::fs;

use nix::libc;
use nix::sched::{unshare, CloneFlags};
use nix::unistd::{setgroups, setresgid, setresuid, Gid, Uid};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::debug_kernel;
use crate::common::memory::Map;
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, PAGE};
use crate::DENIED;

const OWNER: (u32, u32) = (1000, 2000);

/// `CAP_IPC_OWNER`, as a set.
const IPC_OWNER: u64 = 1 << 15;

/// What an importer is allowed by virtue of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Privilege {
    None,
    /// These capabilities, effective.
    Capabilities(u64),
    /// These capabilities, permitted but not effective.
    Permitted(u64),
    /// All there are, in a user namespace of its own.
    OwnNamespace,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
struct Importer {
    uid: u32,
    gid: u32,
    groups: &'static [u32],
    privilege: Privilege,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// An access list with one entry for the local node.
    List(u32),
    /// No access list, with this umask at create.
    Umask(u32),
}

/// The rules, in so many words.
fn granted(mode: Mode, importer: &Importer, wanted: u32) -> bool {
    let mode = match mode {
        Mode::List(perm) => perm & 0o666,
        Mode::Umask(umask) => 0o666 & !umask,
    };
    let digit = if importer.uid == OWNER.0 {
        mode / 0o100
    } else if importer.gid == OWNER.1 || importer.groups.contains(&OWNER.1) {
        mode / 0o10 % 0o10
    } else {
        mode % 0o10
    };
    let overrides = match importer.privilege {
        Privilege::Capabilities(set) => set & IPC_OWNER != 0,
        _ => false,
    };
    overrides || wanted & !digit == 0
}

/// All modes there are, or on a slow kernel some of them.
fn modes() -> Vec<Mode> {
    let lists = (0..=0o666).map(Mode::List);
    // Bits for execution in a umask mean nothing; those for read and write, everything.
    let umasks = (0..0o1000).filter(|umask| umask & 0o111 == (umask & 0o444) >> 2);
    let all = lists.chain(umasks.map(Mode::Umask));
    all.step_by(if debug_kernel() { 17 } else { 1 }).collect()
}

/// All kinds of importers.
fn importers() -> Vec<Importer> {
    const OTHERS: &[u32] = &[7, 9, 1000];
    const AMONG_OTHERS: &[u32] = &[7, 2000, 9];
    let privileges = [
        Privilege::None,
        Privilege::Capabilities(IPC_OWNER),
        Privilege::Capabilities(u64::MAX & !IPC_OWNER),
        Privilege::Permitted(IPC_OWNER),
        Privilege::OwnNamespace,
    ];
    let mut importers = Vec::new();
    for uid in [OWNER.0, 1001] {
        for (gid, groups) in [(OWNER.1, OTHERS), (1000, AMONG_OTHERS), (2001, OTHERS)] {
            for privilege in privileges {
                importers.push(Importer {
                    uid,
                    gid,
                    groups,
                    privilege,
                });
            }
        }
    }
    importers
}

/// Sets the capabilities of this process: those that count, and those that can be taken up.
fn set_capabilities(effective: u64, permitted: u64) {
    /// `struct __user_cap_header_struct` of version 3, for this thread.
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let all = {
        let status = fs::read_to_string("/proc/self/status").expect("status");
        let set = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
        u64::from_str_radix(set.expect("CapPrm").trim(), 16).expect("a set")
    };
    let (effective, permitted) = (effective & all, permitted & all);
    let low = [effective as u32, permitted as u32, 0];
    let high = [(effective >> 32) as u32, (permitted >> 32) as u32, 0];
    let data = [low, high];
    let mut header = HEADER;
    // SAFETY: a header and two sets, as this version has them.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), data.as_ptr()) };
    assert_eq!(result, 0, "capset: {}", nix::errno::Errno::last());
}

/// Becomes the user in a user namespace that maps these ids to others.
fn enter_namespace(importer: &Importer) {
    become_user(importer.uid, importer.gid, importer.groups);
    unshare(CloneFlags::CLONE_NEWUSER).expect("unshare");
    // Else the maps would be root's.
    // SAFETY: sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).unwrap_or_else(|e| panic!("{file}: {e}"));
    };
    write("setgroups", "deny".to_owned());
    write("uid_map", format!("0 {} 1", importer.uid));
    write("gid_map", format!("0 {} 1", importer.gid));
    // SAFETY: only ask.
    unsafe { assert_eq!((libc::geteuid(), libc::getegid()), (0, 0), "root in there") };
}

fn become_importer(importer: &Importer) {
    let (effective, permitted) = match importer.privilege {
        Privilege::None => (0, 0),
        Privilege::Capabilities(set) => (set, set),
        Privilege::Permitted(set) => (0, set),
        Privilege::OwnNamespace => return enter_namespace(importer),
    };
    let groups: Vec<_> = importer.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(importer.uid), Gid::from_raw(importer.gid));
    // SAFETY: sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1) };
    setgroups(&groups).expect("setgroups");
    setresgid(gid, gid, gid).expect("setresgid");
    setresuid(uid, uid, uid).expect("setresuid");
    set_capabilities(effective, permitted);
}

/// Asks for all rights there are on all segments, and compares with the model.
fn check(importer: &Importer, modes: &[Mode], first_id: u32) {
    let controller = raw::controller();
    let node = raw::local_node(&controller);
    let connect = |segment_id, perm| {
        let mut argument = rsm_import_connect {
            node,
            segment_id,
            perm,
            ..Default::default()
        };
        raw::run(&controller, &mut argument)?;
        // SAFETY: the command has just made it for us.
        assert_eq!(unsafe { libc::close(argument.fd) }, 0);
        Ok(())
    };
    let mut wrong = Vec::new();
    for (n, &mode) in modes.iter().enumerate() {
        for wanted in [0, 2, 4, 6] {
            let seen = connect(first_id + n as u32, wanted << 6);
            let expected = match granted(mode, importer, wanted) {
                true => Ok(()),
                false => Err(DENIED),
            };
            if seen != expected {
                wrong.push(format!(
                    "{mode:?} asked {wanted}: {seen:?}, not {expected:?}"
                ));
            }
        }
    }
    let some = &wrong[..wrong.len().min(10)];
    assert!(
        wrong.is_empty(),
        "{importer:?}: {} wrong: {some:#?}",
        wrong.len()
    );
}

/// Runs an exporter of one page under all modes, which `become_exporter` makes of a child.
fn with_segments(modes: &[Mode], become_exporter: fn(), rest: impl FnOnce(u32)) {
    let books = Books::open();
    let steps = Steps::new();
    let exporter = spawn(|| {
        become_exporter();
        let memory = Map::anonymous(PAGE);
        let controller = raw::controller();
        let node = raw::local_node(&controller);
        let mut segments = Vec::new();
        for (n, &mode) in modes.iter().enumerate() {
            let (umask, list) = match mode {
                Mode::List(perm) => (0o777, vec![rsm_access_entry { node, perm }]),
                Mode::Umask(umask) => (umask, vec![]),
            };
            // SAFETY: sets a number of this process.
            unsafe { libc::umask(umask) };
            let segment = raw::create(&controller, memory.addr(), PAGE as u64).expect("create");
            // What counts is the umask at create.
            // SAFETY: as above.
            unsafe { libc::umask(!umask & 0o777) };
            let id = raw::publish(&segment, 0, &list).expect("publish");
            if n == 0 {
                steps.pass(id);
            }
            assert_eq!(id, steps.passed() + n as u32, "ids in a row");
            segments.push(segment);
        }
        steps.reach(0);
        steps.await_step(1);
    });
    exporter.await_step(&steps, 0);
    rest(steps.passed());
    steps.reach(1);
    exporter.join();
    drop(steps);
    books.balance();
}

#[test]
fn the_model_itself() {
    let someone = |uid, gid, privilege| Importer {
        uid,
        gid,
        groups: &[],
        privilege,
    };
    let none = Privilege::None;
    // The owner's digit counts for the owner alone, even if others have more.
    assert!(!granted(Mode::List(0o066), &someone(1000, 2000, none), 4));
    assert!(granted(Mode::List(0o066), &someone(1001, 2000, none), 6));
    assert!(!granted(Mode::List(0o606), &someone(1001, 2000, none), 2));
    assert!(granted(Mode::List(0o602), &someone(1001, 2001, none), 2));
    assert!(!granted(Mode::Umask(0o027), &someone(1001, 2000, none), 2));
    assert!(granted(Mode::Umask(0o027), &someone(1001, 2000, none), 4));
    let able = Privilege::Capabilities(IPC_OWNER);
    assert!(granted(Mode::List(0), &someone(1001, 2001, able), 6));
    assert!(!granted(
        Mode::List(0),
        &someone(1001, 2001, Privilege::OwnNamespace),
        4
    ));
    let wide = modes().len();
    assert!(wide == 439 + 64 || debug_kernel(), "{wide} modes");
}

#[test]
fn every_mode_for_every_importer() {
    let modes = modes();
    let owner = || become_user(OWNER.0, OWNER.1, &[]);
    with_segments(&modes, owner, |first_id| {
        for importer in importers() {
            in_child(|| {
                become_importer(&importer);
                check(&importer, &modes, first_id);
            });
        }
    });
}

/// The exporter's ids are those it has outside of its own user namespace.
#[test]
fn an_exporter_in_a_user_namespace() {
    let modes: Vec<_> = modes().into_iter().step_by(5).collect();
    let owner = || {
        enter_namespace(&Importer {
            uid: OWNER.0,
            gid: OWNER.1,
            groups: &[],
            privilege: Privilege::OwnNamespace,
        })
    };
    with_segments(&modes, owner, |first_id| {
        for importer in importers() {
            in_child(|| {
                become_importer(&importer);
                check(&importer, &modes, first_id);
            });
        }
    });
}
