// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fork, which copies entries, against revocation (`mapping.rs`, `kernel/vma.rs`).
//!
//! # Invariant
//!
//! When revoke has returned, neither the parent's nor the child's mapping has an entry for the
//! segment, nor will.
//!
//! # Steps
//!
//! ```text
//! fork          the parent's mmap lock and mapping for writing
//!               open hook: zap the parent's mapping
//!               i_mmap for writing: link the child's mapping
//!               copy: 2 MiB: read the parent's entry without its lock; both page-table locks;
//!                            set the child's to the value read
//!                     4 KiB: make the child's page table; both page-table locks; read; set
//! fault         the parent's mmap lock or mapping for reading; life for reading; live?; fill
//! revoke        life for writing; dead; i_mmap for reading: zap the parent's, the child's
//! zap           2 MiB entry empty, or no page table? then done, all without lock
//!               page-table lock; empty it
//! ```
//!
//! # Left out
//!
//! The child does not run. One entry stands for all.

use crate::pmd::{Size, World, EMPTY};
use loom::thread;
use std::sync::Arc;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None.
    Nothing,
    /// The open hook.
    Hook,
    /// The hook empties the mapping before the copy.
    HookBeforeCopy,
    /// Faults on the parent's mapping are excluded meanwhile.
    FaultsExcluded,
    /// The hook, and the child's mapping is linked before the copy.
    HookAndLinkBeforeCopy,
    /// The hook, but the kernel reads the 2 MiB entry again under the lock, as it should.
    HookInFixedKernel,
}

/// A fork and a fault of another thread of the parent, against a revocation.
pub fn fork(size: Size, without: Without) {
    let world = Arc::new(World::new(size, false));
    let forker = {
        let world = world.clone();
        thread::spawn(move || duplicate(&world, without))
    };
    let other = {
        let world = world.clone();
        thread::spawn(move || world.fault(without != Without::FaultsExcluded))
    };
    world.revoke();
    forker.join().unwrap();
    other.join().unwrap();
    world.check();
}

fn duplicate(world: &World, without: Without) {
    let hook = || world.old.zap(world.size);
    let _mmap = world.mmap.write();
    let late_link = without == Without::HookAndLinkBeforeCopy;
    if matches!(without, Without::Nothing | Without::FaultsExcluded) {
        hook();
    }
    if !late_link {
        world.link();
    }
    copy(
        world,
        world.size == Size::Huge && without != Without::HookInFixedKernel,
    );
    if late_link {
        world.link();
    }
    if without == Without::HookBeforeCopy {
        hook();
    }
}

fn copy(world: &World, read_unlocked: bool) {
    let unlocked = read_unlocked.then(|| world.old.get());
    if unlocked == Some(EMPTY) {
        return;
    }
    world.new.install_table(world.size);
    let locked = world.new.lock();
    let _old_locked = world.old.lock();
    let value = unlocked.unwrap_or_else(|| world.old.get());
    if value != EMPTY {
        world.new.set(&locked, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{must_fail, must_hold};
    use crate::pmd::LEFT;
    use Size::*;
    use Without::*;

    #[test]
    fn huge_holds() {
        must_hold("fork, 2 MiB", || fork(Huge, Nothing));
    }

    /// Small entries need no hook; neither would huge ones, if the kernel read them again.
    #[test]
    fn holds_without_hook_where_read_under_lock() {
        must_hold("fork, 4 KiB, no hook", || fork(Small, Hook));
        must_hold("fork, 2 MiB, no hook, fixed kernel", || {
            fork(Huge, HookInFixedKernel)
        });
    }

    #[test]
    fn small_mutant_fails() {
        must_fail("fork, 4 KiB, no hook, late link", LEFT, || {
            fork(Small, HookAndLinkBeforeCopy)
        });
    }

    #[test]
    fn huge_mutants_fail() {
        for without in [Hook, HookBeforeCopy, FaultsExcluded] {
            must_fail(&format!("fork, 2 MiB, {without:?}"), LEFT, move || {
                fork(Huge, without)
            });
        }
    }
}
