// SPDX-License-Identifier: GPL-2.0

//! `/dev/rsm` and the controller descriptors that opening it gives.
//!
//! The kernel crate's misc device is not used: before 7.3 its file operations have no owner, so that
//! the module can be unloaded while the device is open.

use crate::kapi::fault::{Fault, Outcome};
use crate::kapi::file::{FileObject, FileOps, Open};
use crate::kapi::mapped::{Mapped, VmOps};
use crate::kapi::vma::NewVma;
use crate::logic::range;
use crate::registry::Registry;
use crate::stats::{Live, What};
use crate::status::{StatusTable, PAGES, SLOTS};
use crate::uapi::{
    self, rsm_query, Commit, Fail, RSM_ABI_VERSION, RSM_CMD_EXPORT_CREATE, RSM_CMD_IMPORT_CONNECT,
    RSM_CMD_QUERY,
};
use crate::{export, import, loopback};
use core::ptr::NonNull;
use kernel::alloc::flags::GFP_KERNEL_ACCOUNT;
use kernel::bindings;
use kernel::container_of;
use kernel::error::to_result;
use kernel::ffi::c_int;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use kernel::sync::{Arc, ArcBorrow};
use kernel::types::Opaque;

/// The registered device.
///
/// # Invariants
///
/// `misc` is registered until the value is dropped; `registry` is set before that.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    registry: Arc<Registry>,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
}

// SAFETY: The device may be deregistered from any thread; the registry is `Send`.
unsafe impl Send for Device {}
// SAFETY: Nothing of `misc` is reached through `&Device`; the registry is `Sync`.
unsafe impl Sync for Device {}

impl Device {
    /// Registers the device.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            registry: Registry::new()?,
            misc <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let mut misc: bindings::miscdevice = pin_init::zeroed();
                misc.minor = bindings::MISC_DYNAMIC_MINOR as c_int;
                misc.name = kernel::str::as_char_ptr_in_const_context(c"rsm");
                misc.fops = FILE_OPS.as_raw();
                // SAFETY: `slot` is valid for writes, and pinned until the device is deregistered.
                unsafe {
                    slot.write(misc);
                    to_result(bindings::misc_register(slot))
                }
            }),
        }? Error)
    }
}

#[pinned_drop]
impl PinnedDrop for Device {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// A controller descriptor.
pub(crate) struct Controller {
    registry: Arc<Registry>,
    status: Arc<StatusTable>,
    _live: Live,
}

impl Controller {
    /// The segments that can be reached.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The status table of imports connected through this descriptor.
    pub(crate) fn status(&self) -> &Arc<StatusTable> {
        &self.status
    }
}

/// RSM_QUERY.
fn query(args: &mut rsm_query) -> Result<Commit, Fail> {
    args.abi_version = RSM_ABI_VERSION;
    args.local_node = loopback::LOCAL_NODE;
    args.features = 0;
    args.page_size = PAGE_SIZE as u32;
    args.status_slots = SLOTS;
    Ok(Commit::None)
}

static FILE_OPS: FileOps<Controller> = FileOps::with_open();
static STATUS_OPS: VmOps<Controller> = VmOps::new();

impl Open for Controller {
    type Device = Device;

    fn open(device: &Device) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Controller {
                registry: device.registry.clone(),
                status: StatusTable::new()?,
                _live: Live::one(What::Controller),
            },
            GFP_KERNEL_ACCOUNT,
        )?)
    }

    unsafe fn device<'a>(misc: *mut bindings::miscdevice) -> &'a Device {
        // SAFETY: The caller says that `misc` is the one in a `Device`.
        unsafe { &*container_of!(Opaque::cast_from(misc), Device, misc) }
    }
}

impl FileObject for Controller {
    const IOCTL: bool = true;
    const MMAP: bool = true;

    fn ioctl(this: ArcBorrow<'_, Self>, cmd: u32, arg: usize) -> Result {
        match uapi::command(cmd) {
            Some(RSM_CMD_QUERY) => uapi::run(cmd, arg, query),
            Some(RSM_CMD_EXPORT_CREATE) => uapi::run(cmd, arg, |args| export::create(&this, args)),
            Some(RSM_CMD_IMPORT_CONNECT) => {
                uapi::run(cmd, arg, |args| import::connect(&this, args))
            }
            _ => Err(ENOTTY),
        }
    }

    /// Maps the status table: shared, read-only for good.
    fn mmap(&self, vma: NewVma<'_, Self>) -> Result {
        if vma.has(bindings::VM_WRITE) || vma.has(bindings::VM_EXEC) {
            return Err(EPERM);
        }
        if !vma.is_shared() || !range::window_fits(vma.offset(), vma.pages(), PAGES) {
            return Err(EINVAL);
        }
        vma.finish(
            bindings::VM_DONTEXPAND | bindings::VM_DONTDUMP,
            bindings::VM_MAYWRITE | bindings::VM_MAYEXEC,
            &STATUS_OPS,
        );
        Ok(())
    }
}

impl Mapped for Controller {
    fn fault(&self, fault: Fault) -> Outcome {
        match self.status.page(fault.offset()).and_then(NonNull::new) {
            Some(page) => Outcome::Page(page),
            // No slot of that page has been used yet.
            None => Outcome::Sigbus,
        }
    }
}
