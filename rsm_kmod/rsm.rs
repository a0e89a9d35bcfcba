// SPDX-License-Identifier: GPL-2.0

//! Revocable shared memory segments: memory that a process can share, and take back.
//!
//! The way of a request goes one way, left to right:
//!
//! ```text
//!   device ─┬─▶ export ─▶ segment ─▶ registry      uapi    commands and results
//!           └─▶ import ─▶ mapping ─▶ trash         kapi    what the kernel crate lacks
//!                 └──────▶ status                  logic   decisions that need no kernel
//! ```
//!
//! `segment.rs` has the life of a segment and the lock order.

use kernel::prelude::*;

mod device;
mod export;
mod import;
#[path = "kernel/mod.rs"]
mod kapi;
// Public items, because Cargo builds these files as a crate of their own.
#[allow(unreachable_pub)]
#[path = "core/mod.rs"]
mod logic;
mod loopback;
mod mapping;
mod registry;
mod segment;
mod stats;
mod status;
mod trash;
mod uapi;

module! {
    type: Rsm,
    name: "rsm",
    authors: ["The RSM for Linux developers"],
    description: "Revocable shared memory segments",
    license: "GPL",
}

/// The loaded module. Fields are dropped in order: no new users, then the statistics.
struct Rsm {
    _device: Pin<KBox<device::Device>>,
    _stats: Pin<KBox<stats::Stats>>,
}

impl kernel::Module for Rsm {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let stats = KBox::pin_init(stats::Stats::new(), GFP_KERNEL)?;
        Ok(Self {
            _device: KBox::pin_init(device::Device::new(), GFP_KERNEL)?,
            _stats: stats,
        })
    }
}
