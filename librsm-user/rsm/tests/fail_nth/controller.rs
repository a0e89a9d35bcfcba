// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controller descriptors and their status table.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::memory::{Map, READ};
use crate::common::pair::Pair;
use crate::common::raw::{self, PAGE};
use crate::sweep::Sweep;
use crate::{map_apart, skipped};

fn open() -> Result<File, Errno> {
    let mut options = File::options();
    let file = options.read(true).write(true).open("/dev/rsm");
    file.map_err(|error| Errno::from_raw(error.raw_os_error().expect("of the kernel")))
}

fn answers(controller: &File) {
    raw::attributes(controller);
}

#[test]
fn open_of_the_first_and_others() {
    if skipped() {
        return;
    }
    // Of its IPC namespace, and of its user, whose account is there already if it has used up ids.
    let first = Sweep::of("first open").run(|| (), |()| open(), |(), file| answers(&file));
    first.assert_failed(8, 1);
    let other = Sweep::of("open").run(raw::controller, |_| open(), |_, file| answers(&file));
    other.assert_failed(6, 1);
}

#[test]
fn queries() {
    if skipped() {
        return;
    }
    let controller = raw::controller();
    let query = Sweep::of("query").run(
        || (),
        |()| raw::run(&controller, &mut rsm_query::default()),
        |(), ()| (),
    );
    query.assert_failed(0, 3);
    let attributes = Sweep::of("attributes").run(
        || (),
        |()| raw::run(&controller, &mut rsm_attributes::default()),
        |(), ()| (),
    );
    attributes.assert_failed(0, 3);
    let topology = Sweep::of("topology").run(
        || (),
        |()| raw::run(&controller, &mut rsm_topology::default()),
        |(), ()| (),
    );
    topology.assert_failed(0, 2);
}

#[test]
fn status_table() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let (fd, import) = (pair.controller.as_raw_fd(), &pair.import);
    let assert_live = |table: &Map| {
        assert_eq!(table.load(import.slot as usize * 8), import.generation);
    };
    let map = Sweep::of("map of the status table").run(
        || (),
        |()| map_apart(fd, PAGE, READ),
        |(), table| assert_live(&table),
    );
    map.assert_failed(2, 0);
    // The kernel tries again.
    let touch = Sweep::of("touch of the status table").single().run(
        || map_apart(fd, PAGE, READ).expect("map"),
        |table| {
            table.touch(0);
            Ok::<_, Errno>(())
        },
        |table, ()| assert_live(table),
    );
    touch.assert_all_absorbed();
}
