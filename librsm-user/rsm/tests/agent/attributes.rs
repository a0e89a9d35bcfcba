// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a controller says of itself and of its place.

use crate::common::knob::Knob;
use crate::common::memory::Map;
use crate::common::process::{become_user, in_child};
use crate::common::raw::{self, PAGE};
use crate::USED_UP;

#[test]
fn attributes_are_those_of_the_processor() {
    let controller = raw::controller();
    let attributes = raw::attributes(&controller);
    assert_eq!(attributes.page_size as usize, PAGE);
    assert_eq!(attributes.direct_access_sizes, 1 | 2 | 4 | 8);
    assert_eq!(attributes.atomic_sizes, 1 | 2 | 4 | 8);
    // Not less than what the other tests do.
    for (what, least, value) in [
        ("segment", 64 << 20, attributes.max_export_segment_size),
        ("segments", 64 << 20, attributes.tot_export_segment_size),
        ("number of segments", 600, attributes.max_export_segments),
        ("mapping", 64 << 20, attributes.max_import_map_size),
        ("mappings", 64 << 20, attributes.tot_import_map_size),
        ("number of imports", 1000, attributes.max_import_segments),
    ] {
        assert!(value >= least, "{what}: {value}, not {least}");
    }
    assert!(attributes.max_export_segment_size <= attributes.tot_export_segment_size);
    assert!(attributes.max_import_map_size <= attributes.tot_import_map_size);
    assert_eq!(raw::attributes(&controller), attributes, "asked again");
    in_child(|| {
        become_user(1001, 2001, &[]);
        let seen = raw::attributes(&raw::controller());
        assert_eq!((seen.page_size, seen.atomic_sizes), (4096, 15), "anybody");
    });
}

/// They follow the parameters of the module, and are true.
#[test]
fn attributes_follow_the_limits() {
    let controller = raw::controller();
    let before = raw::attributes(&controller);
    let settings = [
        Knob::parameter("max_segments", 7),
        Knob::parameter("max_imports", 9),
        Knob::parameter("max_exported_mem", 20 * PAGE),
    ];
    let seen = raw::attributes(&controller);
    assert_eq!(seen.max_export_segments, 7);
    assert_eq!(seen.max_import_segments, 9);
    assert_eq!(seen.tot_export_segment_size as usize, 20 * PAGE);
    assert_eq!(seen.max_export_segment_size as usize, 20 * PAGE);
    let memory = Map::anonymous(PAGE);
    let create = || raw::create(&controller, memory.addr(), PAGE as u64);
    let segments: Vec<_> = (0..7).map(|_| create().expect("create")).collect();
    assert_eq!(create().map(drop), Err(USED_UP));
    drop(segments);
    // Without a limit, something can be made all the same.
    settings.iter().for_each(|knob| knob.turn(0));
    let free = raw::attributes(&controller);
    assert!(free.max_export_segments > 7, "{free:?}");
    assert!(free.max_import_segments > 9, "{free:?}");
    assert!(
        free.tot_export_segment_size as usize > 20 * PAGE,
        "{free:?}"
    );
    drop(settings);
    assert_eq!(raw::attributes(&controller), before, "as before");
}

#[test]
fn topology_is_of_one_node() {
    let controller = raw::controller();
    let topology = raw::topology(&controller);
    assert_eq!(topology.local_node, raw::local_node(&controller));
    assert_eq!(topology.controllers, 0, "other nodes are not to be reached");
}
