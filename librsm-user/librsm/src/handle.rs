// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles: numbers that look like pointers to C, and name objects of this library.
//!
//! A handle is made of the kind of object, its slot in a table, and a generation that
//! changes whenever the slot gets another object. So a handle of the wrong kind, one of an
//! object that is gone, and one that is made up are told from good ones, without
//! touching memory that may not be there. Slots are taken and given back without a lock.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use rsm::{Result, Status};

use crate::chunks::{Chunks, Zeroed, CAPACITY};
use crate::result::fail;
use crate::room::Room;

/// Kinds are odd: no pointer to anything but bytes is a handle.
const KIND_BITS: u32 = 3;
const SLOT_BITS: u32 = 21;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
const SLOT_MASK: u64 = CAPACITY as u64 - 1;
const GENERATION_SHIFT: u32 = KIND_BITS + SLOT_BITS;
const GENERATION_MASK: u64 = u64::MAX >> GENERATION_SHIFT;

const _: () = assert!(CAPACITY == 1 << SLOT_BITS);

/// An object that has a handle.
pub(crate) trait Object: Sync {
    /// Its kind: 1, 3, 5 or 7.
    const KIND: u64;
}

/// The kind that controllers have, which need no slot.
pub(crate) const CONTROLLER: u64 = 1;

/// A handle of this kind.
pub(crate) const fn compose(kind: u64, slot: u64, generation: u64) -> *mut c_void {
    ptr::without_provenance_mut(
        ((generation << GENERATION_SHIFT) | (slot << KIND_BITS) | kind) as usize,
    )
}

/// The generation of a handle without a slot; `None` if it is of another kind.
pub(crate) fn generation(handle: *const c_void, kind: u64) -> Option<u64> {
    let number = handle.addr() as u64;
    let slot_and_kind = number & ((1 << GENERATION_SHIFT) - 1);
    (slot_and_kind == kind).then_some(number >> GENERATION_SHIFT)
}

/// A place for an object. All zero is an empty one that was never used.
struct Slot {
    /// The handle of the object that is here, or 0.
    handle: AtomicU64,
    object: AtomicPtr<c_void>,
    /// Of the latest object.
    generation: AtomicU64,
    /// While it is free: the next free one, and 1, or 0.
    next: AtomicU32,
}

// SAFETY: integers and a pointer.
unsafe impl Zeroed for Slot {}

static SLOTS: Chunks<Slot> = Chunks::new();

/// Slots that were used at some time.
static USED: AtomicU32 = AtomicU32::new(0);

/// The first free slot, and 1, or 0; above 32 bits the number of changes, so that none goes
/// unnoticed.
static FREE: AtomicU64 = AtomicU64::new(0);

/// Takes a slot that was used before.
fn pop_free() -> Option<u32> {
    let mut head = FREE.load(Ordering::Acquire);
    loop {
        let first = (head as u32).checked_sub(1)?;
        let next = SLOTS.get(first as usize)?.next.load(Ordering::Relaxed);
        let new = changed(head, next);
        match FREE.compare_exchange_weak(head, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Some(first),
            Err(now) => head = now,
        }
    }
}

fn push_free(index: u32, slot: &Slot) {
    let mut head = FREE.load(Ordering::Relaxed);
    loop {
        slot.next.store(head as u32, Ordering::Relaxed);
        let new = changed(head, index + 1);
        match FREE.compare_exchange_weak(head, new, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => head = now,
        }
    }
}

const fn changed(head: u64, first: u32) -> u64 {
    ((head >> 32).wrapping_add(1) << 32) | first as u64
}

/// Takes a slot that was never used; none beyond the capacity or without memory.
fn take_fresh() -> Option<u32> {
    let more = |used| SLOTS.get_or_make(used as usize).map(|_| used + 1);
    USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
        .ok()
}

/// All that a handle needs, before there is an object. Dropping it gives it back.
pub(crate) struct Place<T: Object> {
    slot: FreeSlot,
    room: Room<T>,
}

/// A slot that was taken and has no object.
struct FreeSlot {
    index: u32,
    slot: &'static Slot,
}

impl Drop for FreeSlot {
    fn drop(&mut self) {
        push_free(self.index, self.slot);
    }
}

impl<T: Object> Place<T> {
    /// Fails with [`Status::InsufficientMem`].
    pub(crate) fn new() -> Result<Self> {
        let room = Room::new()?;
        let index = pop_free().or_else(take_fresh);
        match index.and_then(|index| Some((index, SLOTS.get(index as usize)?))) {
            Some((index, slot)) => Ok(Self {
                slot: FreeSlot { index, slot },
                room,
            }),
            None => fail(Status::InsufficientMem),
        }
    }

    /// Gives `object` a handle.
    pub(crate) fn fill(self, object: T) -> *mut c_void {
        let Self { slot: free, room } = self;
        let FreeSlot { index, slot } = *ManuallyDrop::new(free);
        let generation = slot.generation.load(Ordering::Relaxed) % GENERATION_MASK + 1;
        slot.generation.store(generation, Ordering::Relaxed);
        let object = Box::into_raw(room.fill(object));
        slot.object.store(object.cast(), Ordering::Relaxed);
        let handle = compose(T::KIND, index.into(), generation);
        slot.handle.store(handle.addr() as u64, Ordering::Release);
        handle
    }
}

#[inline]
fn slot_of(handle: *const c_void, kind: u64) -> Option<(u32, &'static Slot)> {
    let number = handle.addr() as u64;
    let index = (number >> KIND_BITS) & SLOT_MASK;
    let slot = SLOTS.get(index as usize)?;
    (number & KIND_MASK == kind && slot.handle.load(Ordering::Acquire) == number)
        .then_some((index as u32, slot))
}

/// The object of this handle, if there is one and it is a `T`.
///
/// # Safety
///
/// The object must not be removed while what is returned is used.
#[inline]
pub(crate) unsafe fn get<'a, T: Object>(handle: *const c_void) -> Option<&'a T> {
    let (_, slot) = slot_of(handle, T::KIND)?;
    // SAFETY: the kind says that it is a `T`; the caller sees to it that it stays.
    Some(unsafe { &*slot.object.load(Ordering::Relaxed).cast::<T>() })
}

/// Takes the object away from its handle, which is good for nothing from here on.
///
/// # Safety
///
/// Nobody may be using the object.
pub(crate) unsafe fn remove<T: Object>(handle: *const c_void) -> Option<Box<T>> {
    let (index, slot) = slot_of(handle, T::KIND)?;
    let number = handle.addr() as u64;
    slot.handle
        .compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed)
        .ok()?;
    let object = slot.object.swap(ptr::null_mut(), Ordering::Relaxed);
    push_free(index, slot);
    // SAFETY: a box made by `Place::fill`, of this type, and nobody else has taken it.
    Some(unsafe { Box::from_raw(object.cast()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    struct A(u32);
    impl Object for A {
        const KIND: u64 = 3;
    }
    struct B;
    impl Object for B {
        const KIND: u64 = 5;
    }

    fn insert(object: A) -> Result<*mut c_void> {
        Ok(Place::new()?.fill(object))
    }

    fn value(handle: *const c_void) -> Option<u32> {
        // SAFETY: no test removes what another looks at.
        unsafe { get::<A>(handle) }.map(|object| object.0)
    }

    #[test]
    fn good_handles_and_bad_ones() {
        let handle = insert(A(7)).unwrap();
        assert_eq!(value(handle), Some(7));
        // SAFETY: as above.
        unsafe {
            assert!(get::<B>(handle).is_none() && remove::<B>(handle).is_none());
            assert_eq!(remove::<A>(handle).unwrap().0, 7);
            assert!(remove::<A>(handle).is_none(), "taken twice");
        }
        assert_eq!(value(handle), None, "stale");
        let other = insert(A(8)).unwrap();
        assert_eq!(value(handle), None, "stale, and the slot is in use");
        // SAFETY: as above.
        unsafe { drop(remove::<A>(other)) };
        let local = 0_u64;
        for made_up in [
            ptr::null(),
            ptr::from_ref(&local).cast(),
            ptr::without_provenance(3),
            ptr::without_provenance(usize::MAX),
            handle.wrapping_byte_add(2).cast_const(),
            handle.wrapping_byte_add(8 * 100_000).cast_const(),
        ] {
            assert_eq!(value(made_up), None, "{made_up:?}");
        }
    }

    #[test]
    fn places_that_are_given_back_do_not_run_out() {
        assert!((0..=CAPACITY).all(|_| Place::<A>::new().is_ok()));
    }

    #[test]
    fn threads_do_not_get_in_each_others_way() {
        let handles = |seed: u32| {
            (0..2000).map(move |i| {
                let handle = insert(A(seed + i)).unwrap();
                assert_eq!(value(handle), Some(seed + i));
                if i % 3 == 0 {
                    // SAFETY: nobody else knows it.
                    let object = unsafe { remove::<A>(handle) }.unwrap();
                    assert_eq!(object.0, seed + i);
                }
                (handle.addr(), seed + i, i % 3 == 0)
            })
        };
        let all: Vec<(usize, u32, bool)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|thread| scope.spawn(move || handles(thread * 10_000).collect::<Vec<_>>()))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let different: HashSet<usize> = all.iter().map(|&(handle, ..)| handle).collect();
        assert_eq!(different.len(), all.len());
        for (handle, object, removed) in all {
            let expected = (!removed).then_some(object);
            assert_eq!(value(ptr::without_provenance(handle)), expected);
        }
    }
}
