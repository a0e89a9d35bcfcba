// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is on a terminal only: the progress of long transfers, and the screen of `top`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::pty::{openpty, Winsize};
use nix::sys::signal::{kill, Signal};
use nix::sys::termios::{tcgetattr, LocalFlags};
use nix::unistd::Pid;

use crate::tool::{asleep_in, bytes, command, end_of, fill, wait_until, Publisher, ROOT};

/// A terminal of 24 lines, and what was written to it.
struct Terminal {
    master: File,
    slave: OwnedFd,
    seen: String,
}

impl Terminal {
    fn new() -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 100,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).expect("openpty");
        Self {
            master: File::from(pair.master),
            slave: pair.slave,
            seen: String::new(),
        }
    }

    fn side(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().expect("dup"))
    }

    /// Reads until `word` has been written.
    #[track_caller]
    fn await_word(&mut self, word: &str) {
        while !self.seen.contains(word) {
            let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let timeout = PollTimeout::from(60_000_u16);
            assert_eq!(poll(&mut ready, timeout), Ok(1), "{word}: {:?}", self.seen);
            let mut text = [0; 4096];
            let len = self.master.read(&mut text).expect("terminal");
            self.seen += &String::from_utf8_lossy(&text[..len]);
        }
    }

    /// Does it hand over keys one by one?
    fn is_raw(&self) -> bool {
        let flags = tcgetattr(&self.slave).expect("tcgetattr").local_flags;
        !flags.contains(LocalFlags::ICANON)
    }
}

fn start(command: &mut Command) -> Child {
    command.env("TERM", "xterm").spawn().expect("spawn")
}

#[test]
fn long_transfers_show_how_far_they_are() {
    let content = bytes(8 << 20);
    let publisher = Publisher::of_bytes(&content);
    let mut terminal = Terminal::new();
    let mut cat = command(ROOT, &["cat", &publisher.id()]);
    let mut child = start(cat.stdout(Stdio::piped()).stderr(terminal.side()));
    wait_until("the pipe is full", || {
        asleep_in(child.id(), libc::SYS_write)
    });
    // Nothing is shown in the beginning.
    std::thread::sleep(Duration::from_millis(350));
    let mut stdout = child.stdout.take().expect("piped");
    let mut first = vec![0; 4 << 20];
    stdout.read_exact(&mut first).expect("stdout");
    terminal.await_word("of 8.00 MiB");
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).expect("stdout");
    assert!(child.wait().expect("wait").success());
    assert!(terminal.seen.contains("reading [="), "{:?}", terminal.seen);
    assert_eq!(first, content[..4 << 20]);
    assert_eq!(rest, content[4 << 20..]);
}

fn top(terminal: &Terminal, options: &[&str]) -> Child {
    top_every("0.05", terminal, options)
}

fn top_every(interval: &str, terminal: &Terminal, options: &[&str]) -> Child {
    let mut top = command(ROOT, &["top", "--interval", interval]);
    top.args(options)
        .stdin(terminal.side())
        .stdout(terminal.side())
        .stderr(terminal.side());
    start(&mut top)
}

#[test]
fn top_fills_the_screen_until_q() {
    let publisher = Publisher::of_bytes(b"x");
    let mut terminal = Terminal::new();
    let mut child = top(&terminal, &[]);
    terminal.await_word("\u{1b}[?1049h");
    terminal.await_word(&publisher.id());
    terminal.await_word("q quit");
    assert!(terminal.is_raw());
    for key in [b"i" as &[u8], b"\x1b[B", b"\x1b[A", b"l"] {
        terminal.master.write_all(key).expect("key");
        terminal.seen.clear();
        terminal.await_word(&publisher.id());
    }
    terminal.master.write_all(b"q").expect("key");
    terminal.await_word("\u{1b}[?1049l");
    assert!(child.wait().expect("wait").success());
    assert!(!terminal.is_raw());
}

#[test]
fn top_may_look_once_for_all_time() {
    let mut terminal = Terminal::new();
    let mut child = top_every("9300000000000000000", &terminal, &[]);
    terminal.await_word("q quit");
    terminal.master.write_all(b"q").expect("key");
    assert!(end_of(&mut child).success());
}

#[test]
fn top_gives_the_terminal_back_however_it_ends() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129)] {
        let mut terminal = Terminal::new();
        let mut child = top(&terminal, &[]);
        terminal.await_word("q quit");
        kill(Pid::from_raw(child.id() as i32), signal).expect("kill");
        terminal.await_word("\u{1b}[?1049l");
        assert_eq!(child.wait().expect("wait").code(), Some(code));
        assert!(!terminal.is_raw());
    }
    // Nobody reads what it draws.
    let terminal = Terminal::new();
    fill(&terminal.slave);
    let mut child = top(&terminal, &[]);
    wait_until("it waits for somebody who does", || {
        terminal.is_raw() && asleep_in(child.id(), libc::SYS_write)
    });
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("kill");
    assert_eq!(end_of(&mut child).code(), Some(143));
    assert!(!terminal.is_raw());

    let mut terminal = Terminal::new();
    let mut child = top(&terminal, &["-n", "2"]);
    terminal.await_word("\u{1b}[?1049l");
    assert!(child.wait().expect("wait").success());
    assert!(!terminal.is_raw());
}
