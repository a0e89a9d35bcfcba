// SPDX-License-Identifier: MIT OR Apache-2.0
//! The benchmark still measures what it says. How much things cost is not looked at.

use rsm_bench::measure::{Report, Row};
use rsm_bench::peers;

/// Numbers of columns.
const RSM: usize = 0;
const MEMFD: usize = 1;
const SHM: usize = 2;
const PROCESS_VM: usize = 3;
const SOCKET: usize = 4;
const PIPE: usize = 5;
const EVENTFD: usize = 6;

fn row<'a>(report: &'a Report, name: &str) -> &'a Row {
    report.row(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn every_row_has_its_columns() {
    let report = peers::run(&peers::Options::brief()).expect("measurement");
    println!("{report}");
    let shared = &[RSM, MEMFD, SHM][..];
    let expected = [
        ("fill: 2 MiB of THP", shared),
        ("create: 2 MiB of 4 KiB pages", shared),
        ("destroy: 4 MiB of THP", &[RSM]),
        ("publish: 4 KiB of 4 KiB pages", shared),
        ("connect + map: 4 KiB of 4 KiB pages", shared),
        ("first touch: 2 MiB of 4 KiB pages", shared),
        ("first touch: 4 MiB of THP", &[RSM]),
        ("second touch: 2 MiB of THP", shared),
        ("unmap: 2 MiB of 4 KiB pages", shared),
        ("disconnect: 4 KiB of 4 KiB pages", shared),
        (
            "connect, map, touch, unmap, disconnect: 4 KiB of 4 KiB pages",
            shared,
        ),
        (
            "copy out: 2 MiB of 4 KiB pages",
            &[RSM, MEMFD, SHM, PROCESS_VM, SOCKET, PIPE],
        ),
        ("copy in: 2 MiB of THP", &[RSM, MEMFD, SHM, PROCESS_VM]),
        ("put 8 B", &[RSM, MEMFD, PROCESS_VM, SOCKET, PIPE]),
        ("get 4 KiB", &[RSM, MEMFD, PROCESS_VM]),
        ("barrier open + close", &[RSM]),
        (
            "signal post + wait, one process",
            &[RSM, SOCKET, PIPE, EVENTFD],
        ),
        (
            "signal there and back, two processes",
            &[RSM, SOCKET, PIPE, EVENTFD],
        ),
        ("revoke, 1 importer: 2 MiB of 4 KiB pages", &[RSM, MEMFD]),
        ("revoke, 3 importers: 2 MiB of THP", &[RSM, MEMFD]),
        ("rebind, 1 importer: 2 MiB of THP", &[RSM]),
        ("kernel memory: 4 KiB of 4 KiB pages", shared),
    ];
    for (name, columns) in expected {
        let row = row(&report, name);
        // By which an accepted result knows whether it should be there.
        let scene = row.scene.as_ref();
        let played = scene.is_some_and(|scene| report.scenes.contains(scene));
        assert_eq!(played, columns.contains(&RSM), "{name}: {scene:?}");
        for column in 0..report.columns.len() {
            // What the kernel may not have.
            if column == PROCESS_VM && row.cost(column).is_none() {
                continue;
            }
            let there = row.cost(column).is_some();
            assert_eq!(
                there,
                columns.contains(&column),
                "{name}, {}",
                report.columns[column]
            );
        }
    }
    for (name, column, most) in [
        ("first touch, faults: 4 MiB of 4 KiB pages", RSM, 4),
        ("first touch, faults: 4 MiB of THP", RSM, 4),
        ("first touch, faults: 4 MiB of 4 KiB pages", MEMFD, 1024),
    ] {
        let faults = row(&report, name).cost(column).expect("faults").median;
        assert!((2..=most).contains(&faults), "{faults} faults, {name}");
    }
}
