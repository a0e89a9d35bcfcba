// SPDX-License-Identifier: MIT OR Apache-2.0
//! The limit on locked memory: charged at create, credited when the segment is gone,
//! whoever and whatever ends it.

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{setrlimit, Resource};
use rsm_sys::*;

use crate::common::books::Books;
use crate::common::memory::Map;
use crate::common::process::{become_user, in_child, spawn, Steps};
use crate::common::raw::{self, failure, Failure, PAGE};

const OVER: Failure = failure(Errno::ENOMEM, RSM_STATUS_INSUFFICIENT_MEM);
const LIMIT: usize = 16;

/// Becomes a user who may lock 16 pages, and nobody else's tests use.
fn become_limited(uid: u32) {
    let bytes = (LIMIT * PAGE) as u64;
    setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes).expect("setrlimit");
    become_user(uid, uid, &[]);
}

fn export(
    controller: &std::fs::File,
    memory: &Map,
    pages: usize,
) -> Result<std::os::fd::OwnedFd, Failure> {
    raw::create(controller, memory.addr(), (pages * PAGE) as u64)
}

#[test]
fn up_to_the_limit_and_no_further() {
    let books = Books::open();
    in_child(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        become_limited(4100);
        let export = |pages| export(&controller, &memory, pages);
        assert_eq!(export(LIMIT + 1).map(drop), Err(OVER));
        let all = export(LIMIT).expect("all that is allowed");
        assert_eq!(
            export(1).map(drop),
            Err(OVER),
            "the same range again is charged again"
        );
        drop(all);
        let most = export(LIMIT - 1).expect("credited by close");
        assert_eq!(export(2).map(drop), Err(OVER));
        let rest = export(1).expect("the last page");
        assert_eq!(export(1).map(drop), Err(OVER));
        raw::destroy(&most).expect("destroy");
        let again = export(LIMIT - 1).expect("credited by destroy, while the descriptor is open");
        drop(most);
        assert_eq!(
            export(1).map(drop),
            Err(OVER),
            "close after destroy credits nothing"
        );
        drop((again, rest));
        drop(export(LIMIT).expect("all of it, at the end"));
    });
    books.balance();
}

#[test]
fn processes_of_a_user_share_the_limit() {
    let books = Books::open();
    let steps = Steps::new();
    let first = spawn(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        become_limited(4101);
        let _held = export(&controller, &memory, 10).expect("export");
        steps.reach(0);
        loop {
            std::thread::park();
        }
    });
    steps.await_step(0);
    let second = spawn(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        become_limited(4101);
        assert_eq!(export(&controller, &memory, 7).map(drop), Err(OVER));
        let _held = export(&controller, &memory, 6).expect("export");
        steps.reach(1);
        steps.await_step(2);
        drop(export(&controller, &memory, 10).expect("credited by the other's death"));
    });
    steps.await_step(1);
    in_child(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        become_limited(4102);
        drop(export(&controller, &memory, LIMIT).expect("another user has a limit of its own"));
    });
    first.kill();
    steps.reach(2);
    second.join();
    drop(steps);
    books.balance();
}

#[test]
fn failures_charge_nothing() {
    in_child(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        // SAFETY: of our own mapping.
        unsafe { libc::munmap(memory.at(8 * PAGE).cast(), PAGE) };
        memory
            .protect(12 * PAGE, PAGE, libc::PROT_READ)
            .expect("mprotect");
        become_limited(4103);
        for _ in 0..10 {
            let hole = export(&controller, &memory, 10).map(drop);
            assert_eq!(hole, Err(failure(Errno::EFAULT, RSM_STATUS_BAD_ADDR)));
            let read_only = raw::create(&controller, memory.addr() + 9 * 4096, 5 * 4096).map(drop);
            assert_eq!(
                read_only,
                Err(failure(Errno::EACCES, RSM_STATUS_PERM_DENIED))
            );
        }
        assert_eq!(Books::private_now().0, 0, "VmPin");
        let addr = memory.addr() + 16 * PAGE as u64;
        raw::create(&controller, addr, (LIMIT * PAGE) as u64).expect("all of the limit is left");
    });
}

#[test]
fn the_user_who_was_charged_is_credited() {
    in_child(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        let bytes = (LIMIT * PAGE) as u64;
        setrlimit(Resource::RLIMIT_MEMLOCK, bytes, bytes).expect("setrlimit");
        let switch = |uid: u32| {
            // Root stays the saved user, without its capabilities meanwhile.
            // SAFETY: changes ids of this process.
            unsafe {
                assert_eq!(libc::setresuid(u32::MAX, 0, u32::MAX), 0);
                assert_eq!(libc::setresuid(uid, uid, 0), 0);
            }
        };
        switch(4104);
        let held = export(&controller, &memory, LIMIT).expect("export");
        switch(4105);
        let other = export(&controller, &memory, LIMIT).expect("the other's limit is untouched");
        drop(held);
        assert_eq!(export(&controller, &memory, 1).map(drop), Err(OVER));
        switch(4104);
        let again = export(&controller, &memory, LIMIT).expect("the first is credited");
        raw::destroy(&other).expect("destroy");
        assert_eq!(export(&controller, &memory, 1).map(drop), Err(OVER));
        drop(again);
    });
}

#[test]
fn privileged_processes_are_exempt() {
    in_child(|| {
        let controller = raw::controller();
        let memory = Map::anonymous(64 * PAGE);
        setrlimit(Resource::RLIMIT_MEMLOCK, 0, 0).expect("setrlimit");
        let held = export(&controller, &memory, 64).expect("CAP_IPC_LOCK");
        assert_eq!(Books::private_now().0, 256, "VmPin counts it all the same");
        drop(held);
        assert_eq!(Books::private_now().0, 0, "VmPin");
    });
}
