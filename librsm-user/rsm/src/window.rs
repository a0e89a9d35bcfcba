// SPDX-License-Identifier: MIT OR Apache-2.0
//! The window of an import that transfers go through: none at first, then one, until it is
//! taken out.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::error::{Error, Result, Status};
use crate::mapping::Mapping;
use crate::room::Room;

/// How an import came by its window.
///
/// ```
/// # use rsm::WindowKind;
/// assert_ne!(WindowKind::Implicit, WindowKind::Explicit);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WindowKind {
    /// A transfer made it: it is on the whole segment, with all rights of the connection.
    Implicit,
    /// It was set.
    Explicit,
}

/// A window, and how it came about.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) mapping: Mapping,
    pub(crate) kind: WindowKind,
}

/// A place for one window. No lock: a process that forks cannot find it locked.
#[derive(Debug)]
pub(crate) struct WindowCell {
    window: AtomicPtr<Window>,
    /// Memory for the next window, so that none is needed to map: null while there is a
    /// window, or a thread is about to set one.
    room: AtomicPtr<MaybeUninit<Window>>,
}

impl WindowCell {
    /// Without a window. Fails with [`Status::InsufficientMem`].
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            window: AtomicPtr::new(ptr::null_mut()),
            room: AtomicPtr::new(Room::new()?.into_raw()),
        })
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Window> {
        // SAFETY: null, or a box of ours, which stays in place until `self` is borrowed
        // mutably.
        unsafe { self.window.load(Ordering::Acquire).as_ref() }
    }

    /// Puts `window` there if there is none; drops it otherwise, and fails with
    /// [`Status::SegAlreadyMapped`]. A thread that comes while another sets one needs memory.
    pub(crate) fn set(&self, window: Window) -> Result<()> {
        if self.get().is_some() {
            return Err(Error::Rsm(Status::SegAlreadyMapped));
        }
        let room = match self.take_room() {
            Some(room) => room,
            None => Room::new()?,
        };
        let new = Box::into_raw(room.fill(window));
        let old = ptr::null_mut();
        match self
            .window
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            Err(_) => {
                // SAFETY: made above, and not published.
                drop(unsafe { Box::from_raw(new) });
                Err(Error::Rsm(Status::SegAlreadyMapped))
            }
        }
    }

    fn take_room(&self) -> Option<Room<Window>> {
        self.exchange_room(ptr::null_mut())
    }

    fn exchange_room(&self, new: *mut MaybeUninit<Window>) -> Option<Room<Window>> {
        let old = self.room.swap(new, Ordering::AcqRel);
        // SAFETY: null, or a room that was left there, which nobody else has taken.
        (!old.is_null()).then(|| unsafe { Room::from_raw(old) })
    }

    pub(crate) fn take(&mut self) -> Option<Window> {
        // SAFETY: borrowed mutably, so nobody else borrows.
        unsafe { self.take_shared() }
    }

    /// # Safety
    ///
    /// Nobody has what [`get`](Self::get) returned.
    pub(crate) unsafe fn take_shared(&self) -> Option<Window> {
        let window = self.window.swap(ptr::null_mut(), Ordering::AcqRel);
        if window.is_null() {
            return None;
        }
        // SAFETY: a box of ours to which no borrow is left.
        let (window, room) = Room::of(unsafe { Box::from_raw(window) });
        drop(self.exchange_room(room.into_raw()));
        Some(window)
    }
}

impl Drop for WindowCell {
    fn drop(&mut self) {
        drop(self.take());
        drop(self.take_room());
    }
}
