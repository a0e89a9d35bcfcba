// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mremap, which moves entries, against revocation (`mapping.rs`, `kernel/vma.rs`).
//!
//! # Invariant
//!
//! When revoke has returned, neither place has an entry for the segment, nor will.
//!
//! # Steps
//!
//! ```text
//! mremap        mmap lock and old mapping for writing
//!               open hook: zap the mappings that it may move from
//!               i_mmap for writing: link the new mapping
//!               move: 4 KiB: make the new page table; both page-table locks; read and clear the
//!               old entry; set the new one
//! fault, revoke, zap    as in `fork_copy`
//! ```
//!
//! # Left out
//!
//! Whole page tables that move, which the kernel does under `i_mmap_rwsem`. Faults in the new place
//! before mremap is done: they would need the mmap lock. How the hook finds the old mappings.

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
    /// The hook empties the old place before the move.
    HookBeforeMove,
    /// Faults on the old mapping are excluded meanwhile.
    FaultsExcluded,
    /// The hook, but the kernel moves the entry with `i_mmap_rwsem` held, as it should.
    HookInFixedKernel,
}

/// A move and a fault of another thread, against a revocation.
pub fn mremap(size: Size, new_first: bool, without: Without) {
    let world = Arc::new(World::new(size, new_first));
    let mover = {
        let world = world.clone();
        thread::spawn(move || relocate(&world, without))
    };
    let other = {
        let world = world.clone();
        thread::spawn(move || world.fault(without != Without::FaultsExcluded))
    };
    world.revoke();
    mover.join().unwrap();
    other.join().unwrap();
    world.check();
}

fn relocate(world: &World, without: Without) {
    let hook = || world.old.zap(world.size);
    let _mmap = world.mmap.write();
    if matches!(without, Without::Nothing | Without::FaultsExcluded) {
        hook();
    }
    world.link();
    let i_mmap = (without == Without::HookInFixedKernel).then(|| world.i_mmap.write());
    world.new.install_table(world.size);
    let old_locked = world.old.lock();
    let new_locked = world.new.lock();
    let value = world.old.get();
    if value != EMPTY {
        world.old.set(&old_locked, EMPTY);
        world.new.set(&new_locked, value);
    }
    drop((new_locked, old_locked));
    drop(i_mmap);
    if without == Without::HookBeforeMove {
        hook();
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
        for new_first in [false, true] {
            must_hold(
                &format!("mremap, 2 MiB, new first: {new_first}"),
                move || mremap(Huge, new_first, Nothing),
            );
        }
    }

    /// Without the hook, small entries lean on the order in which the zap visits the mappings, huge
    /// ones on nothing, unless the kernel kept the zap out.
    #[test]
    fn holds_without_hook_where_zap_is_kept_out() {
        must_hold("mremap, 4 KiB, no hook", || mremap(Small, false, Hook));
        must_hold("mremap, 2 MiB, no hook, fixed kernel", || {
            mremap(Huge, true, HookInFixedKernel)
        });
    }

    #[test]
    fn small_mutant_fails() {
        must_fail("mremap, 4 KiB, no hook, new first", LEFT, || {
            mremap(Small, true, Hook)
        });
    }

    #[test]
    fn huge_mutants_fail() {
        for without in [Hook, HookBeforeMove, FaultsExcluded] {
            must_fail(&format!("mremap, 2 MiB, {without:?}"), LEFT, move || {
                mremap(Huge, false, without)
            });
        }
    }
}
