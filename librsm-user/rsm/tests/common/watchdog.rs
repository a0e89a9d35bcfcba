// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ends a test that hangs, and says where it hung.

use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ends the process with a failure unless [`feed`](Self::feed) is called in time, until it
/// is dropped.
#[derive(Debug)]
pub struct Watchdog {
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    fed: AtomicU64,
    done: AtomicBool,
}

impl Watchdog {
    /// Watches over the calling process and its descendants. `describe` adds what the test
    /// knows.
    pub fn start(limit: Duration, describe: impl Fn() -> String + Send + 'static) -> Self {
        let state = Arc::new(State::default());
        let watched = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            while !watched.done.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(500));
                let fed = watched.fed.load(Ordering::Relaxed);
                if fed != last {
                    (last, since) = (fed, Instant::now());
                }
                if since.elapsed() > limit {
                    bark(limit, &describe());
                }
            }
        });
        Self {
            state,
            thread: Some(thread),
        }
    }

    /// The test is getting on.
    pub fn feed(&self) {
        self.state.fed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.state.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            thread.join().expect("the watchdog only watches");
        }
    }
}

/// Reports and ends the process. Children die with it.
fn bark(limit: Duration, description: &str) -> ! {
    let mut report = format!("\nwatchdog: no progress for {limit:?}\n{description}\n");
    for task in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = task.path();
        let ours = fs::read_to_string(path.join("cmdline")).is_ok_and(|line| !line.is_empty());
        if !ours {
            continue;
        }
        for thread in fs::read_dir(path.join("task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let read = |name| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
            report += &format!(
                "{}: {}{}",
                thread.path().display(),
                read("stat"),
                read("stack")
            );
        }
    }
    // Not `eprintln`, which the test harness keeps to itself.
    let _ = std::io::stderr().write_all(report.as_bytes());
    std::process::exit(101)
}
