// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controllers: names, attributes, topology.

use rsm::{Controller, Status};

use crate::common::knob::Knob;
use crate::common::raw::{self, PAGE};
use crate::refused;

#[test]
fn names() {
    for name in ["loopback", "LOOPBACK", "loopback0", "Loopback17"] {
        let controller = Controller::open_named(name).expect(name);
        assert_eq!(controller.name(), "loopback");
    }
    for name in ["", "sci0", "loopback 0", &"loopback".repeat(40)] {
        let status = refused(Controller::open_named(name));
        assert_eq!(status, Status::CtlrNotPresent, "{name}");
    }
}

#[test]
fn attributes_are_the_modules() {
    let controller = Controller::open().expect("open");
    let raw = raw::attributes(&raw::controller());
    let attributes = controller.attributes().expect("attributes");
    assert_eq!(attributes.page_size, PAGE as u64);
    assert_eq!(attributes.direct_access_sizes.bits(), 15);
    assert_eq!(attributes.atomic_sizes.bits(), 15);
    let limit = |value| (value != u64::MAX).then_some(value);
    assert_eq!(
        attributes.max_export_segments,
        limit(raw.max_export_segments)
    );
    assert_eq!(
        attributes.max_import_segments,
        limit(raw.max_import_segments)
    );

    let _knob = Knob::parameter("max_segments", 77);
    let attributes = controller.attributes().expect("attributes");
    assert_eq!(attributes.max_export_segments, Some(77));
}

#[test]
fn topology_has_this_node() {
    let controller = Controller::open().expect("open");
    let topology = controller.topology().expect("topology");
    assert_eq!(topology.local_node(), controller.local_node());
    assert_eq!(topology.remote_controllers(), 0);
    let nodes: Vec<_> = topology.nodes().collect();
    assert_eq!(nodes, [controller.local_node()]);
}
