// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loads and unloads the plan's modules.

use crate::link::Link;
use crate::processes;
use nix::errno::Errno;
use nix::kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags};
use rsm_vm::plan::{self, Module};
use rsm_vm::protocol::Record;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a module may stay busy after its last user is gone: the kernel
/// closes files and frees memory a little later.
const PATIENCE: Duration = Duration::from_secs(30);

/// Loads the modules in order, up to the first that fails. Gives the names of
/// those that are loaded.
pub fn load_all(modules: &[Module], link: &mut Link) -> Vec<String> {
    let mut loaded = Vec::new();
    for module in modules {
        let name = module.name.clone();
        let problem = load(module).err().unwrap_or_default();
        link.send(&Record::Module {
            name: name.clone(),
            problem: problem.clone(),
        });
        if !problem.is_empty() {
            break;
        }
        open_to_everyone(&name);
        loaded.push(name);
    }
    loaded
}

fn load(module: &Module) -> Result<(), String> {
    let path = format!("{}/{}.ko", plan::MODULE_DIR, module.name);
    let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    let parameters = CString::new(module.parameters.as_str()).map_err(|error| error.to_string())?;
    finit_module(&file, &parameters, ModuleInitFlags::empty()).map_err(|error| match error {
        Errno::ENOEXEC => "ENOEXEC: built for another kernel? The console says more".to_string(),
        error => error.to_string(),
    })
}

/// The module's device, if it has one of its own name, is for every user.
fn open_to_everyone(name: &str) {
    let device = PathBuf::from("/dev").join(name);
    let deadline = Instant::now() + PATIENCE;
    // devtmpfs makes the node before insmod returns; a module without one has
    // no directory in /sys/class/misc either.
    while !device.exists()
        && PathBuf::from("/sys/class/misc").join(name).exists()
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = fs::set_permissions(device, fs::Permissions::from_mode(0o666));
}

/// Unloads the modules, last one first, and reports. Whether all are gone.
pub fn unload_all(loaded: &[String], link: &mut Link) -> bool {
    let mut problems = Vec::new();
    for name in loaded.iter().rev() {
        crate::log(&format!("rmmod {name}"));
        if let Err(error) = unload(name) {
            problems.push(format!("{name} cannot be unloaded: {error}{}", users(name)));
        }
    }
    crate::checks::report(link, "rmmod", &problems);
    problems.is_empty()
}

fn unload(name: &str) -> Result<(), Errno> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match delete_module(&name, DeleteModuleFlags::O_NONBLOCK) {
            Err(Errno::EAGAIN | Errno::EBUSY) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

/// Who may hold the module, for a message.
fn users(name: &str) -> String {
    let count = fs::read_to_string(format!("/sys/module/{name}/refcnt")).unwrap_or_default();
    let holders = processes::users_of_device(&format!("/dev/{name}"));
    let holders = if holders.is_empty() {
        "no process has its device open".to_string()
    } else {
        holders.join(", ")
    };
    format!(" (reference count {}; {holders})", count.trim())
}
