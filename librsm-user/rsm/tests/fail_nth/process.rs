// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that have windows and segments: fork, exit.

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{waitpid, WaitStatus};
use nix::unistd::Pid;

use crate::common::pair::{Pair, OLD};
use crate::common::process::in_child;
use crate::common::soak;
use crate::injection::{Injection, Scope, Spell};
use crate::skipped;
use crate::state::State;
use crate::sweep::Sweep;

/// Forks a child that does nothing.
fn fork() -> Result<Pid, Errno> {
    // SAFETY: the child ends at once.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::last()),
        // SAFETY: runs nothing that belongs to the parent.
        0 => unsafe { libc::_exit(0) },
        pid => Ok(Pid::from_raw(pid)),
    }
}

#[test]
fn fork_with_windows() {
    if skipped() {
        return;
    }
    let pair = Pair::new(2);
    let kept = || pair.window.assert_marked(OLD, 0);
    // It makes hundreds of allocations, and each round takes long.
    let sweep = Sweep::of("fork").not_again().check(&kept);
    let sweep = if soak() { sweep } else { sweep.single() };
    let tally = sweep.run(
        || (),
        |()| fork(),
        |(), child| {
            let status = waitpid(child, None).expect("wait");
            assert_eq!(status, WaitStatus::Exited(child, 0));
            pair.window.assert_marked(OLD, 0);
        },
    );
    tally.assert_failed(20, 0);
    pair.destroy();
    pair.window.assert_zero();
}

/// Nobody is told what fails in a process that ends.
#[test]
fn exit() {
    if skipped() {
        return;
    }
    let injection = Injection::new(Scope::Module);
    let state = State::now();
    for nth in 1..10 {
        in_child(|| {
            let pair = Pair::new(2);
            let window = pair.connect();
            injection.of_child().arm(nth, Spell::Lasting);
            std::mem::forget((pair, window));
        });
        state.assert_unchanged("exit", &format!("fault {nth} may have struck"));
    }
}
