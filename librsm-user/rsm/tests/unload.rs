// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unloading the module: refused while anybody uses it, and otherwise without a trace.

mod common;

use std::fs;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

use common::memory::{Map, READ};
use common::module;
use common::pair::{Pair, OLD};
use common::raw::{self, PAGE};
use common::{debug_kernel, soak};

#[track_caller]
fn assert_refused(what: &str) {
    assert_eq!(module::unload(), Err(Errno::EAGAIN), "{what}");
}

#[test]
fn refused_while_there_is_a_descriptor() {
    let Pair {
        controller,
        memory,
        export,
        import,
        window,
        ..
    } = Pair::new(2);
    assert_refused("everything");
    let slots = Map::shared(controller.as_raw_fd(), PAGE, READ).expect("status table");
    drop((window, import, export));
    assert_refused("a controller and its table");
    drop(controller);
    assert_refused("only the table");
    slots.touch(0);
    drop(slots);
    module::reload();

    let controller = raw::controller();
    let export = raw::create(&controller, memory.addr(), memory.len as u64).expect("create");
    drop(controller);
    assert_refused("only an export");
    raw::destroy(&export).expect("destroy");
    assert_refused("a dead one");
    drop(export);
    module::reload();
}

#[test]
fn refused_while_there_is_a_window() {
    let Pair {
        controller,
        memory,
        export,
        import,
        window,
        ..
    } = Pair::new(2);
    drop((controller, import));
    assert_refused("an export and a window");
    window.assert_marked(OLD, 0);
    drop(export);
    assert_refused("a window on nothing");
    window.assert_zero();
    window.store(8, 1);
    drop((window, memory));
    module::reload();
}

/// KiB of kernel memory that cannot be reclaimed: objects, and areas of `vmalloc`.
fn kernel_kib() -> u64 {
    // Gives back what is only kept.
    fs::write("/proc/sys/vm/drop_caches", "3").expect("drop_caches");
    let text = fs::read_to_string("/proc/meminfo").expect("meminfo");
    let value = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.expect(name).trim_end_matches("kB").trim();
        number.parse().expect("a number of KiB")
    };
    value("SUnreclaim:") + value("VmallocUsed:")
}

/// Each time with a segment and a revoked import. What the module itself leaves, to the object,
/// is for the guest's detectors to find; this is about what the kernel keeps for a module.
#[test]
fn loaded_many_times() {
    let rounds = match (soak(), debug_kernel()) {
        (true, _) => 1_000,
        (false, false) => 50,
        (false, true) => 12,
    };
    let file = module::file();
    let mut before = 0;
    for round in 0..rounds {
        let pair = Pair::new(2);
        pair.destroy();
        pair.window.assert_zero();
        drop(pair);
        module::unload_soon();
        module::assert_absent();
        module::load(&file).expect("load");
        if round == 9 {
            before = kernel_kib();
        }
    }
    module::open_to_everyone();
    let grown = kernel_kib().saturating_sub(before);
    println!("{grown} KiB more after {rounds} rounds");
    // A debug kernel keeps what has been freed for a while.
    if !debug_kernel() {
        // A page each time would be four times the first part of it.
        let most = rounds + 2_048;
        assert!(grown < most, "{grown} KiB more after {rounds} rounds");
    }
}
