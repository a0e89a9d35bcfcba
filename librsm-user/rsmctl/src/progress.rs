// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a transfer is: a number for whoever asks, and a line on a terminal for transfers
//! that take a while.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Transfers that are done by then show nothing.
const SHORT: Duration = Duration::from_millis(300);

const KNOWN: &str =
    "{msg} [{bar:30}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
const UNKNOWN: &str = "{msg} {binary_bytes}, {binary_bytes_per_sec}";

/// A transfer that is going on. Dropping it clears the line.
#[derive(Debug)]
pub struct Progress {
    done: Arc<AtomicU64>,
    bar: ProgressBar,
    show_at: Option<Instant>,
}

impl Progress {
    /// Of `what`, with so many bytes if that is known. `quiet` shows nothing.
    pub fn new(what: &'static str, total: Option<u64>, quiet: bool) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        let template = if total.is_some() { KNOWN } else { UNKNOWN };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        let shown = !quiet && io::stderr().is_terminal();
        Self {
            done: Arc::default(),
            bar,
            show_at: shown.then(|| Instant::now() + SHORT),
        }
    }

    /// So many bytes more are done.
    pub fn add(&mut self, bytes: usize) {
        let done = self.done.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if self.show_at.is_some_and(|time| Instant::now() >= time) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.show_at = None;
        }
        self.bar.set_position(done);
    }

    /// The bytes done, and the line, for another thread.
    pub fn watcher(&self) -> Watcher {
        Watcher {
            done: Arc::clone(&self.done),
            bar: self.bar.clone(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Somebody else's view of a transfer.
#[derive(Clone, Debug)]
pub struct Watcher {
    done: Arc<AtomicU64>,
    bar: ProgressBar,
}

impl Watcher {
    /// Clears the line and says how many bytes are done.
    pub fn stop(self) -> u64 {
        self.bar.finish_and_clear();
        self.done.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_understood() {
        assert!(ProgressStyle::with_template(KNOWN).is_ok());
        assert!(ProgressStyle::with_template(UNKNOWN).is_ok());
    }

    #[test]
    fn counts() {
        let mut progress = Progress::new("reading", Some(10), true);
        progress.add(3);
        progress.add(4);
        assert_eq!(progress.watcher().stop(), 7);
    }
}
