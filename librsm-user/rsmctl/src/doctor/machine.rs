// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel, the module, the device.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use rsm::{Controller, SegmentIdRange, Status, SEGMENT_ID_FILE};

use super::finding;
use crate::names::Users;
use crate::observe::DEBUGFS;
use crate::report::{Finding, Level};

/// Series of the kernel that the module is built and tested for; see Documentation/kernels.md.
const SERIES: [&str; 2] = ["7.2", "7.3"];

/// Version of the module's interface that the crate `rsm` speaks.
const ABI_VERSION: u32 = 1;

pub fn look(findings: &mut Vec<Finding>) {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let loaded = Path::new("/sys/module/rsm").exists();
    findings.push(kernel(&release, std::env::consts::ARCH, loaded));
    findings.push(module(&release, loaded));
    if loaded {
        findings.push(device());
        findings.push(interface());
        findings.push(debugfs());
    }
    findings.push(virtual_machines(
        read("/sys/module/kvm/parameters/allow_unsafe_mappings").as_deref(),
    ));
    findings.push(huge_pages(
        read("/sys/kernel/mm/transparent_hugepage/enabled").as_deref(),
    ));
    findings.extend(segment_ids(fs::read(SEGMENT_ID_FILE)));
}

/// A short file, without the end of its line.
pub fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

fn kernel(release: &str, machine: &str, loaded: bool) -> Finding {
    const CHECK: &str = "kernel";
    if machine != "x86_64" {
        return finding(Level::Problem, CHECK, format!("{release} on {machine}"))
            .advise("The module is for x86-64 only.");
    }
    let series = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    // Nothing but digits: 7.2-rc1 is no release.
    if SERIES.contains(&series.as_str()) {
        return finding(
            Level::Ok,
            CHECK,
            format!("{release}, a series the module is tested with"),
        );
    }
    let known = SERIES.join(" and ");
    let found = format!("{release} is of a series the module is not tested with");
    if loaded {
        finding(Level::Warning, CHECK, found).advise(format!(
            "Tested are {known}. That memory is taken back completely is not certain here."
        ))
    } else {
        finding(Level::Problem, CHECK, found).advise(format!(
            "Boot a kernel of the series {known} with CONFIG_RUST=y."
        ))
    }
}

fn module(release: &str, loaded: bool) -> Finding {
    const CHECK: &str = "module";
    if loaded {
        return finding(Level::Ok, CHECK, "rsm is loaded");
    }
    let modules = read(&format!("/lib/modules/{release}/modules.dep"));
    let installed = modules.is_some_and(|list| list.lines().any(names_rsm));
    let found = finding(Level::Problem, CHECK, "rsm is not loaded");
    if installed {
        found.advise(
            "It is installed: `modprobe rsm`, and /etc/modules-load.d/rsm.conf for every boot.",
        )
    } else {
        found.advise("It is not installed for this kernel: `make module modules_install`, then `modprobe rsm`.")
    }
}

/// `updates/rsm.ko.xz: …`
fn names_rsm(line: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split('.').next() == Some("rsm")
}

fn device() -> Finding {
    const CHECK: &str = "device";
    const UDEV: &str =
        "The module makes it; look for what removed it (udev, a container without /dev/rsm).";
    const RULE: &str = "Install the udev rule 60-rsm.rules, then `udevadm trigger /dev/rsm`; or ask the administrator.";
    let data = match fs::metadata("/dev/rsm") {
        Ok(data) => data,
        Err(error) => {
            return finding(Level::Problem, CHECK, format!("/dev/rsm: {error}")).advise(UDEV);
        }
    };
    let (major, minor) = (
        nix::sys::stat::major(data.rdev()),
        nix::sys::stat::minor(data.rdev()),
    );
    let expected = read("/sys/class/misc/rsm/dev");
    let numbers = format!("{major}:{minor}");
    if !data.file_type().is_char_device() || expected.as_ref().is_some_and(|dev| *dev != numbers) {
        return finding(Level::Problem, CHECK, "/dev/rsm is not the module's device")
            .advise("Remove it, and load the module anew.");
    }
    let owner = Users::read().name(data.uid());
    let found = format!(
        "/dev/rsm has mode {:04o} and belongs to {owner}",
        data.mode() & 0o7777
    );
    match Controller::open() {
        Ok(_) => finding(Level::Ok, CHECK, format!("{found}; you may use it")),
        Err(error) if error.errno() == Some(Errno::EACCES) => finding(
            Level::Problem,
            CHECK,
            format!("{found}; you may not use it"),
        )
        .advise(RULE),
        Err(error) => finding(Level::Problem, CHECK, error.to_string())
            .advise("Is the module being unloaded? See the kernel's log."),
    }
}

fn interface() -> Finding {
    const CHECK: &str = "interface";
    match Controller::open() {
        Ok(controller) => match controller.abi_version() {
            ABI_VERSION => finding(
                Level::Ok,
                CHECK,
                format!(
                    "version {ABI_VERSION}; this is node {}",
                    controller.local_node()
                ),
            ),
            other => finding(
                Level::Warning,
                CHECK,
                format!("version {other}, and {ABI_VERSION} is known here"),
            )
            .advise("Install programs and module of the same release."),
        },
        Err(_) => finding(Level::Note, CHECK, "cannot be asked without the device"),
    }
}

fn debugfs() -> Finding {
    const CHECK: &str = "debugfs";
    match fs::read_to_string(format!("{DEBUGFS}/segments")) {
        Ok(_) => finding(Level::Ok, CHECK, format!("{DEBUGFS} can be read")),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => finding(
            Level::Note,
            CHECK,
            format!("{DEBUGFS} is for root: you see your own processes' segments only"),
        ),
        Err(_) => finding(Level::Note, CHECK, format!("{DEBUGFS} is not there"))
            .advise("`mount -t debugfs none /sys/kernel/debug`, if the kernel has it."),
    }
}

/// The parameter of kvm with which virtual machines keep what they have mapped.
fn virtual_machines(unsafe_mappings: Option<&str>) -> Finding {
    const CHECK: &str = "kvm";
    match unsafe_mappings {
        Some("Y" | "1") => finding(
            Level::Problem,
            CHECK,
            "kvm.allow_unsafe_mappings=1: virtual machines keep memory that was taken back",
        )
        .advise(
            "`echo N > /sys/module/kvm/parameters/allow_unsafe_mappings`, and remove it from \
             /etc/modprobe.d and the kernel's command line.",
        ),
        Some(_) => finding(Level::Ok, CHECK, "allow_unsafe_mappings is off"),
        None => finding(Level::Ok, CHECK, "not loaded"),
    }
}

fn huge_pages(enabled: Option<&str>) -> Finding {
    const CHECK: &str = "huge pages";
    match enabled {
        Some(text) if text.contains("[never]") => finding(
            Level::Warning,
            CHECK,
            "switched off: large segments take longer to map and to take back",
        )
        .advise("`echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`"),
        Some(_) => finding(Level::Ok, CHECK, "available"),
        None => finding(
            Level::Note,
            CHECK,
            "this kernel has none: large segments take longer to map",
        ),
    }
}

/// The file with applications' ranges of ids, which need not be there.
fn segment_ids(content: io::Result<Vec<u8>>) -> Option<Finding> {
    const CHECK: &str = "segment ids";
    match content {
        Ok(content) => {
            // Nobody has this name, so that every line is looked at.
            let malformed = matches!(
                SegmentIdRange::find(&content, "\u{1}"),
                Err(error) if error.status() == Status::BadConf
            );
            Some(if malformed {
                finding(
                    Level::Warning,
                    CHECK,
                    format!("{SEGMENT_ID_FILE} is malformed"),
                )
                .advise("Each line is a comment or has four fields, and none is blank.")
            } else {
                finding(
                    Level::Ok,
                    CHECK,
                    format!("{SEGMENT_ID_FILE} is well-formed"),
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(
            finding(Level::Warning, CHECK, format!("{SEGMENT_ID_FILE}: {error}"))
                .advise("Everybody should be able to read it."),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels() {
        let level = |release, machine, loaded| kernel(release, machine, loaded).level;
        assert_eq!(level("7.2.12+deb13-cloud-amd64", "x86_64", true), Level::Ok);
        assert_eq!(level("7.3.4", "x86_64", false), Level::Ok);
        assert_eq!(level("7.4.0", "x86_64", true), Level::Warning);
        assert_eq!(level("6.12.1", "x86_64", false), Level::Problem);
        assert_eq!(level("7.20.1", "x86_64", false), Level::Problem);
        assert_eq!(level("7.2.12", "aarch64", true), Level::Problem);
        assert_eq!(level("", "x86_64", false), Level::Problem);
    }

    #[test]
    fn installed_modules() {
        assert!(names_rsm("updates/rsm.ko: kernel/mm/x.ko"));
        assert!(names_rsm("extra/rsm.ko.xz:"));
        assert!(!names_rsm("kernel/drivers/rsmx.ko:"));
        assert!(!names_rsm("kernel/x.ko: updates/rsm.ko"));
    }

    #[test]
    fn unsafe_mappings_are_a_problem() {
        assert_eq!(virtual_machines(Some("Y")).level, Level::Problem);
        assert!(virtual_machines(Some("Y")).advice.is_some());
        assert_eq!(virtual_machines(Some("N")).level, Level::Ok);
        assert_eq!(virtual_machines(None).level, Level::Ok);
    }

    #[test]
    fn pages() {
        assert_eq!(
            huge_pages(Some("always madvise [never]")).level,
            Level::Warning
        );
        assert_eq!(huge_pages(Some("always [madvise] never")).level, Level::Ok);
    }

    #[test]
    fn ranges_of_ids() {
        let level = |text: &str| segment_ids(Ok(text.into())).map(|finding| finding.level);
        assert_eq!(level("# none\nreserved A 0x600000 10\n"), Some(Level::Ok));
        assert_eq!(level("reserved A 0x600000 10\n\n"), Some(Level::Warning));
        assert_eq!(segment_ids(Err(io::ErrorKind::NotFound.into())), None);
    }
}
