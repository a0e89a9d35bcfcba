// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of processes and users.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::report::{Process, Segment};
use crate::table::printable;

/// The users of `/etc/passwd`. The C library's way to ask for others does not work in static
/// programs.
#[derive(Debug, Default)]
pub struct Users(HashMap<u32, String>);

impl Users {
    pub fn read() -> Self {
        Self::parse(&fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| !name.is_empty())?;
            Some((fields.nth(1)?.parse().ok()?, printable(name)))
        };
        let mut users = HashMap::new();
        for (uid, name) in text.lines().filter_map(user) {
            users.entry(uid).or_insert(name);
        }
        Self(users)
    }

    /// Name, or number.
    pub fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }

    /// Fills in what is known about a process.
    pub fn describe(&self, process: &mut Process) {
        let directory = format!("/proc/{}", process.pid);
        let command = fs::read(format!("{directory}/comm")).ok();
        process.command = command.map(|name| printable(String::from_utf8_lossy(&name).trim_end()));
        process.user = fs::metadata(directory)
            .ok()
            .map(|data| self.name(data.uid()));
    }

    /// The same for all processes of these segments.
    pub fn describe_all(&self, segments: &mut [Segment]) {
        for segment in segments {
            if let Some(process) = &mut segment.exporter {
                self.describe(process);
            }
            for import in &mut segment.importers {
                self.describe(&mut import.importer);
            }
        }
    }
}

/// A process in one word or three: number, name, user.
pub fn process(process: &Process) -> String {
    let Process { pid, command, user } = process;
    match (command, user) {
        (Some(command), Some(user)) => format!("{pid} {command} ({user})"),
        (Some(command), None) => format!("{pid} {command}"),
        _ => format!("{pid} (gone)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users() {
        let users = Users::parse(
            "root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\nbad\n:x:5:\nalice:x:1000:1000::/:\n",
        );
        assert_eq!(users.name(0), "root");
        assert_eq!(users.name(1000), "alice");
        assert_eq!(users.name(5), "5");
    }

    #[test]
    fn this_process() {
        let mut me = Process {
            pid: std::process::id(),
            ..Process::default()
        };
        Users::default().describe(&mut me);
        assert!(me.command.is_some() && me.user.is_some());
        assert!(process(&me).starts_with(&me.pid.to_string()));
        let gone = Process {
            pid: u32::MAX,
            ..Process::default()
        };
        assert_eq!(process(&gone), format!("{} (gone)", u32::MAX));
    }
}
