// SPDX-License-Identifier: GPL-2.0

//! `/dev/rsm` and the controller descriptors that opening it gives.
//!
//! The kernel crate's misc device is not used: before 7.3 its file operations have no owner, so that
//! the module can be unloaded while the device is open.

use crate::interconnect::Interconnect;
use crate::kapi::caller;
use crate::kapi::fault::{Fault, Outcome};
use crate::kapi::file::{FileObject, FileOps, Open};
use crate::kapi::mapped::{Mapped, VmOps};
use crate::kapi::vma::NewVma;
use crate::limits::{Account, User};
use crate::logic::range;
use crate::loopback::Loopback;
use crate::names::{Ids, Names};
use crate::roll::Roll;
use crate::stats::{Live, What};
use crate::status::{StatusTable, PAGES, SLOTS};
use crate::table::{Handle, Table};
use crate::uapi::{
    self, rsm_attributes, rsm_query, rsm_topology, Commit, Fail, RSM_ABI_VERSION,
    RSM_CMD_ATTRIBUTES, RSM_CMD_EXPORT_CREATE, RSM_CMD_IMPORT_CONNECT, RSM_CMD_QUERY,
    RSM_CMD_TOPOLOGY,
};
use crate::{export, import};
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
/// `misc` is registered until the value is dropped; the other members are set before that.
#[pin_data(PinnedDrop)]
pub(crate) struct Device {
    ids: Arc<Ids>,
    namespaces: Arc<Table<Names>>,
    users: Arc<Table<Account>>,
    roll: Arc<Roll>,
    #[pin]
    misc: Opaque<bindings::miscdevice>,
}

// SAFETY: The device may be deregistered from any thread; the rest is `Send`.
unsafe impl Send for Device {}
// SAFETY: Nothing of `misc` is reached through `&Device`; the rest is `Sync`.
unsafe impl Sync for Device {}

impl Device {
    /// Registers the device.
    pub(crate) fn new(roll: Arc<Roll>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ids: Ids::new()?,
            namespaces: Table::new()?,
            users: Table::new()?,
            roll,
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
    interconnect: &'static dyn Interconnect,
    names: Arc<Handle<Names>>,
    user: Arc<User>,
    roll: Arc<Roll>,
    status: Arc<StatusTable>,
    _live: Live,
}

impl Controller {
    /// The interconnect.
    pub(crate) fn interconnect(&self) -> &'static dyn Interconnect {
        self.interconnect
    }

    /// The segments that can be reached: those of the IPC namespace of who opened the descriptor.
    pub(crate) fn names(&self) -> &Arc<Handle<Names>> {
        &self.names
    }

    /// Who opened the descriptor.
    pub(crate) fn user(&self) -> &Arc<User> {
        &self.user
    }

    /// Where segments are listed.
    pub(crate) fn roll(&self) -> &Arc<Roll> {
        &self.roll
    }

    /// The status table of imports connected through this descriptor.
    pub(crate) fn status(&self) -> &Arc<StatusTable> {
        &self.status
    }
}

/// RSM_QUERY.
fn query(controller: &Controller, args: &mut rsm_query) -> Result<Commit, Fail> {
    args.abi_version = RSM_ABI_VERSION;
    args.local_node = controller.interconnect.local_node();
    args.features = 0;
    args.page_size = PAGE_SIZE as u32;
    args.status_slots = SLOTS;
    Ok(Commit::None)
}

/// RSM_ATTRIBUTES.
fn attributes(controller: &Controller, args: &mut rsm_attributes) -> Result<Commit, Fail> {
    let attributes = controller.interconnect.attributes();
    args.direct_access_sizes = attributes.direct_access_sizes;
    args.atomic_sizes = attributes.atomic_sizes;
    args.page_size = attributes.page_size;
    args.max_export_segment_size = attributes.segment_bytes;
    args.tot_export_segment_size = attributes.total_bytes;
    args.max_export_segments = attributes.segments;
    args.max_import_map_size = attributes.segment_bytes;
    args.tot_import_map_size = u64::MAX;
    args.max_import_segments = attributes.imports;
    Ok(Commit::None)
}

/// RSM_TOPOLOGY.
fn topology(controller: &Controller, args: &mut rsm_topology) -> Result<Commit, Fail> {
    args.local_node = controller.interconnect.local_node();
    args.controllers = 0;
    Ok(Commit::None)
}

static FILE_OPS: FileOps<Controller> = FileOps::with_open();
static STATUS_OPS: VmOps<Controller> = VmOps::new();

impl Open for Controller {
    type Device = Device;

    fn open(device: &Device) -> Result<Arc<Self>> {
        Ok(Arc::new(
            Controller {
                interconnect: &Loopback,
                names: Arc::new(
                    device
                        .namespaces
                        .get(caller::ipc_namespace(), || Names::new(device.ids.clone()))?,
                    GFP_KERNEL_ACCOUNT,
                )?,
                user: Arc::new(
                    device.users.get(caller::user(), || {
                        Arc::pin_init(Account::new(), GFP_KERNEL_ACCOUNT)
                    })?,
                    GFP_KERNEL_ACCOUNT,
                )?,
                roll: device.roll.clone(),
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
            Some(RSM_CMD_QUERY) => uapi::run(cmd, arg, |args| query(&this, args)),
            Some(RSM_CMD_ATTRIBUTES) => uapi::run(cmd, arg, |args| attributes(&this, args)),
            Some(RSM_CMD_TOPOLOGY) => uapi::run(cmd, arg, |args| topology(&this, args)),
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
