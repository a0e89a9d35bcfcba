// SPDX-License-Identifier: GPL-2.0

//! Structures of the ioctl interface, to and from user space.

use crate::logic::abi::{self, Lengths};
use core::mem::{size_of, MaybeUninit};
use kernel::bindings;
use kernel::ioctl::_IOC_SIZE;
use kernel::prelude::*;
use kernel::transmute::{AsBytes, FromBytes};
use kernel::uaccess::{UserPtr, UserSlice};

/// Where the `status` member of every structure is: behind `size`.
const STATUS: usize = size_of::<u32>();

/// A structure of the UAPI header.
///
/// # Safety
///
/// The type is `repr(C)`, and its first two members are the `__u32`s `size` and `status`.
pub(crate) unsafe trait Args: Copy + FromBytes + AsBytes {
    /// Size of the first version of the structure.
    const MIN_SIZE: usize;

    /// Whether the kernel sets members other than `status`.
    const RESULTS: bool;

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
    addr: usize,
    len: usize,
}

impl<T: Args> Request<T> {
    /// Reads the structure of command `cmd` at `addr`, by the rules of the UAPI header.
    #[inline(always)]
    pub(crate) fn read(cmd: u32, addr: usize) -> Result<Self> {
        let given = _IOC_SIZE(cmd);
        let (args, len) = if given == size_of::<T>() {
            let mut reader = UserSlice::new(UserPtr::from_addr(addr), given).reader();
            (Self::checked(reader.read()?, given)?, given)
        } else {
            Self::read_other(given, addr)?
        };
        if !args.understood() {
            return Err(Error::from_errno(
                -(bindings::EOPNOTSUPP as kernel::ffi::c_int),
            ));
        }
        Ok(Self { args, addr, len })
    }

    /// Fails unless a structure says of itself that it has the size that the command gives.
    fn checked(args: T, given: usize) -> Result<T> {
        if abi::says_its_size(args.size(), given) {
            Ok(args)
        } else {
            Err(EINVAL)
        }
    }

    /// Reads a structure that is shorter or longer than the one that is known here.
    #[cold]
    fn read_other(given: usize, addr: usize) -> Result<(T, usize)> {
        let lengths = abi::lengths(given, size_of::<T>(), T::MIN_SIZE);
        let Lengths { common: len, tail } = lengths.ok_or(EINVAL)?;
        let mut args = MaybeUninit::<T>::zeroed();
        // SAFETY: `args` covers `size_of::<T>()` initialised bytes, `len` is not more.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(args.as_mut_ptr().cast::<MaybeUninit<u8>>(), len)
        };
        UserSlice::new(UserPtr::from_addr(addr), len)
            .reader()
            .read_raw(bytes)?;
        // SAFETY: Any bit pattern is valid for what is `FromBytes`.
        let args = Self::checked(unsafe { args.assume_init() }, given)?;
        if tail > 0 {
            let addr = addr.checked_add(len).ok_or(EFAULT)?;
            // SAFETY: The function checks the user range it is given.
            match unsafe { bindings::check_zeroed_user(addr as *const _, tail) } {
                1 => (),
                0 => return Err(E2BIG),
                errno => return Err(Error::from_errno(errno)),
            }
        }
        Ok((args, len))
    }

    /// Stores the `status` member only.
    pub(crate) fn write_status(&self, status: u32) -> Result {
        let addr = self.addr.checked_add(STATUS);
        UserSlice::new(UserPtr::from_addr(addr.ok_or(EFAULT)?), size_of::<u32>())
            .writer()
            .write(&status)
    }

    /// Stores the structure, as much of it as the caller knows.
    pub(crate) fn write(&self) -> Result {
        let mut writer = UserSlice::new(UserPtr::from_addr(self.addr), self.len).writer();
        if self.len == size_of::<T>() {
            writer.write(&self.args)
        } else {
            let bytes = self.args.as_bytes();
            writer.write_slice(bytes.get(..self.len).unwrap_or(bytes))
        }
    }
}
