// SPDX-License-Identifier: MIT OR Apache-2.0
//! The window of an import that transfers go through: none at first, then one, until it is
//! taken out.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::mapping::Mapping;

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
}

impl WindowCell {
    pub(crate) const fn empty() -> Self {
        Self {
            window: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Option<&Window> {
        // SAFETY: null, or a box of ours, which stays in place until `self` is borrowed
        // mutably.
        unsafe { self.window.load(Ordering::Acquire).as_ref() }
    }

    /// Puts `window` there if there is none; returns it otherwise.
    pub(crate) fn set(&self, window: Window) -> Result<(), Window> {
        let new = Box::into_raw(Box::new(window));
        let old = ptr::null_mut();
        match self
            .window
            .compare_exchange(old, new, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => Ok(()),
            // SAFETY: made above, and not published.
            Err(_) => Err(*unsafe { Box::from_raw(new) }),
        }
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
        // SAFETY: null, or a box of ours to which no borrow is left.
        (!window.is_null()).then(|| *unsafe { Box::from_raw(window) })
    }
}

impl Drop for WindowCell {
    fn drop(&mut self) {
        drop(self.take());
    }
}
