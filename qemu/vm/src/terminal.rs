// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's terminal while a guest's shell is on it: raw, and put back in
//! order whatever happens.
//!
//! Keys go to the guest unread, Ctrl-C too. `~.` at the start of a line ends
//! the guest from here, for one that no longer answers. Without a terminal the
//! commands come from standard input, and its end ends the shell.

use crate::protocol::Record;
use anyhow::Result;
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg, Termios};
use std::io::{IsTerminal, Read};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::OnceLock;
use std::time::Duration;

/// How the terminal was; for the signal handler, which can reach nothing else.
static BEFORE: OnceLock<libc::termios> = OnceLock::new();

/// The terminal in raw mode; in its former mode again when dropped.
pub struct RawTerminal {
    before: Option<Termios>,
}

impl RawTerminal {
    /// Makes the terminal raw, if standard input is one.
    pub fn new() -> Result<RawTerminal> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Ok(RawTerminal { before: None });
        }
        let before = tcgetattr(&stdin)?;
        let _ = BEFORE.set(before.clone().into());
        let action = SigAction::new(
            SigHandler::Handler(restore_and_exit),
            SaFlags::empty(),
            SigSet::empty(),
        );
        for signal in [
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGINT,
            Signal::SIGQUIT,
        ] {
            // SAFETY: the handler calls only what is async-signal-safe.
            unsafe { sigaction(signal, &action) }?;
        }
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&stdin, SetArg::TCSANOW, &raw)?;
        Ok(RawTerminal {
            before: Some(before),
        })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

extern "C" fn restore_and_exit(signal: libc::c_int) {
    // SAFETY: tcsetattr and _exit are async-signal-safe. QEMU dies with us.
    unsafe {
        if let Some(before) = BEFORE.get() {
            libc::tcsetattr(0, libc::TCSANOW, before);
        }
        libc::_exit(128 + signal);
    }
}

/// Starts to send keys and window sizes. `give_up` is called for `~.`.
pub fn records(give_up: fn()) -> Receiver<Record> {
    let (sender, receiver) = mpsc::channel();
    let is_terminal = std::io::stdin().is_terminal();
    if is_terminal {
        let sender = sender.clone();
        std::thread::spawn(move || send_sizes(&sender));
    }
    std::thread::spawn(move || send_keys(&sender, is_terminal, give_up));
    receiver
}

fn send_keys(sender: &Sender<Record>, is_terminal: bool, give_up: fn()) {
    let mut stdin = std::io::stdin().lock();
    let mut escape = Escape::default();
    let mut bytes = [0; 512];
    loop {
        match stdin.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                if is_terminal && bytes[..count].iter().any(|&byte| escape.take(byte)) {
                    return give_up();
                }
                if sender.send(Record::In(bytes[..count].to_vec())).is_err() {
                    return;
                }
            }
        }
    }
    // Not Ctrl-D: a shell that is not yet reading its keys one by one loses it.
    let _ = sender.send(Record::In(b"\nexit\n".to_vec()));
}

/// Looks for `~.` at the start of a line. The `~` itself is passed on.
#[derive(Default)]
enum Escape {
    #[default]
    LineStart,
    Tilde,
    Inside,
}

impl Escape {
    fn take(&mut self, byte: u8) -> bool {
        *self = match (&self, byte) {
            (_, b'\r' | b'\n') => Escape::LineStart,
            (Escape::LineStart, b'~') => Escape::Tilde,
            (Escape::Tilde, b'.') => return true,
            _ => Escape::Inside,
        };
        false
    }
}

fn send_sizes(sender: &Sender<Record>) {
    let mut last = (0, 0);
    loop {
        // Asking now and then is simpler than a signal, and soon enough.
        if let Some(size) = size().filter(|size| *size != last) {
            last = size;
            let (rows, columns) = size;
            if sender.send(Record::Size { rows, columns }).is_err() {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

fn size() -> Option<(u16, u16)> {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the call fills the structure, which lives through it.
    let result = unsafe { libc::ioctl(0, libc::TIOCGWINSZ, &mut size) };
    (result == 0 && size.ws_row > 0).then_some((size.ws_row, size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tilde_at_the_start_of_a_line_escapes() {
        let ends = |keys: &str| {
            let mut escape = Escape::default();
            keys.bytes().any(|byte| escape.take(byte))
        };
        assert!(ends("~."));
        assert!(ends("ls\r~."));
        assert!(!ends("cd ~.\r"));
        assert!(!ends("~ ."));
        assert!(!ends("~~."));
    }
}
