// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looks at and ends the guest's other processes.

use crate::link::Link;
use nix::errno::Errno;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// How long a killed process may take to go.
const PATIENCE: Duration = Duration::from_secs(8);

/// A user process, process 1 apart.
struct Process {
    pid: i32,
    name: String,
    state: char,
}

/// All user processes that are there. Kernel threads have no memory map.
fn list() -> Vec<Process> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
        else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // pid (name) state parent …; the name may hold anything, even ")".
        let Some((head, tail)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut words = tail.split(' ');
        let state = words
            .next()
            .and_then(|word| word.chars().next())
            .unwrap_or('?');
        let parent = words.next().unwrap_or_default();
        if pid == 1 || pid == 2 || parent == "2" {
            continue;
        }
        processes.push(Process {
            pid,
            name: head
                .split_once('(')
                .map_or(head, |(_, name)| name)
                .to_string(),
            state,
        });
    }
    processes
}

/// A process as text, with what each of its threads does in the kernel.
fn describe(process: &Process) -> String {
    let mut text = format!("{} {} (state {})", process.pid, process.name, process.state);
    for task in fs::read_dir(format!("/proc/{}/task", process.pid))
        .into_iter()
        .flatten()
        .flatten()
    {
        let stack = fs::read_to_string(task.path().join("stack")).unwrap_or_default();
        let frames: Vec<&str> = stack
            .lines()
            .filter_map(|line| line.split_whitespace().nth(1))
            .take(8)
            .collect();
        if !frames.is_empty() {
            let thread = task.file_name().to_string_lossy().into_owned();
            text += &format!(" [{thread}: {}]", frames.join(" < "));
        }
    }
    text
}

/// Describes every process that is there.
pub fn describe_all() -> Vec<String> {
    list().iter().map(describe).collect()
}

/// Reaps whatever has ended, and gives the status of `wanted` if it is among them.
pub fn reap(wanted: Option<Pid>) -> Option<WaitStatus> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return found,
            Ok(status) if wanted.is_some() && status.pid() == wanted => found = Some(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return found,
        }
    }
}

/// Kills all processes and waits until they are gone. Gives those that stay:
/// nothing but the kernel can hold a killed process.
pub fn end_all(link: &mut Link, program: &str) -> Vec<String> {
    reap(None);
    let left: Vec<String> = list()
        .iter()
        .filter(|process| process.state != 'Z')
        .map(|process| format!("{} {}", process.pid, process.name))
        .collect();
    if !left.is_empty() {
        link.note(&format!(
            "{program} left processes behind: {}",
            left.join(", ")
        ));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
        reap(None);
        let left = list();
        if left.is_empty() {
            return Vec::new();
        }
        if Instant::now() >= deadline {
            return left
                .iter()
                .map(|process| format!("after {program}, {} does not die", describe(process)))
                .collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processes that have `device` open or mapped.
pub fn users_of_device(device: &str) -> Vec<String> {
    let mut users = Vec::new();
    for process in list() {
        for entry in fs::read_dir(format!("/proc/{}/fd", process.pid))
            .into_iter()
            .flatten()
            .flatten()
        {
            if fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy() == device) {
                let descriptor = entry.file_name().to_string_lossy().into_owned();
                users.push(format!(
                    "process {} {} has it open as descriptor {descriptor}",
                    process.pid, process.name
                ));
            }
        }
        let maps = fs::read_to_string(format!("/proc/{}/maps", process.pid)).unwrap_or_default();
        for line in maps.lines().filter(|line| line.ends_with(device)) {
            let range = line.split(' ').next().unwrap_or_default();
            users.push(format!(
                "process {} {} has it mapped at {range}",
                process.pid, process.name
            ));
        }
    }
    users
}
