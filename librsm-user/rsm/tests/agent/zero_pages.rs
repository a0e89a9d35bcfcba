// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many pages there can be behind revoked windows: of a user, and of all together.

use std::fs;

use crate::common::books::{objects, Books};
use crate::common::memory::Map;
use crate::common::process::{become_user, spawn, Steps};
use crate::common::raw::PAGE;
use crate::common::{debug_kernel, soak, wait_until};
use crate::{Pair, Remote};

/// Pages that are looked at beyond a limit.
const MORE: usize = 4;

/// Users of no other test.
const ONE: u32 = 4400;
const OTHER: u32 = 4401;

/// Pages of the machine.
fn total() -> usize {
    let meminfo = fs::read_to_string("/proc/meminfo").expect("meminfo");
    let total = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.expect("MemTotal").trim_end_matches("kB").trim();
    total.parse::<usize>().expect("a number of KiB") / 4
}

/// Pages behind revoked windows.
fn held() -> usize {
    objects()["live_trash_pages"] as usize
}

/// What a process stores in a page.
fn own(tag: u64, page: usize) -> u64 {
    (tag << 32) | page as u64
}

/// Stores to so many pages.
fn fill(window: &Map, tag: u64, pages: usize) {
    for page in 0..pages {
        window.store(page * PAGE, own(tag, page));
    }
}

/// Fails unless just the first of a window's pages are pages of their own.
#[track_caller]
fn assert_own(window: &Map, tag: u64, pages: usize) {
    let beyond = pages..pages + MORE;
    for page in beyond.clone() {
        window.store(page * PAGE, own(tag, page));
    }
    for page in 0..pages {
        let seen = window.load(page * PAGE);
        assert_eq!(seen, own(tag, page), "page {page} of {pages}");
    }
    let seen: Vec<u64> = beyond.map(|page| window.load(page * PAGE)).collect();
    assert_eq!(seen, [own(tag, pages + MORE - 1); MORE], "beyond {pages}");
}

/// One user has its share in two processes, on two imports. That and what another has is the share
/// of all.
#[test]
fn shares_of_a_user_and_of_all() {
    // Twenty thousand pages, each of which takes it a millisecond.
    if debug_kernel() && !soak() {
        println!("on the debug kernel only with full counts");
        return;
    }
    let books = Books::open();
    let (of_user, of_all) = (total() / 64, total() / 32);
    assert!(of_user < 16_384, "the limit of a view would come first");
    // What each of the four has, the last with the remainder.
    let quarter = of_user / 4;
    let rest = of_user - 3 * quarter;
    let pair = Pair::new(of_user + MORE);
    // Whether all of it comes back is seen by having it once more.
    let again = Pair::new(of_user + MORE);

    let steps = Steps::new();
    let one = spawn(|| {
        become_user(ONE, ONE, &[]);
        let imports = [Remote::of(pair.id), Remote::of(pair.id)];
        let again = Remote::of(again.id);
        let heir = spawn(|| {
            steps.await_step(1);
            fill(&imports[0].window, 3, quarter);
            fill(&imports[1].window, 4, rest);
            steps.reach(2);
            steps.await_step(3);
            assert_own(&imports[0].window, 3, quarter);
            assert_own(&imports[1].window, 4, rest);
            steps.reach(4);
            steps.await_step(5);
        });
        steps.reach(0);
        steps.await_step(1);
        fill(&imports[0].window, 1, quarter);
        fill(&imports[1].window, 2, quarter);
        heir.await_step(&steps, 2);
        assert_own(&imports[0].window, 1, quarter);
        assert_own(&imports[1].window, 2, quarter);
        steps.reach(3);
        steps.await_step(5);
        heir.join();
        drop(imports);
        steps.reach(6);
        steps.await_step(7);
        fill(&again.window, 5, of_user);
        assert_own(&again.window, 5, of_user);
    });
    let other = spawn(|| {
        become_user(OTHER, OTHER, &[]);
        let import = Remote::of(pair.id);
        steps.reach(8);
        steps.await_step(4);
        steps.await_step(9);
        let left = steps.passed() as usize;
        fill(&import.window, 6, left);
        assert_own(&import.window, 6, left);
    });
    one.await_step(&steps, 0);
    other.await_step(&steps, 8);
    pair.destroy();
    again.destroy();
    steps.reach(1);
    one.await_step(&steps, 4);
    // Each of the four has one page for all beyond.
    assert_eq!(held(), of_user + 4, "what one user has");
    let left = of_all - held();
    assert!(left < of_user, "the other's own limit would come first");
    steps.pass(left as u32);
    steps.reach(9);
    other.join();
    wait_until("the other's are gone", 150, || held() == of_user + 4);
    steps.reach(5);
    one.await_step(&steps, 6);
    wait_until("all are gone", 150, || held() == 0);
    steps.reach(7);
    one.join();
    drop((pair, again, steps));
    books.balance();
}
