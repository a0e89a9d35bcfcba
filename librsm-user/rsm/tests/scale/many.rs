// SPDX-License-Identifier: MIT OR Apache-2.0
//! As many segments and imports at the same time as anybody is going to have.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{fence, Ordering};

use nix::errno::Errno;
use nix::sys::resource::{setrlimit, Resource, RLIM_INFINITY};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ};
use crate::common::pair::map;
use crate::common::process::{become_user, in_child};
use crate::common::raw::{self, failure, Connection, PAGE};
use crate::common::{debug_kernel, soak};

const MARK: u64 = 0x5eed_0000_0000_0000;

/// Pages that the segments are of: fewer than segments, since memory is not what is tried.
const PAGES: usize = 1000;

/// Imports of one controller.
const GROUP: usize = 50_000;

struct Many {
    exports: Vec<OwnedFd>,
    ids: Vec<u32>,
    imports: Vec<Connection>,
    /// The status tables.
    tables: Vec<Map>,
    controllers: Vec<File>,
    memory: Map,
}

impl Many {
    fn new(number: usize) -> Self {
        let memory = Map::anonymous(PAGES * PAGE);
        memory.mark(MARK);
        let controllers: Vec<_> = (0..number.div_ceil(GROUP))
            .map(|_| raw::controller())
            .collect();
        let mut many = Self {
            exports: Vec::new(),
            ids: Vec::new(),
            imports: Vec::new(),
            tables: Vec::new(),
            controllers,
            memory,
        };
        for n in 0..number {
            let addr = many.memory.addr() + (n % PAGES * PAGE) as u64;
            let controller = &many.controllers[n / GROUP];
            let export = raw::create(controller, addr, PAGE as u64);
            let export = export.unwrap_or_else(|e| panic!("segment {n}: {e:?}"));
            let id = raw::publish(&export, 0, &[]);
            let id = id.unwrap_or_else(|e| panic!("publication {n}: {e:?}"));
            let import = raw::connect(controller, id, 0o600);
            many.imports
                .push(import.unwrap_or_else(|e| panic!("import {n}: {e:?}")));
            many.exports.push(export);
            many.ids.push(id);
        }
        for (number, controller) in many.controllers.iter().enumerate() {
            let imports = many.imports.iter().skip(number * GROUP).take(GROUP);
            let slots = imports.map(|import| import.slot as usize + 1).max();
            let len = (slots.unwrap_or(0) * 8).next_multiple_of(PAGE);
            let table = Map::shared(controller.as_raw_fd(), len, READ);
            many.tables.push(table.expect("status table"));
        }
        many
    }

    fn live(&self, n: usize) -> bool {
        fence(Ordering::SeqCst);
        let import = &self.imports[n];
        self.tables[n / GROUP].load(import.slot as usize * 8) == import.generation
    }

    /// Every so many of them, the last one too.
    fn some(&self, step: usize) -> impl Iterator<Item = usize> {
        let number = self.imports.len();
        (0..number).step_by(step).chain([number - 1])
    }
}

/// Each import is of its own segment, and of no other, whatever happens to the others. With the
/// limits that there are by default, for one user.
#[test]
fn segments_and_imports() {
    let number = match (soak(), debug_kernel()) {
        (true, false) => 100_000,
        (false, false) => 20_000,
        (_, true) => 1_000,
    };
    let books = Books::open();
    let files = Knob::set("/proc/sys/fs/file-max", 1_000_000);
    in_child(|| {
        let descriptors = 2 * number as u64 + 100;
        setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).expect("setrlimit");
        setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).expect("setrlimit");
        become_user(1000, 1000, &[]);
        let mut many = Many::new(number);
        for n in many.some(97) {
            let window = map(&many.imports[n], READ);
            assert_eq!(window.load(0), MARK | (n % PAGES) as u64, "import {n}");
            assert!(many.live(n), "import {n}");
        }
        let none = failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);
        for n in many.some(101) {
            raw::post(&many.imports[n], 0).expect("post");
            let next = (n + 1) % number;
            assert_eq!(
                raw::wait(&many.exports[next], 0),
                Err(none),
                "segment {next}"
            );
            assert_eq!(raw::wait(&many.exports[n], 0), Ok(()), "segment {n}");
            raw::post(&many.exports[n], 0).expect("post");
            assert_eq!(
                raw::wait(&many.imports[next], 0),
                Err(none),
                "import {next}"
            );
            assert_eq!(raw::wait(&many.imports[n], 0), Ok(()), "import {n}");
        }
        for n in (0..number).step_by(2) {
            raw::unpublish(&many.exports[n]).expect("unpublish");
        }
        for n in 0..number {
            assert_eq!(many.live(n), n % 2 == 1, "import {n}");
        }
        let gone = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
        for n in many.some(103) {
            let controller = &many.controllers[n / GROUP];
            let again = raw::connect(controller, many.ids[n], 0o600).map(drop);
            let expected = if n % 2 == 1 { Ok(()) } else { Err(gone) };
            assert_eq!(again, expected, "id of segment {n}");
        }
        drop(many.exports.drain(..number - 200));
        // The rest goes with the process.
        std::mem::forget(many);
    });
    drop(files);
    books.balance();
}
