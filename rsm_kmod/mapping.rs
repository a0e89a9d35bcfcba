// SPDX-License-Identifier: GPL-2.0

//! Importer mappings: windows on a segment, filled by faults, emptied by revocation.
//!
//! A mapping is shared, never executable, never more than the connection's rights, and consists of
//! bare page frames (`VM_PFNMAP`), which nobody can take references to.
//!
//! # Copies that the kernel makes
//!
//! A revocation removes entries from every mapping it finds, one after the other, and reads an entry
//! without its lock to see whether there is anything to remove. Two kernel paths carry a 2 MiB entry
//! from one mapping to another in a way that this can miss, so that the copy stays for good:
//!
//! - fork reads the parent's entry without the lock and sets it in the child, which the revocation
//!   may have passed by then;
//! - mremap clears the entry in the old place and then sets it in the new one; in between both are
//!   empty.
//!
//! Therefore the mapping that the entries would come from is emptied first: [`copied`](Mapped::copied)
//! is called for the new mapping before any entry is carried over, with the mmap lock and the old
//! mapping locked for writing, which keeps new faults out. Nothing is left to carry over, and both
//! refault. At fork the same keeps what a process stores after a revocation out of its children.

use crate::backing::Memory;
use crate::import::Import;
use crate::kapi::fault::{self, Fault, Outcome};
use crate::kapi::mapped::{Mapped, VmOps};
use crate::kapi::prefault;
use crate::kapi::trace;
use crate::kapi::vma::{NewVma, Vma};
use crate::logic::extent::{self, Window};
use crate::logic::range;
use crate::logic::status::Status;
use crate::uapi::errno;
use kernel::bindings;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;

static OPS: VmOps<Import> = VmOps::new();

/// Makes `vma` a window on the import's segment.
pub(crate) fn map(import: &Import, vma: NewVma<'_, Import>) -> Result {
    if !vma.has(bindings::VM_SHARED) {
        return Err(EINVAL);
    }
    if vma.has(bindings::VM_EXEC) {
        return Err(EPERM);
    }
    if !import.is_live() {
        return Err(errno(Status::ConnAborted));
    }
    let rights = import.rights();
    if rights.is_empty()
        || (vma.has(bindings::VM_READ) && !rights.read())
        || (vma.has(bindings::VM_WRITE) && !rights.write())
    {
        return Err(EACCES);
    }
    if !range::window_fits(vma.offset(), vma.pages(), import.segment().pages()) {
        return Err(EINVAL);
    }
    let mut clear = bindings::VM_MAYEXEC;
    if !rights.read() {
        clear |= bindings::VM_MAYREAD;
    }
    if !rights.write() {
        clear |= bindings::VM_MAYWRITE;
    }
    import.begin_mapping(vma.pages()).map_err(errno)?;
    if let Err(error) = import.views().enter(*vma) {
        import.end_mapping(vma.pages());
        return Err(error);
    }
    trace::map(
        import.segment().number(),
        vma.start(),
        vma.offset(),
        vma.pages(),
    );
    vma.finish(
        bindings::VM_PFNMAP | bindings::VM_DONTEXPAND | bindings::VM_DONTDUMP,
        clear,
        &OPS,
    );
    Ok(())
}

impl Mapped for Import {
    const TRACKED: bool = true;
    const HUGE: bool = true;

    fn may_split(&self) -> Result {
        self.check_mappings().map_err(errno)
    }

    fn copied(&self, vma: Vma) {
        self.add_mapping(if vma.is_split_off() { 0 } else { vma.pages() });
        self.views().duplicate(vma);
        if cfg!(not(rsm_no_fork_hook)) {
            if let Some(origin) = vma.fork_origin() {
                origin.zap();
            }
        }
        if cfg!(not(rsm_no_move_hook)) {
            vma.zap_move_origins();
        }
    }

    fn removed(&self, vma: Vma) {
        self.views().leave(vma);
        self.end_mapping(vma.pages());
    }

    fn fault(&self, fault: Fault) -> Outcome {
        // Before any lock of ours: afterwards nothing needs to be allocated.
        if !fault.install_table() {
            return Outcome::Done;
        }
        let Some(window) = window(fault) else {
            return Outcome::Sigbus;
        };
        let total = self.segment().pages();
        let number = self.segment().number();
        with_memory(self, |memory| {
            trace::fault(number, window.addr, window.bytes / PAGE_SIZE as u64, true);
            fault.insert_window(memory.extents(), total, window)
        })
        .unwrap_or_else(|| {
            let sigbus = self.wants_sigbus();
            trace::fault(number, fault.addr(), u64::from(!sigbus), false);
            if sigbus {
                Outcome::Sigbus
            } else {
                self.views().fault(fault, self.user())
            }
        })
    }

    fn huge_fault(&self, fault: Fault, order: u32) -> Outcome {
        if order != fault::HUGE_ORDER || !fault.pmd_is_empty() || fault::small_entries_only() {
            return Outcome::Fallback;
        }
        let Some(window) = window(fault) else {
            return Outcome::Fallback;
        };
        let total = self.segment().pages();
        let number = self.segment().number();
        with_memory(self, |memory| {
            match extent::huge_frame(memory.extents(), total, window) {
                Some(pfn) => {
                    trace::fault(number, window.addr, extent::HUGE_PAGES, true);
                    fault.insert_huge(pfn)
                }
                None => Outcome::Fallback,
            }
        })
        .unwrap_or(Outcome::Fallback)
    }
}

/// Makes the entries of `[addr, end)`, which must be mapped from `import`.
pub(crate) fn prefault(import: &Import, addr: u64, end: u64) -> Result<(), Status> {
    prefault::check(addr, end, |vma| vma.is_of(&OPS, import))?;
    let result = prefault::prefault(addr, end, |vma| {
        if !vma.is_of(&OPS, import) {
            Err(Status::BadAddr)
        } else if !import.is_live() {
            Err(Status::ConnAborted)
        } else {
            Ok(())
        }
    });
    // Entries may have been of another kind, or refused, if the connection ended meanwhile.
    if import.is_live() {
        result
    } else {
        Err(Status::ConnAborted)
    }
}

/// The part of a mapping to fill on a fault.
fn window(fault: Fault) -> Option<Window> {
    let vma = fault.vma();
    extent::fault_window(vma.start(), vma.end(), vma.offset(), fault.addr())
}

/// Runs `fill` with the memory behind an import, and holds off revocation meanwhile. `None` if the
/// import has been revoked.
fn with_memory(import: &Import, fill: impl FnOnce(&Memory) -> Outcome) -> Option<Outcome> {
    let life = import.segment().hold();
    if !import.is_live() {
        return None;
    }
    life.memory().map(fill)
}
