// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes of other users, and the lines that they and the director exchange.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::{fork, setgroups, setresgid, setresuid, ForkResult, Gid, Pid, Uid};
use rsm::Controller;

/// Longest time that an actor may take for one task.
const PATIENCE: Duration = Duration::from_secs(300);

/// What goes wrong in a process of the play, for people.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Who plays: a user and its groups.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    pub name: &'static str,
    pub uid: u32,
    pub gid: u32,
    pub about: &'static str,
}

/// One end of a conversation. A line is a word that says what it is about, then values.
#[derive(Debug)]
pub struct Line {
    stream: BufReader<UnixStream>,
}

impl Line {
    pub fn say(&mut self, words: &[&dyn std::fmt::Display]) -> io::Result<()> {
        let line: Vec<String> = words.iter().map(ToString::to_string).collect();
        writeln!(self.stream.get_mut(), "{}", line.join(" "))
    }

    /// The values of the next line, which must be about `topic`.
    pub fn hear(&mut self, topic: &str) -> Result<Words, Failure> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => return Err("went away".into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(format!("said nothing for {} s", PATIENCE.as_secs()).into());
            }
            result => result?,
        };
        let line = line.trim_end();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("failed", reason) => Err(reason.into()),
            (word, rest) if word == topic => Ok(Words(rest.split(' ').map(String::from).collect())),
            _ => Err(format!("said {line:?} where {topic:?} was expected").into()),
        }
    }
}

/// The values of a line.
#[derive(Debug)]
pub struct Words(Vec<String>);

impl Words {
    pub fn text(&self, index: usize) -> &str {
        self.0.get(index).map_or("", String::as_str)
    }

    pub fn number(&self, index: usize) -> Result<u64, Failure> {
        let text = self.text(index);
        text.parse()
            .map_err(|_| format!("said {text:?} where a number was expected").into())
    }
}

/// A process that plays a role.
#[derive(Debug)]
pub struct Actor {
    pub role: Role,
    pub pid: Pid,
    pub line: Line,
    gone: bool,
}

impl Actor {
    /// Forks a process that takes the role and plays `part`. It opens the controller while it
    /// is still root, since the device may be root's alone; what counts later is the role.
    pub fn cast(
        role: Role,
        part: impl FnOnce(&mut Line, Controller) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let (ours, theirs) = UnixStream::pair()?;
        // SAFETY: the director has one thread, so the child may do anything.
        match unsafe { fork()? } {
            ForkResult::Parent { child } => {
                ours.set_read_timeout(Some(PATIENCE))?;
                Ok(Self {
                    role,
                    pid: child,
                    line: Line {
                        stream: BufReader::new(ours),
                    },
                    gone: false,
                })
            }
            ForkResult::Child => {
                drop(ours);
                let mut line = Line {
                    stream: BufReader::new(theirs),
                };
                let result = Controller::open()
                    .map_err(Failure::from)
                    .and_then(|controller| {
                        role.take()?;
                        part(&mut line, controller)
                    });
                let code = match result {
                    Ok(()) => 0,
                    Err(error) => {
                        // The director reads it, or is gone and nobody does.
                        let _ = line.say(&[&"failed", &error]);
                        1
                    }
                };
                std::process::exit(code)
            }
        }
    }

    /// What the actor says about `topic`.
    pub fn hear(&mut self, topic: &str) -> Result<Words, Failure> {
        self.line
            .hear(topic)
            .map_err(|error| format!("the {} {error}", self.role.name).into())
    }

    /// Waits for the process to end; how it did, if not well.
    pub fn leave(mut self) -> Result<(), Failure> {
        self.gone = true;
        let name = self.role.name;
        // The end of the conversation ends the part.
        self.line
            .stream
            .get_ref()
            .shutdown(std::net::Shutdown::Both)?;
        match waitpid(self.pid, None)? {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, code) => Err(format!("the {name} ended with {code}").into()),
            WaitStatus::Signaled(_, signal, _) => {
                Err(format!("the {name} was killed by {signal}").into())
            }
            other => Err(format!("the {name} ended oddly: {other:?}").into()),
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        if !self.gone {
            // An actor that is gone already is what we want.
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
        }
    }
}

impl Role {
    /// Makes this process the role's user, for good.
    fn take(&self) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        setgroups(&[gid])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        set_pdeathsig(Signal::SIGKILL)
    }
}
