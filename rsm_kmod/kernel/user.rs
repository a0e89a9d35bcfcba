// SPDX-License-Identifier: GPL-2.0

//! Structures of the ioctl interface, to and from user space.

use core::mem::{size_of, MaybeUninit};
use kernel::bindings;
use kernel::ioctl::_IOC_SIZE;
use kernel::prelude::*;
use kernel::uaccess::{UserPtr, UserSlice};

/// A structure of the UAPI header.
///
/// # Safety
///
/// The type is `repr(C)`, has no padding, any bit pattern is valid for it, and its first two
/// members are the `__u32`s `size` and `status`.
pub(crate) unsafe trait Args: Copy {
    /// Size of the first version of the structure.
    const MIN_SIZE: usize;

    /// The `size` member.
    fn size(&self) -> u32;

    /// Sets the `status` member.
    fn set_status(&mut self, status: u32);

    /// Whether every flag and reserved member has a value this kernel knows.
    fn understood(&self) -> bool;
}

/// A structure that was read from user space, and where it lies there.
pub(crate) struct Request<T> {
    /// The structure; members that the caller does not know are zero.
    pub(crate) args: T,
    /// What has been stored at `addr`.
    stored: Option<T>,
    addr: usize,
    len: usize,
}

impl<T: Args> Request<T> {
    /// Reads the structure of command `cmd` at `addr`, by the rules of the UAPI header.
    pub(crate) fn read(cmd: u32, addr: usize) -> Result<Self> {
        let given = _IOC_SIZE(cmd);
        if given < T::MIN_SIZE {
            return Err(EINVAL);
        }
        let len = given.min(size_of::<T>());
        let mut args = MaybeUninit::<T>::zeroed();
        // SAFETY: `args` covers `size_of::<T>()` initialised bytes, `len` is not more.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(args.as_mut_ptr().cast::<MaybeUninit<u8>>(), len)
        };
        UserSlice::new(UserPtr::from_addr(addr), len)
            .reader()
            .read_raw(bytes)?;
        // SAFETY: Any bit pattern is valid by the trait's contract.
        let args = unsafe { args.assume_init() };
        if args.size() as usize != given {
            return Err(EINVAL);
        }
        if given > len {
            let tail = addr.checked_add(len).ok_or(EFAULT)?;
            // SAFETY: The function checks the user range it is given.
            match unsafe { bindings::check_zeroed_user(tail as *const _, given - len) } {
                1 => (),
                0 => return Err(E2BIG),
                errno => return Err(Error::from_errno(errno)),
            }
        }
        if !args.understood() {
            return Err(Error::from_errno(
                -(bindings::EOPNOTSUPP as kernel::ffi::c_int),
            ));
        }
        Ok(Self {
            args,
            stored: None,
            addr,
            len,
        })
    }

    /// Stores the `status` member only.
    pub(crate) fn write_status(&self, status: u32) -> Result {
        let addr = self.addr.checked_add(size_of::<u32>()).ok_or(EFAULT)?;
        UserSlice::new(UserPtr::from_addr(addr), size_of::<u32>())
            .writer()
            .write_slice(&status.to_ne_bytes())
    }

    /// The bytes of a structure, as many as the caller knows.
    fn bytes<'a>(&self, args: &'a T) -> &'a [u8] {
        // SAFETY: `T` has no padding by the trait's contract, and `len` is at most its size.
        unsafe { core::slice::from_raw_parts((&raw const *args).cast::<u8>(), self.len) }
    }

    /// Stores the structure, as much of it as the caller knows. Does nothing, and cannot fail, if
    /// that has been stored already.
    pub(crate) fn write(&mut self) -> Result {
        let bytes = self.bytes(&self.args);
        if let Some(stored) = &self.stored {
            if self.bytes(stored) == bytes {
                return Ok(());
            }
        }
        UserSlice::new(UserPtr::from_addr(self.addr), self.len)
            .writer()
            .write_slice(bytes)?;
        self.stored = Some(self.args);
        Ok(())
    }
}
