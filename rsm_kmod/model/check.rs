// SPDX-License-Identifier: MIT OR Apache-2.0

//! Running a model.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// Runs `model` through every interleaving. Panics in the first that fails.
pub fn must_hold(name: &str, model: impl Fn() + Send + Sync + 'static) {
    explore(name, None, model);
}

/// As [`must_hold`], but only the interleavings in which a thread that could go on is set aside at
/// most `preemptions` times. For models whose whole space takes too long; with `RSM_MODEL_FULL` in
/// the environment it is run through all the same.
pub fn must_hold_within(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let bound = std::env::var_os("RSM_MODEL_FULL").is_none();
    explore(name, bound.then_some(preemptions), model);
}

/// Runs `model` until an interleaving fails, and panics if none does. The failure must be the
/// expected one: its message contains one of `expected`, which are separated by `|`.
pub fn must_fail(name: &str, expected: &str, model: impl Fn() + Send + Sync + 'static) {
    fails(name, None, expected, model);
}

/// As [`must_fail`], with the bound of [`must_hold_within`], which finds the failure sooner.
pub fn must_fail_within(
    name: &str,
    preemptions: usize,
    expected: &str,
    model: impl Fn() + Send + Sync + 'static,
) {
    fails(name, Some(preemptions), expected, model);
}

fn fails(
    name: &str,
    preemptions: Option<usize>,
    expected: &str,
    model: impl Fn() + Send + Sync + 'static,
) {
    // Loom's threads are coroutines of this one, so that their panics unwind to here. What they
    // leave behind is leaked, by themselves: `catch_unwind` sees nothing half done.
    let result = catch_unwind(AssertUnwindSafe(|| explore(name, preemptions, model)));
    let Err(payload) = result else {
        panic!("{name}: no interleaving fails");
    };
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("");
    assert!(
        expected.split('|').any(|part| message.contains(part)),
        "{name}: fails otherwise than by \"{expected}\": {message}"
    );
}

fn explore(name: &str, preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(AtomicUsize::new(0));
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 2_000;
    builder.preemption_bound = preemptions;
    let counter = Report(name.to_owned(), executions.clone());
    builder.check(move || {
        executions.fetch_add(1, Relaxed);
        model();
    });
    drop(counter);
}

/// Says how many interleavings there were, with `--nocapture`.
struct Report(String, Arc<AtomicUsize>);

impl Drop for Report {
    fn drop(&mut self) {
        eprintln!("{}: {} interleavings", self.0, self.1.load(Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::{Condvar, Mutex};
    use loom::thread;
    use std::sync::Mutex as Plain;

    /// Sleeps for ever where `stuck`.
    fn sleeper(stuck: bool) {
        let pair = Arc::new((Mutex::new(!stuck), Condvar::new()));
        let other = pair.clone();
        let thread = thread::spawn(move || {
            let mut awake = other.0.lock().unwrap();
            while !*awake {
                awake = other.1.wait(awake).unwrap();
            }
        });
        thread.join().unwrap();
    }

    #[test]
    fn deadlock_with_lock_held_is_a_failure() {
        must_fail("deadlock", "deadlock", || {
            let lock = crate::rwsem::RwSem::new(());
            let _held = lock.write();
            sleeper(true);
        });
    }

    #[test]
    fn failure_in_a_thread_is_a_failure() {
        must_fail("panic", "odd", || {
            thread::spawn(|| panic!("odd")).join().unwrap();
        });
    }

    #[test]
    #[should_panic(expected = "no interleaving fails")]
    fn model_that_holds_does_not_fail() {
        must_fail("holds", "deadlock", || sleeper(false));
    }

    #[test]
    #[should_panic(expected = "fails otherwise")]
    fn other_failure_does_not_count() {
        must_fail("odd", "deadlock", || panic!("odd"));
    }

    /// Both orders of two threads are tried.
    #[test]
    fn all_orders_are_tried() {
        let seen = Arc::new(Plain::new(std::collections::BTreeSet::new()));
        let orders = seen.clone();
        must_hold("orders", move || {
            let order = Arc::new(Mutex::new(Vec::new()));
            let threads = [1, 2].map(|name| {
                let order = order.clone();
                thread::spawn(move || order.lock().unwrap().push(name))
            });
            for thread in threads {
                thread.join().unwrap();
            }
            orders.lock().unwrap().insert(order.lock().unwrap().clone());
        });
        assert_eq!(seen.lock().unwrap().len(), 2);
    }
}
