// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots a kernel in QEMU with our module and some test programs, and decides
//! whether the run was good.
//!
//! Two programs share this library: `rsm-vm` on the host and `rsm-init`, which
//! is process 1 of the guest. They meet in two places only:
//!
//! * [`plan`]: what the guest shall do, a file in its initial root;
//! * [`protocol`]: what the guest says while it does it, one line per record
//!   on its second serial port. The first one is the kernel's console.
//!
//! A run, as the host sees it ([`boot`]):
//!
//! | state | ends with | a run that goes no further is |
//! |---|---|---|
//! | booting | `hello` | a guest that did not start |
//! | loading | one `module` record each | failed, nothing is run |
//! | running | `start`, `out`…, `exit` for each program | failed at that program |
//! | checking | one `check` record per detector | failed, the check is missing |
//! | ended | `end` and the number of records sent | failed if a record was lost |
//! | off | QEMU is gone | killed and failed |
//!
//! Beside what the guest says of itself the host reads the console
//! ([`console`]): a guest cannot report its own panic.

pub mod accel;
pub mod boot;
pub mod console;
pub mod cpio;
pub mod guest_root;
pub mod kernel_dir;
pub mod plan;
pub mod protocol;
pub mod qemu;
pub mod report;
pub mod run;
pub mod selftest;
pub mod suite;
pub mod terminal;
pub mod totals;
pub mod tsc;
