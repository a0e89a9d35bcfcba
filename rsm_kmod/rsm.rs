// SPDX-License-Identifier: GPL-2.0

//! Revocable shared memory segments: memory that a process can share, and take back.
//!
//! The way of a request goes one way, left to right:
//!
//! ```text
//!   device ─┬─▶ export ─▶ segment ─▶ names       uapi    commands and results
//!           │               └──────▶ backing ─▶ watch
//!           └─▶ import ─▶ connection ─▶ status, events
//!                 └─────▶ mapping ─▶ trash        kapi    what the kernel crate lacks
//!                                                 logic   decisions that need no kernel
//! ```
//!
//! `segment.rs` has the life of a segment and the lock order.

use kernel::prelude::*;

mod backing;
mod connection;
mod device;
mod events;
mod export;
mod import;
mod interconnect;
#[path = "kernel/mod.rs"]
mod kapi;
mod limits;
mod line;
// Public items, because Cargo builds these files as a crate of their own.
#[allow(unreachable_pub)]
#[path = "core/mod.rs"]
mod logic;
mod loopback;
mod mapping;
mod names;
mod roll;
mod segment;
mod stats;
mod status;
mod table;
mod trash;
mod uapi;
mod watch;

module! {
    type: Rsm,
    name: "rsm",
    authors: ["The RSM for Linux developers"],
    description: "Revocable shared memory segments",
    license: "GPL",
}

/// The loaded module. Fields are dropped in order: no new users, then what is still to be done for
/// former ones, then the statistics.
struct Rsm {
    _device: Pin<KBox<device::Device>>,
    _queues: watch::Queues,
    _stats: Pin<KBox<stats::Stats>>,
}

impl kernel::Module for Rsm {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if !kapi::params::valid() {
            pr_err!("local_node must be at most 63, max_exported_percent at most 100\n");
            return Err(EINVAL);
        }
        let queues = watch::Queues::start()?;
        let roll = roll::Roll::new()?;
        let stats = KBox::pin_init(stats::Stats::new(roll.clone()), GFP_KERNEL)?;
        Ok(Self {
            _device: KBox::pin_init(device::Device::new(roll), GFP_KERNEL)?,
            _queues: queues,
            _stats: stats,
        })
    }
}
