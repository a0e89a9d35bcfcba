// SPDX-License-Identifier: GPL-2.0

//! Files without a name that stand for kernel objects, the one address space that all mappings of
//! a segment share, and the callbacks of files.

use super::raw;
use super::vma::NewVma;
use super::waitqueue::Poll;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use kernel::bindings;
use kernel::error::{from_err_ptr, from_result};
use kernel::ffi::{c_int, c_long, c_uint, c_ulong};
use kernel::fs::file::{File, FileDescriptorReservation};
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, ArcBorrow};

/// What is behind an open file: an object with what can be asked of it.
///
/// The file owns one reference to its object, from [`AnonFile::finish`] or [`Open::open`] until
/// [`release`](FileObject::release).
pub(crate) trait FileObject: Send + Sync + Sized + 'static {
    /// Whether [`ioctl`](FileObject::ioctl) is there.
    const IOCTL: bool = false;
    /// Whether [`mmap`](FileObject::mmap) is there.
    const MMAP: bool = false;
    /// Whether [`poll`](FileObject::poll) is there.
    const POLL: bool = false;
    /// Whether [`describe`](FileObject::describe) is there.
    const DESCRIBED: bool = false;

    /// A command. The error for unknown ones is `ENOTTY`.
    fn ioctl(_this: ArcBorrow<'_, Self>, _cmd: u32, _arg: usize) -> Result {
        Err(ENOTTY)
    }

    /// The file is being mapped. Nothing may be inserted into the mapping yet: nobody can find it
    /// to remove entries.
    fn mmap(&self, _vma: NewVma<'_, Self>) -> Result {
        Err(ENODEV)
    }

    /// Pages to add to a file offset so that addresses congruent to the sum, modulo 2 MiB, suit
    /// 2 MiB entries. Only asked where `MMAP` is set.
    fn phase(&self) -> u64 {
        0
    }

    /// What can be seen now, as `EPOLL*` bits, by somebody who is to be told of changes.
    fn poll(&self, _poll: Poll) -> u32 {
        0
    }

    /// Writes the lines about this file in `/proc/PID/fdinfo`.
    fn describe(&self, _out: &SeqFile) {}

    /// The last descriptor and mapping are gone.
    fn release(_this: Arc<Self>) {}
}

/// Makes the object of a file that is being opened by name.
pub(crate) trait Open: FileObject {
    /// What the object is made from.
    type Device;

    /// Opens.
    fn open(device: &Self::Device) -> Result<Arc<Self>>;

    /// The device that a registered `struct miscdevice` belongs to.
    ///
    /// # Safety
    ///
    /// `misc` must be embedded in a `Self::Device` that lives for `'a`.
    unsafe fn device<'a>(misc: *mut bindings::miscdevice) -> &'a Self::Device;
}

/// The table of callbacks for files with objects of type `T`. Its owner is this module: the kernel
/// counts every open file as a use of the module.
#[repr(transparent)]
pub(crate) struct FileOps<T> {
    ops: bindings::file_operations,
    object: PhantomData<fn(&T)>,
}

// SAFETY: The table is never changed.
unsafe impl<T> Sync for FileOps<T> {}

impl<T: FileObject> FileOps<T> {
    /// For files made by [`AnonFile`].
    pub(crate) const fn new() -> Self {
        let mut ops: bindings::file_operations = pin_init::zeroed();
        ops.owner = (&raw const raw::__this_module).cast_mut().cast();
        ops.release = Some(release::<T>);
        ops.llseek = Some(bindings::noop_llseek);
        if T::IOCTL {
            ops.unlocked_ioctl = Some(ioctl::<T>);
            // The layout is the same for 32-bit callers; only the pointer needs widening.
            #[cfg(CONFIG_COMPAT)]
            {
                ops.compat_ioctl = bindings::compat_ptr_ioctl;
            }
        }
        if T::POLL {
            ops.poll = Some(poll::<T>);
        }
        #[cfg(CONFIG_PROC_FS)]
        if T::DESCRIBED {
            ops.show_fdinfo = Some(describe::<T>);
        }
        if T::MMAP {
            ops.mmap = Some(mmap::<T>);
            #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
            {
                ops.get_unmapped_area = Some(get_unmapped_area::<T>);
            }
        }
        Self {
            ops,
            object: PhantomData,
        }
    }

    /// For files opened by name, through a misc device.
    pub(crate) const fn with_open() -> Self
    where
        T: Open,
    {
        let mut table = Self::new();
        table.ops.open = Some(open::<T>);
        table
    }

    /// The table as the kernel wants it.
    pub(crate) const fn as_raw(&'static self) -> *const bindings::file_operations {
        &raw const self.ops
    }
}

/// The object behind an open file, borrowed for the length of a callback.
///
/// # Safety
///
/// `file` must be valid for `'a`, and a file with objects of type `T`.
pub(crate) unsafe fn object<'a, T: FileObject>(
    file: *mut bindings::file,
) -> Option<ArcBorrow<'a, T>> {
    // SAFETY: The file is valid as the caller says.
    let object = unsafe { (*file).private_data }.cast::<T>();
    // SAFETY: What is not null came from `Arc::into_raw`, and the file keeps that reference.
    (!object.is_null()).then(|| unsafe { ArcBorrow::from_raw(object) })
}

/// # Safety
///
/// Only for the kernel to call, on a file that a misc device with a `T::Device` opens.
unsafe extern "C" fn open<T: Open>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    from_result(|| {
        // SAFETY: The misc code has stored its device there, and keeps it registered meanwhile.
        let device = unsafe { T::device((*file).private_data.cast()) };
        let object = T::open(device)?;
        // SAFETY: The file is being opened. It keeps the reference until `release()`, which the
        // kernel does not call for a failed open.
        unsafe { (*file).private_data = object.into_raw().cast_mut().cast() };
        Ok(0)
    })
}

/// # Safety
///
/// Only for the kernel to call, on the last close of a file with objects of type `T`.
unsafe extern "C" fn release<T: FileObject>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: Nobody else uses a file that is being released.
    let object = unsafe { ptr::replace(&raw mut (*file).private_data, ptr::null_mut()) };
    // A file that was never given its object has none.
    if !object.is_null() {
        // SAFETY: It came from `Arc::into_raw`, and the file gives it up here.
        T::release(unsafe { Arc::from_raw(object.cast::<T>()) });
    }
    0
}

/// # Safety
///
/// Only for the kernel to call, on an open file with objects of type `T`.
unsafe extern "C" fn ioctl<T: FileObject>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    from_result(|| {
        // SAFETY: As the caller says.
        let object = unsafe { object::<T>(file) }.ok_or(EBADF)?;
        T::ioctl(object, cmd, arg)?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for the kernel to call, on an open file with objects of type `T`.
unsafe extern "C" fn poll<T: FileObject>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: As the caller says; the arguments are used within the callback only.
    unsafe { object::<T>(file).map_or(0, |object| object.poll(Poll::from_raw(file, table))) }
}

/// # Safety
///
/// Only for the kernel to call, on an open file with objects of type `T`.
#[cfg(CONFIG_PROC_FS)]
unsafe extern "C" fn describe<T: FileObject>(
    out: *mut bindings::seq_file,
    file: *mut bindings::file,
) {
    // SAFETY: As the caller says; what is written to is used within the callback only.
    unsafe {
        if let Some(object) = object::<T>(file) {
            object.describe(SeqFile::from_raw(out));
        }
    }
}

/// # Safety
///
/// Only for the kernel to call, on an open file with objects of type `T` and a mapping being made.
unsafe extern "C" fn mmap<T: FileObject>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    from_result(|| {
        // SAFETY: As the caller says.
        let (object, vma) = unsafe { (object::<T>(file).ok_or(EBADF)?, NewVma::from_raw(vma)) };
        object.mmap(vma)?;
        Ok(0)
    })
}

/// # Safety
///
/// Only for the kernel to call, on an open file with objects of type `T`.
#[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
unsafe extern "C" fn get_unmapped_area<T: FileObject>(
    file: *mut bindings::file,
    addr: c_ulong,
    len: c_ulong,
    offset: c_ulong,
    flags: c_ulong,
) -> c_ulong {
    // SAFETY: As the caller says.
    let phase = unsafe { object::<T>(file) }.map_or(0, |object| object.phase());
    // The offset only guides alignment here.
    let offset = offset.wrapping_add(phase as c_ulong);
    // SAFETY: The other arguments are the kernel's own.
    unsafe { bindings::thp_get_unmapped_area(file, addr, len, offset, flags) }
}

/// A new file without a name that nobody else has seen yet. Released when dropped.
pub(crate) struct AnonFile<T> {
    file: ARef<File>,
    object: PhantomData<fn(&T)>,
}

impl<T: FileObject> AnonFile<T> {
    /// Makes a file with an inode, and so an address space, of its own.
    pub(crate) fn with_inode(name: &CStr, ops: &'static FileOps<T>) -> Result<Self> {
        // SAFETY: `name` and `ops` are valid; the kernel copies the former and `ops` is static.
        let file = unsafe {
            raw::anon_inode_create_getfile(
                name.as_char_ptr(),
                ops.as_raw(),
                ptr::null_mut(),
                (bindings::O_RDWR | bindings::O_CLOEXEC) as c_int,
                ptr::null(),
            )
        };
        // SAFETY: The kernel returned a new file or an error.
        unsafe { Self::from_new(file) }
    }

    /// Makes a file whose mappings belong to `mapping`.
    pub(crate) fn with_mapping(
        name: &CStr,
        ops: &'static FileOps<T>,
        mapping: &SharedMapping,
    ) -> Result<Self> {
        // SAFETY: As in `with_inode()`.
        let file = unsafe {
            raw::anon_inode_getfile(
                name.as_char_ptr(),
                ops.as_raw(),
                ptr::null_mut(),
                (bindings::O_RDWR | bindings::O_CLOEXEC) as c_int,
            )
        };
        // SAFETY: The kernel returned a new file or an error.
        let file = unsafe { Self::from_new(file) }?;
        // SAFETY: Nobody else has seen the file. That the inode outlives its use as `f_mapping` is
        // up to the caller's object, see `SharedMapping`.
        unsafe { (*file.file.as_ptr()).f_mapping = mapping.as_raw() };
        Ok(file)
    }

    /// # Safety
    ///
    /// `file` must be an error pointer or a new file, whose one reference is given up.
    unsafe fn from_new(file: *mut bindings::file) -> Result<Self> {
        let file = from_err_ptr(file)?;
        let file = NonNull::new(file).ok_or(ENOMEM)?;
        Ok(Self {
            // SAFETY: `file` is valid and the caller gives up its reference. No light `fdget_pos`
            // references exist, as the file has no descriptor.
            file: unsafe { ARef::from_raw(file.cast()) },
            object: PhantomData,
        })
    }

    /// Gives the file its object and joins it with a reserved descriptor number.
    pub(crate) fn finish(self, object: Arc<T>, fd: FileDescriptorReservation) -> PendingFd {
        // SAFETY: Nobody else has seen the file, and it has no object yet. Its callbacks are those
        // for objects of type `T`.
        unsafe { (*self.file.as_ptr()).private_data = object.into_raw().cast_mut().cast() };
        PendingFd {
            fd,
            file: self.file,
        }
    }

    /// The file's own address space, with a reference to its inode.
    pub(crate) fn mapping(&self) -> SharedMapping {
        // SAFETY: An open file has an inode; the reference taken here is given to the result.
        unsafe {
            let inode = (*self.file.as_ptr()).f_inode;
            bindings::ihold(inode);
            // INVARIANT: The reference just taken.
            SharedMapping {
                inode: NonNull::new_unchecked(inode),
            }
        }
    }
}

/// A file with a descriptor number reserved for it, which the process gets to see on
/// [`install`](PendingFd::install) and not before. Dropped without that, both are released.
pub(crate) struct PendingFd {
    fd: FileDescriptorReservation,
    file: ARef<File>,
}

impl PendingFd {
    /// Makes the descriptor visible. Cannot fail.
    pub(crate) fn install(self) {
        self.fd.fd_install(self.file);
    }
}

/// Reserves a close-on-exec descriptor number.
pub(crate) fn reserve_fd() -> Result<FileDescriptorReservation> {
    FileDescriptorReservation::get_unused_fd_flags(bindings::O_CLOEXEC)
}

/// The address space that all mappings of a segment belong to, in whatever process.
///
/// It must be kept for as long as any file has it as `f_mapping`.
///
/// # Invariants
///
/// This value owns a reference to `inode`.
pub(crate) struct SharedMapping {
    inode: NonNull<bindings::inode>,
}

// SAFETY: Inodes belong to no thread.
unsafe impl Send for SharedMapping {}
// SAFETY: The kernel locks what the methods do.
unsafe impl Sync for SharedMapping {}

impl SharedMapping {
    fn as_raw(&self) -> *mut bindings::address_space {
        // SAFETY: The inode is valid by the type invariant.
        unsafe { (*self.inode.as_ptr()).i_mapping }
    }

    /// Removes every page-table entry of every mapping, in all processes, and flushes the TLBs.
    /// Takes no mmap lock.
    pub(crate) fn zap_all(&self) {
        // SAFETY: The address space is valid while the inode is. A hole length of 0 means to the
        // end.
        unsafe { bindings::unmap_mapping_range(self.as_raw(), 0, 0, 1) };
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        // SAFETY: Gives up the reference that the type invariant says is owned.
        unsafe { bindings::iput(self.inode.as_ptr()) };
    }
}
