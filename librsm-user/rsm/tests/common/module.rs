// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading and unloading the module under test. Nobody else may be using it.

use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};

/// The file that the guest has loaded it from.
pub fn file() -> File {
    File::open("/rsm/modules/rsm.ko").expect("the module's file")
}

pub fn load(file: &File) -> Result<(), Errno> {
    load_with(file, "")
}

/// Loads it with parameters, as `insmod` passes them on.
pub fn load_with(file: &File, parameters: &str) -> Result<(), Errno> {
    let parameters = CString::new(parameters).expect("no zero");
    finit_module(file, &parameters, ModuleInitFlags::empty())
}

/// Unloads it, unless it is in use (`EAGAIN`).
pub fn unload() -> Result<(), Errno> {
    delete_module(c"rsm", DeleteModuleFlags::O_NONBLOCK)
}

/// Unloads it once those who were using it a moment ago do not any more.
#[track_caller]
pub fn unload_soon() {
    super::wait_until("the module is unused", 150, || match unload() {
        Err(Errno::EAGAIN) => false,
        result => {
            result.expect("unload");
            true
        }
    });
}

/// Unloads it once it is unused, and loads it again as it was.
#[track_caller]
pub fn reload() {
    unload_soon();
    load(&file()).expect("load");
    open_to_everyone();
}

/// Lets every user open the device, as the guest does.
pub fn open_to_everyone() {
    fs::set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("chmod");
}

/// Fails unless nothing is to be seen of the module.
#[track_caller]
pub fn assert_absent() {
    for path in [
        "/sys/module/rsm",
        "/sys/kernel/debug/rsm",
        "/sys/kernel/tracing/events/rsm",
        "/sys/class/misc/rsm",
        "/dev/rsm",
    ] {
        assert!(!Path::new(path).exists(), "{path} is still there");
    }
    for (path, column) in [("/proc/modules", 0), ("/proc/misc", 1)] {
        let list = fs::read_to_string(path).expect(path);
        let ours = |line: &str| line.split_whitespace().nth(column) == Some("rsm");
        assert!(!list.lines().any(ours), "still in {path}: {list}");
    }
}
