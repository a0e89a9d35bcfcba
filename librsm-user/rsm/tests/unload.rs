// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unloading the module: refused while anybody uses it, and otherwise without a trace. Loading it
//! with parameters.

mod common;

use std::fs;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use rsm_sys::*;

use common::memory::{Map, READ};
use common::module;
use common::pair::{Pair, Remote, OLD};
use common::raw::{self, failure, PAGE};
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

/// What the kernel says of values that it cannot read, and the module of those that make no sense.
#[test]
fn bad_parameters_leave_nothing() {
    let file = module::file();
    module::unload_soon();
    for (parameters, errno) in [
        ("local_node=64", Errno::EINVAL),
        ("local_node=18446744073709551615", Errno::EINVAL),
        ("local_node=18446744073709551616", Errno::ERANGE),
        ("local_node=-1", Errno::EINVAL),
        ("local_node=five", Errno::EINVAL),
        ("local_node", Errno::EINVAL),
        ("max_exported_percent=101", Errno::EINVAL),
        ("local_node=5 max_exported_percent=101", Errno::EINVAL),
    ] {
        let result = module::load_with(&file, parameters);
        if result.is_ok() {
            module::unload_soon();
        }
        assert_eq!(result, Err(errno), "{parameters}");
        module::assert_absent();
    }
    // The largest that make sense.
    let most = "local_node=63 max_exported_percent=100";
    module::load_with(&file, most).expect(most);
    assert_eq!(raw::local_node(&raw::controller()), 63);
    module::reload();
}

/// The kernel tells the operator of a parameter that there is not, and loads the module.
#[test]
fn unknown_parameters_are_ignored() {
    let file = module::file();
    module::unload_soon();
    let result = module::load_with(&file, "no_such_parameter=1 local_node=7");
    result.expect("load");
    assert_eq!(raw::local_node(&raw::controller()), 7, "the other one");
    module::reload();
}

#[test]
fn loaded_as_another_node() {
    const NODE: u32 = 5;
    module::unload_soon();
    module::load_with(&module::file(), "local_node=5").expect("load");
    let shown = fs::read_to_string("/sys/module/rsm/parameters/local_node");
    assert_eq!(shown.expect("local_node").trim(), "5");

    let controller = raw::controller();
    assert_eq!(raw::local_node(&controller), NODE, "query");
    let topology = raw::topology(&controller);
    assert_eq!((topology.local_node, topology.controllers), (NODE, 0));
    {
        let library = rsm::Controller::open().expect("open");
        assert_eq!(library.local_node().get(), NODE, "library");
        let nodes: Vec<u32> = library
            .topology()
            .expect("topology")
            .nodes()
            .map(|node| node.get())
            .collect();
        assert_eq!(nodes, [NODE], "library: nodes");
    }

    let memory = Map::anonymous(2 * PAGE);
    memory.mark(OLD);
    let length = memory.len as u64;
    let export = raw::create(&controller, memory.addr(), length).expect("create");
    let bad_acl = Err(failure(Errno::EINVAL, RSM_STATUS_BAD_ACL));
    let unreachable = Err(failure(Errno::ENODEV, RSM_STATUS_CTLR_NOT_PRESENT));
    let entry = |node| [rsm_access_entry { node, perm: 0o666 }];
    // Node 0 is another one here, as are its neighbours and those that cannot be.
    let others = [0, NODE - 1, NODE + 1, 64, u32::MAX];
    for node in others {
        let id = raw::publish(&export, 0, &entry(node));
        assert_eq!(id, bad_acl, "publish to node {node}");
    }
    let id = raw::publish(&export, 0, &entry(NODE)).expect("publish");
    for node in others {
        let result = raw::republish(&export, &entry(node));
        assert_eq!(result.map(|()| 0), bad_acl, "republish to node {node}");
        let mut connect = rsm_import_connect {
            node,
            segment_id: id,
            perm: 0o600,
            fd: -1,
            ..Default::default()
        };
        let result = raw::run(&controller, &mut connect);
        assert_eq!(result, unreachable, "connect to node {node}");
    }
    raw::republish(&export, &entry(NODE)).expect("republish");
    let remote = Remote::of(id);
    remote.window.assert_marked(OLD, 0);
    assert!(remote.live());
    raw::destroy(&export).expect("destroy");
    remote.assert_taken_back();
    drop((remote, export, controller));
    module::reload();
    assert_eq!(raw::local_node(&raw::controller()), 0, "as before");
}
