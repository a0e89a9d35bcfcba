// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::libc;
use rsm_sys::*;

use crate::common::backing::{huge_memory, HUGE};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::pair::{NEW, OLD};
use crate::common::raw::{self, failure, Failure, PAGE};
use crate::common::wait_until;
use crate::op::Op;
use crate::stage::{Round, Stage};

const PAGES: usize = 16;

const DEAD: Failure = failure(Errno::ESTALE, RSM_STATUS_BAD_SEG_HNDL);
const NOT_PUBLISHED: Failure = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);

struct Exporter {
    controller: File,
    export: OwnedFd,
    first: Map,
    other: Map,
}

/// Memory that rounds have left as good as new: huge pages take long to make.
#[derive(Default)]
pub struct Store {
    small: Vec<Map>,
    huge: Vec<Map>,
}

impl Store {
    fn shelf(&mut self, round: &Round) -> &mut Vec<Map> {
        if round.huge {
            &mut self.huge
        } else {
            &mut self.small
        }
    }

    fn take(&mut self, round: &Round) -> Map {
        let memory = self.shelf(round).pop();
        memory.unwrap_or_else(|| {
            if round.huge {
                huge_memory(HUGE)
            } else {
                Map::anonymous(PAGES * PAGE)
            }
        })
    }
}

/// Shares memory, does its part of the race, and writes something new.
pub fn play(stage: &Stage, round: &Round, store: &mut Store) {
    let controller = raw::controller();
    let (first, other) = (store.take(round), store.take(round));
    first.mark(OLD);
    other.mark(OLD);
    let export = raw::create_with(
        &controller,
        first.addr(),
        first.len as u64,
        RSM_EXPORT_ALLOW_REBIND,
    );
    let exporter = Exporter {
        export: export.expect("create"),
        controller,
        first,
        other,
    };
    let id = raw::publish_mode(&exporter.controller, &exporter.export, 0o666).expect("publish");
    stage.id.store(id, Ordering::Release);
    wait_until("the importer is ready", 150, || {
        stage.ready.load(Ordering::Acquire)
    });
    std::thread::scope(|scope| {
        for index in 0..round.ops.len() {
            if round.is_exporters(index) {
                let exporter = &exporter;
                scope.spawn(move || stage.perform(round, index, |op| exporter.perform(op)));
            }
        }
    });
    stage.await_end();
    exporter.mark(round);
    stage.marked.store(true, Ordering::Release);
    wait_until("the importer has looked", 150, || {
        stage.looked.load(Ordering::Acquire)
    });
    exporter.leave(round, store);
}

impl Exporter {
    fn perform(&self, op: Op) {
        let length = self.first.len as u64;
        match op {
            Op::Rebind => {
                let result = raw::rebind(&self.export, self.other.addr(), length);
                assert!(matches!(result, Ok(()) | Err(DEAD)), "rebind: {result:?}");
            }
            Op::Republish => {
                let result = raw::republish_mode(&self.controller, &self.export, 0o666);
                assert!(
                    matches!(result, Ok(()) | Err(NOT_PUBLISHED | DEAD)),
                    "{result:?}"
                );
            }
            Op::Unpublish => {
                let result = raw::unpublish(&self.export);
                assert!(matches!(result, Ok(()) | Err(NOT_PUBLISHED)), "{result:?}");
            }
            Op::Destroy => raw::destroy(&self.export).expect("destroy"),
            Op::Post => raw::post(&self.export, 0).expect("post"),
            // SAFETY: of our own memory, which nobody uses any more, or only with these
            // calls. A second unmapping of the same place finds nothing: nothing is mapped
            // in this process meanwhile.
            Op::Munmap => unsafe {
                assert_eq!(libc::munmap(self.first.at(0).cast(), self.first.len), 0);
            },
            Op::Mprotect => {
                // Of memory that is unmapped by the other, there is nothing to protect.
                let result = self.first.protect(0, self.first.len, READ);
                assert!(matches!(result, Ok(()) | Err(Errno::ENOMEM)), "{result:?}");
            }
            // SAFETY: as above.
            Op::Dontneed => unsafe {
                libc::madvise(self.first.at(0).cast(), self.first.len, libc::MADV_DONTNEED);
            },
            // SAFETY: the process ends.
            Op::Exit => unsafe { libc::_exit(0) },
            _ => unreachable!("{op:?} is the importer's"),
        }
    }

    /// Takes the memory back, and keeps what is as it was made.
    fn leave(self, round: &Round, store: &mut Store) {
        drop(self.export);
        let shelf = store.shelf(round);
        shelf.push(self.other);
        if round.has(Op::Munmap) {
            self.first.leak();
        } else if !round.has(Op::Dontneed) && !round.has(Op::Mprotect) {
            shelf.push(self.first);
        }
    }

    /// Writes something new to all memory there is.
    fn mark(&self, round: &Round) {
        if !round.has(Op::Munmap) {
            if round.has(Op::Mprotect) {
                let result = self.first.protect(0, self.first.len, READ | WRITE);
                result.expect("mprotect");
            }
            self.first.mark(NEW);
        }
        self.other.mark(NEW);
    }
}
