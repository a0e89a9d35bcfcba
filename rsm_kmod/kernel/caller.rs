// SPDX-License-Identifier: GPL-2.0

//! The calling task: its identity, credentials and limits.

use super::raw;
use kernel::bindings;
use kernel::cred::Credential;
use kernel::mm::Mm;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::task::Task;

/// The effective ids of a task as the kernel compares them (independent of user namespaces).
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    uid: bindings::kuid_t,
    gid: bindings::kgid_t,
}

/// The caller's credentials, borrowed.
fn cred() -> *const bindings::cred {
    // SAFETY: The current task exists, and its own credentials pointer changes only by itself.
    unsafe { (*Task::current_raw()).cred }
}

impl Owner {
    /// The caller's effective user and group ids.
    pub(crate) fn current() -> Self {
        let cred = cred();
        // SAFETY: A task's credentials are valid while it runs and are never modified in place.
        unsafe {
            Self {
                uid: (*cred).euid,
                gid: (*cred).egid,
            }
        }
    }

    /// Whether the caller's effective user id is this owner's.
    pub(crate) fn is_caller(&self) -> bool {
        Self::current().uid.val == self.uid.val
    }

    /// Whether this owner's group is the caller's effective or one of its supplementary groups.
    pub(crate) fn caller_in_group(&self) -> bool {
        // SAFETY: Reads the caller's own credentials.
        unsafe { bindings::in_egroup_p(self.gid) != 0 }
    }
}

/// A reference to the caller's credentials.
pub(crate) fn credentials() -> ARef<Credential> {
    // SAFETY: The caller's credentials are valid now; the conversion takes a reference.
    unsafe { Credential::from_ptr(cred()) }.into()
}

/// The caller's real user id as the kernel compares them.
pub(crate) fn user() -> u64 {
    // SAFETY: A task's credentials are valid while it runs and are never modified in place.
    unsafe { u64::from((*cred()).uid.val) }
}

/// What tells the caller's IPC namespace from all others that there are, were and will be.
///
/// Only for system calls: an exiting task has none.
pub(crate) fn ipc_namespace() -> u64 {
    // SAFETY: Only the current task changes its own namespaces, and it has them until it exits.
    unsafe { raw::rsm_helper_ipc_namespace() }
}

/// The caller's umask.
pub(crate) fn umask() -> u32 {
    // SAFETY: Reads a field of the current task.
    unsafe { raw::rsm_helper_current_umask() as u32 }
}

/// The caller's RLIMIT_MEMLOCK in bytes.
pub(crate) fn memlock_limit() -> u64 {
    // SAFETY: Reads a field of the current task.
    unsafe { raw::rsm_helper_rlimit_memlock() as u64 }
}

/// Whether the caller has a capability in the initial user namespace.
pub(crate) fn capable(capability: u32) -> bool {
    // SAFETY: Asks about the current task.
    unsafe { bindings::capable(capability as kernel::ffi::c_int) }
}

/// The caller's address space; `None` for a kernel thread.
pub(crate) fn mm() -> Option<ARef<Mm>> {
    current!().mm().map(|mm| {
        let mm: &Mm = mm;
        mm.into()
    })
}

/// Whether `mm` is the caller's address space.
pub(crate) fn is_mm(mm: &Mm) -> bool {
    current!()
        .mm()
        .is_some_and(|current| core::ptr::eq(current.as_raw(), mm.as_raw()))
}

/// Whether a fatal signal waits for the caller.
pub(crate) fn killed() -> bool {
    // SAFETY: The current task exists.
    unsafe { raw::rsm_helper_fatal_signal_pending() }
}

/// The caller's process id in the initial namespace.
pub(crate) fn process_id() -> u32 {
    // SAFETY: The current task exists; its thread group never changes.
    unsafe { (*Task::current_raw()).tgid as u32 }
}
