// SPDX-License-Identifier: MIT OR Apache-2.0

//! Forced destruction: the exporter unmaps the memory, against destroy, rebind and the removal of
//! the notifier that watches the memory.
//!
//! # Invariant
//!
//! When the exporter's unmapping returns, no importer reaches what was unmapped, nor will. Memory
//! is unpinned exactly once, and only when no importer reaches it. A segment whose memory is still
//! mapped is not destroyed, and one that was destroyed stays so. Nothing waits for ever.
//!
//! # Steps
//!
//! Each memory has a watch, an interval notifier with a state behind a spinlock: Forming, Armed or
//! Off.
//!
//! ```text
//! loss          mmap lock for writing (see [`Loss`]); invalidation begins, with a call to each
//!               notifier that is in; exporter's own entries go; invalidation ends; release
//! callback      Forming: note the loss. Off: nothing. Armed: queue the work, wait for its
//!               completion, which happens once and for good
//! work          life for writing; is the watch's memory the segment's? then dead, zap, take the
//!               memory out, Off; release; unpin; complete all
//! destroy       life for writing; dead, zap, take the memory out, watch Off; release; unpin;
//!               remove the notifier
//! rebind        new watch, Forming: insert the notifier; wait until no invalidation runs; look at
//!               the mappings; pin
//!               life for writing; dead? lost? (then give all back); Armed; swap; zap; old watch
//!               Off; release; unpin the old; remove its notifier
//! insert        not called for invalidations that have begun
//! remove        takes the notifier out; waits until no invalidation runs
//! ```
//!
//! The last two are as in the kernel's `mm/mmu_notifier.c`: removal waits for the end of the whole
//! invalidation, not only for the callback.
//!
//! # What each order is for
//!
//! - Off comes after the zap: who sees Off returns at once. It need not be under the life lock: who
//!   still sees Armed queues work, which finds another memory or none.
//! - Loss is asked for, and Armed set, under one hold of the spinlock and of the life lock. Before
//!   it, the work would find another memory, complete, and the new memory come in afterwards; after
//!   it, importers would reach the memory while the callback takes note only.
//! - Completion follows the release of the life lock. It need not wait for the unpinning, which
//!   sleeps: see [`Variant`].
//!
//! # Left out
//!
//! Creation, which is rebind without an old memory and with nobody to reach it. Faults that are
//! under way: `fault_revoke`. An importer is assumed to touch the segment at the worst moments.
//! References that keep watch and segment.
//!
//! Invalidations that do not hold the mmap lock for writing (`MADV_DONTNEED`, a hole punched into a
//! file) get no waiting callback from the module, once Armed; here they do, so that one invariant
//! serves both. They are why rebind waits after it has inserted the notifier. For those that hold
//! the lock it need not: it looks at the mappings, under the lock, after that.

use crate::frame::Entry;
use crate::rwsem::RwSem;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::Arc;

/// Memory of the segment at first.
const OLD: usize = 0;
/// Memory after rebind.
const NEW: usize = 1;

/// The step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// None.
    Nothing,
    /// The callback waits for the work.
    Wait,
    /// All that wait for the work are woken.
    CompleteAll,
    /// The work asks whether the memory is still the segment's.
    IsCurrent,
    /// The work leaves the removal of the notifier to others.
    RemoveElsewhere,
    /// Off is set after the zap.
    OffAfterZap,
    /// The zap comes before the life lock is released.
    ZapUnderLife,
    /// Memory is taken out under the life lock.
    TakeUnderLife,
    /// Notifiers are removed with no lock held.
    RemoveUnlocked,
    /// Memory is pinned, and its mappings looked at, with no lock held.
    PinUnlocked,
    /// Rebind inserts the notifier before it looks at the mappings.
    InsertBeforePin,
    /// Rebind waits, once the notifier is in, until no invalidation runs.
    ReadBegin,
    /// Rebind asks under the life lock whether the segment is dead.
    AskDead,
    /// Rebind asks for loss.
    AskLost,
    /// Loss is asked for, and Armed set, under one hold of the spinlock.
    ArmAtOnce,
    /// Armed is not set before the life lock is taken.
    ArmNotBeforeLife,
    /// Armed is not set after the life lock is released.
    ArmNotAfterLife,
}

/// Orders that are not needed: variants that hold all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As documented.
    Plain,
    /// The work completes before it unpins.
    CompleteEarly,
    /// Off is set after the release of the life lock.
    OffUnlocked,
    /// Off is never set.
    NeverOff,
}

/// How the exporter loses memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// munmap: the mapping goes with the mmap lock held for writing, the rest is done with it held
    /// for reading.
    Munmap,
    /// mremap, mprotect: with the mmap lock held for writing throughout.
    Mremap,
    /// `MADV_DONTNEED`, a hole punched into a file: without the lock, and the mapping stays.
    Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Forming { lost: bool },
    Armed,
    Off,
}

struct Watch {
    /// And whether the work is queued.
    state: Mutex<(State, bool)>,
    complete: Mutex<bool>,
    completion: Condvar,
}

impl Watch {
    fn new(state: State) -> Self {
        Self {
            state: Mutex::new((state, false)),
            complete: Mutex::new(false),
            completion: Condvar::new(),
        }
    }

    fn set(&self, state: State) {
        self.state.lock().unwrap().0 = state;
    }
}

/// What the life lock guards.
struct Life {
    /// The memory; `None` when dead.
    memory: Option<usize>,
    /// The watch that has not been removed yet.
    watch: Option<usize>,
}

/// The exporter's notifiers.
struct Notifiers {
    inside: [bool; 2],
    /// Called from the next invalidation on.
    deferred: [bool; 2],
    /// Invalidations that run.
    running: usize,
}

struct World {
    without: Without,
    variant: Variant,
    life: RwSem<Life>,
    watches: [Watch; 2],
    /// An importer's entry.
    entry: Entry,
    /// The exporter's mmap lock, and which memory it has mappings of.
    mmap: RwSem<[bool; 2]>,
    notifiers: Mutex<Notifiers>,
    invalidation_ends: Condvar,
    /// Which memory the exporter's page tables lead to.
    present: Mutex<[bool; 2]>,
    pins: [AtomicUsize; 2],
    unpins: [AtomicUsize; 2],
}

impl World {
    fn new(without: Without, variant: Variant) -> Arc<Self> {
        Arc::new(Self {
            without,
            variant,
            life: RwSem::new(Life {
                memory: Some(OLD),
                watch: Some(OLD),
            }),
            watches: [
                Watch::new(State::Armed),
                Watch::new(State::Forming { lost: false }),
            ],
            entry: Entry::new(Some(OLD)),
            mmap: RwSem::new([true; 2]),
            notifiers: Mutex::new(Notifiers {
                inside: [true, false],
                deferred: [false; 2],
                running: 0,
            }),
            invalidation_ends: Condvar::new(),
            present: Mutex::new([true; 2]),
            pins: [AtomicUsize::new(1), AtomicUsize::new(0)],
            unpins: [AtomicUsize::new(0), AtomicUsize::new(0)],
        })
    }

    fn has(&self, step: Without) -> bool {
        self.without != step
    }

    /// An importer touches the segment.
    fn touch(&self) {
        let life = self.life.read();
        if let Some(memory) = life.memory {
            self.entry.fill(memory);
        }
    }

    /// The exporter loses `memory`.
    fn lose(self: &Arc<Self>, memory: usize, loss: Loss) {
        let mut written = (loss != Loss::Replaced).then(|| {
            let mut mmap = self.mmap.write();
            mmap[memory] = false;
            mmap
        });
        // Not at once, as the kernel has it, but that only admits more.
        let read = (loss == Loss::Munmap).then(|| {
            drop(written.take());
            self.mmap.read()
        });
        let inside = {
            let mut notifiers = self.notifiers.lock().unwrap();
            notifiers.running += 1;
            notifiers.inside[memory]
        };
        let work = inside.then(|| self.callback(memory)).flatten();
        self.present.lock().unwrap()[memory] = false;
        {
            let mut notifiers = self.notifiers.lock().unwrap();
            notifiers.running -= 1;
            if notifiers.running == 0 {
                for memory in [OLD, NEW] {
                    notifiers.inside[memory] |= notifiers.deferred[memory];
                    notifiers.deferred[memory] = false;
                }
            }
            self.invalidation_ends.notify_all();
        }
        drop((read, written));
        // An importer that has the entry, and one that faults.
        assert_ne!(self.entry.get(), Some(memory), "reached after unmapping");
        self.touch();
        assert_ne!(self.entry.get(), Some(memory), "reached after unmapping");
        if let Some(work) = work {
            work.join().unwrap();
        }
    }

    /// Returns the work, if it was queued here, for the model's end only.
    fn callback(self: &Arc<Self>, memory: usize) -> Option<JoinHandle<()>> {
        let watch = &self.watches[memory];
        let mut state = watch.state.lock().unwrap();
        let work = match state.0 {
            State::Forming { .. } => {
                state.0 = State::Forming { lost: true };
                return None;
            }
            State::Off => return None,
            State::Armed if state.1 => None,
            State::Armed => {
                state.1 = true;
                let world = self.clone();
                Some(thread::spawn(move || world.work(memory)))
            }
        };
        drop(state);
        if self.has(Without::Wait) {
            let mut complete = watch.complete.lock().unwrap();
            while !*complete {
                complete = watch.completion.wait(complete).unwrap();
            }
            if !self.has(Without::CompleteAll) {
                *complete = false;
            }
        }
        work
    }

    fn work(&self, memory: usize) {
        let watch = &self.watches[memory];
        watch.state.lock().unwrap().1 = false;
        let taken = {
            let mut life = self.life.write();
            if life.memory == Some(memory) || !self.has(Without::IsCurrent) {
                self.take(&mut life, None)
            } else {
                None
            }
        };
        self.after_release(taken);
        if !self.has(Without::RemoveElsewhere) {
            self.remove(memory);
        }
        if self.variant != Variant::CompleteEarly {
            self.unpin(taken);
        }
        {
            let mut complete = watch.complete.lock().unwrap();
            *complete = true;
            if self.has(Without::CompleteAll) {
                watch.completion.notify_all();
            } else {
                watch.completion.notify_one();
            }
        }
        if self.variant == Variant::CompleteEarly {
            self.unpin(taken);
        }
    }

    /// Puts other memory, or none, behind the segment, and returns what was there.
    fn take(&self, life: &mut Life, other: Option<usize>) -> Option<usize> {
        let old = life.memory;
        if self.has(Without::TakeUnderLife) {
            life.memory = other;
        }
        let off = self.variant == Variant::Plain || self.variant == Variant::CompleteEarly;
        if off && !self.has(Without::OffAfterZap) {
            self.off(old);
        }
        if self.has(Without::ZapUnderLife) {
            self.entry.zap();
        }
        if off && self.has(Without::OffAfterZap) {
            self.off(old);
        }
        old
    }

    fn off(&self, memory: Option<usize>) {
        if let Some(memory) = memory {
            self.watches[memory].set(State::Off);
        }
    }

    /// What follows the release of the life lock in variants and mutants.
    fn after_release(&self, old: Option<usize>) {
        if !self.has(Without::ZapUnderLife) && old.is_some() {
            self.entry.zap();
        }
        if self.variant == Variant::OffUnlocked {
            self.off(old);
        }
        if !self.has(Without::TakeUnderLife) && old.is_some() {
            self.life.write().memory = None;
        }
    }

    fn unpin(&self, memory: Option<usize>) {
        let Some(memory) = memory else { return };
        assert_ne!(self.entry.get(), Some(memory), "unpinned while reached");
        let before = self.unpins[memory].fetch_add(1, Relaxed);
        assert!(before < self.pins[memory].load(Relaxed), "unpinned twice");
    }

    fn insert(&self, memory: usize) {
        let mut notifiers = self.notifiers.lock().unwrap();
        if notifiers.running > 0 {
            notifiers.deferred[memory] = true;
        } else {
            notifiers.inside[memory] = true;
        }
    }

    fn wait_for_invalidations(&self) {
        let mut notifiers = self.notifiers.lock().unwrap();
        while notifiers.running > 0 {
            notifiers = self.invalidation_ends.wait(notifiers).unwrap();
        }
    }

    fn remove(&self, memory: usize) {
        {
            let mut notifiers = self.notifiers.lock().unwrap();
            notifiers.inside[memory] = false;
            notifiers.deferred[memory] = false;
        }
        self.wait_for_invalidations();
    }

    fn destroy(&self) {
        let (old, watch) = {
            let mut life = self.life.write();
            let old = self.take(&mut life, None);
            let watch = life.watch.take();
            if !self.has(Without::RemoveUnlocked) {
                self.remove(OLD);
            }
            (old, watch)
        };
        self.after_release(old);
        self.unpin(old);
        if let Some(watch) = watch {
            self.remove(watch);
        }
    }

    /// Looks at the mappings, under the mmap lock, and pins what the page tables lead to, without.
    /// Returns whether it was all there.
    fn pin(&self) -> bool {
        let mapped = self.mmap.read()[NEW];
        let pinned = mapped && self.present.lock().unwrap()[NEW];
        if pinned {
            self.pins[NEW].fetch_add(1, Relaxed);
        }
        pinned
    }

    /// Whether the new memory has been lost; arms its watch if not.
    fn arm(&self) -> Result<(), ()> {
        let watch = &self.watches[NEW];
        let mut state = watch.state.lock().unwrap();
        if state.0 == (State::Forming { lost: true }) && self.has(Without::AskLost) {
            return Err(());
        }
        if !self.has(Without::ArmAtOnce) {
            drop(state);
            state = watch.state.lock().unwrap();
        }
        state.0 = State::Armed;
        Ok(())
    }

    /// Returns whether the segment has the new memory.
    fn rebind(&self) -> bool {
        if self.has(Without::InsertBeforePin) {
            self.insert(NEW);
            if self.has(Without::ReadBegin) {
                self.wait_for_invalidations();
            }
        }
        let locked = (!self.has(Without::PinUnlocked)).then(|| self.life.read());
        let pinned = self.pin();
        drop(locked);
        if !self.has(Without::InsertBeforePin) {
            self.insert(NEW);
            self.wait_for_invalidations();
        }
        if !pinned {
            self.remove(NEW);
            return false;
        }
        let early = (!self.has(Without::ArmNotBeforeLife)).then(|| self.arm());
        let swapped = {
            let mut life = self.life.write();
            let armed = if !self.has(Without::ArmNotAfterLife) {
                Ok(())
            } else if life.memory.is_none() && self.has(Without::AskDead) {
                Err(())
            } else {
                early.unwrap_or_else(|| self.arm())
            };
            let dead = life.memory.is_none() && self.has(Without::AskDead);
            armed.ok().filter(|()| !dead).map(|()| {
                let old = self.take(&mut life, Some(NEW));
                let watch = life.watch.replace(NEW);
                if !self.has(Without::RemoveUnlocked) {
                    self.remove(OLD);
                }
                (old, watch)
            })
        };
        if !self.has(Without::ArmNotAfterLife) && swapped.is_some() {
            let _ = self.arm();
        }
        let Some((old, watch)) = swapped else {
            self.unpin(Some(NEW));
            self.remove(NEW);
            return false;
        };
        self.after_release(old);
        self.unpin(old);
        if let Some(watch) = watch {
            self.remove(watch);
        }
        true
    }

    /// The last close; after that all is as before.
    fn close(&self) {
        self.destroy();
        for memory in [OLD, NEW] {
            let (pins, unpins) = (&self.pins[memory], &self.unpins[memory]);
            assert_eq!(pins.load(Relaxed), unpins.load(Relaxed), "pins left");
        }
        let notifiers = self.notifiers.lock().unwrap();
        assert_eq!(notifiers.inside, [false; 2], "notifier left");
    }
}

/// Starts a thread in which the exporter loses `memory`.
fn losing(world: &Arc<World>, memory: usize, loss: Loss) -> JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || world.lose(memory, loss))
}

/// Loss against destroy.
pub fn destroy(without: Without, variant: Variant) {
    let world = World::new(without, variant);
    let exporter = losing(&world, OLD, Loss::Mremap);
    world.destroy();
    exporter.join().unwrap();
    world.close();
}

/// Loss of the old memory against rebind.
pub fn rebind_from(without: Without, variant: Variant) {
    let world = World::new(without, variant);
    let exporter = losing(&world, OLD, Loss::Mremap);
    let success = world.rebind();
    exporter.join().unwrap();
    let memory = world.life.read().memory;
    assert_eq!(memory.is_some(), success, "destroyed with memory in place");
    world.close();
}

/// Loss of the new memory against rebind.
pub fn rebind_to(loss: Loss, without: Without, variant: Variant) {
    let world = World::new(without, variant);
    let exporter = losing(&world, NEW, loss);
    let success = world.rebind();
    exporter.join().unwrap();
    let memory = world.life.read().memory;
    assert!(
        success || memory == Some(OLD),
        "destroyed with memory in place"
    );
    world.close();
}

/// Two losses at once, and the last close after them.
pub fn two_losses(without: Without, variant: Variant) {
    let world = World::new(without, variant);
    let exporter = losing(&world, OLD, Loss::Mremap);
    world.lose(OLD, Loss::Replaced);
    exporter.join().unwrap();
    world.close();
}

/// Loss of a memory against rebind and destroy.
pub fn rebind_and_destroy(memory: usize, without: Without, variant: Variant) {
    let world = World::new(without, variant);
    let exporter = losing(&world, memory, Loss::Mremap);
    let other = {
        let world = world.clone();
        thread::spawn(move || world.destroy())
    };
    world.rebind();
    exporter.join().unwrap();
    other.join().unwrap();
    assert_eq!(world.life.read().memory, None, "alive after destroy");
    world.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{must_fail_within, must_hold, must_hold_within};
    use Loss::*;
    use Variant::*;
    use Without::*;

    /// A scenario.
    type Model = fn(Without, Variant);

    const REACHED: &str = "reached after unmapping|unpinned while reached";
    const STUCK: &str = "deadlock";

    /// Within a number of preemptions: the whole space of all these takes some five minutes, of
    /// `rebind_and_destroy` more.
    fn all_hold(name: &str, preemptions: usize, model: Model) {
        for variant in [Plain, CompleteEarly, OffUnlocked, NeverOff] {
            must_hold_within(&format!("{name}, {variant:?}"), preemptions, move || {
                model(Nothing, variant)
            });
        }
    }

    fn all_fail(name: &str, model: Model, mutants: &[(Without, &str)]) {
        for &(without, expected) in mutants {
            must_fail_within(&format!("{name}, {without:?}"), 3, expected, move || {
                model(without, Plain)
            });
        }
    }

    #[test]
    fn destroy_holds() {
        must_hold("loss, destroy", || destroy(Nothing, Plain));
        all_hold("loss, destroy", 4, destroy);
    }

    #[test]
    fn rebind_from_holds() {
        all_hold("loss of old, rebind", 4, rebind_from);
    }

    #[test]
    fn rebind_to_holds() {
        all_hold("loss of new, rebind, munmap", 4, |without, variant| {
            rebind_to(Munmap, without, variant)
        });
        all_hold("loss of new, rebind, mremap", 4, |without, variant| {
            rebind_to(Mremap, without, variant)
        });
        all_hold("loss of new, rebind, replaced", 4, |without, variant| {
            rebind_to(Replaced, without, variant)
        });
    }

    /// What takes the mapping away under the mmap lock is seen by the look at the mappings.
    #[test]
    fn rebind_to_unmapped_needs_no_wait() {
        for loss in [Munmap, Mremap] {
            must_hold_within(&format!("loss of new, {loss:?}, no wait"), 4, move || {
                rebind_to(loss, ReadBegin, Plain)
            });
        }
    }

    #[test]
    fn two_losses_hold() {
        all_hold("two losses", 3, two_losses);
    }

    #[test]
    fn rebind_and_destroy_hold() {
        for memory in [OLD, NEW] {
            must_hold_within(
                &format!("loss of {memory}, rebind, destroy"),
                3,
                move || rebind_and_destroy(memory, Nothing, Plain),
            );
        }
    }

    #[test]
    fn rebind_and_destroy_mutant_fails() {
        all_fail(
            "loss, rebind, destroy",
            |without, variant| rebind_and_destroy(OLD, without, variant),
            &[(AskDead, "alive after destroy")],
        );
    }

    #[test]
    fn destroy_mutants_fail() {
        all_fail(
            "loss, destroy",
            destroy,
            &[
                (Wait, REACHED),
                (RemoveElsewhere, STUCK),
                (OffAfterZap, REACHED),
                (ZapUnderLife, REACHED),
                (TakeUnderLife, "unpinned twice|reached after unmapping"),
                (RemoveUnlocked, STUCK),
            ],
        );
    }

    #[test]
    fn rebind_from_mutants_fail() {
        all_fail(
            "loss of old, rebind",
            rebind_from,
            &[
                (Wait, REACHED),
                (IsCurrent, "destroyed with memory in place"),
                (RemoveElsewhere, STUCK),
                (OffAfterZap, REACHED),
                (ZapUnderLife, REACHED),
                (RemoveUnlocked, STUCK),
                (PinUnlocked, STUCK),
            ],
        );
    }

    #[test]
    fn rebind_to_mutants_fail() {
        all_fail(
            "loss of new, rebind, munmap",
            |without, variant| rebind_to(Munmap, without, variant),
            &[
                (InsertBeforePin, REACHED),
                (AskLost, REACHED),
                (ArmAtOnce, REACHED),
                (ArmNotBeforeLife, REACHED),
                (ArmNotAfterLife, REACHED),
            ],
        );
        all_fail(
            "loss of new, rebind, replaced",
            |without, variant| rebind_to(Replaced, without, variant),
            &[(ReadBegin, REACHED)],
        );
    }

    #[test]
    fn two_losses_mutant_fails() {
        all_fail("two losses", two_losses, &[(CompleteAll, STUCK)]);
    }
}
