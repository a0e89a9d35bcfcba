// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel does to memory in the background, or on behalf of those who watch it:
//! merging, collapsing, write-protection. The segment lives.

use std::ffi::c_void;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use crate::alive::assert_lives;
use crate::common::backing::{HUGE, MADV_COLLAPSE};
use crate::common::knob::Knob;
use crate::common::memory::Map;
use crate::common::raw::PAGE;
use crate::common::wait_until;
use crate::exporter::{huge, small, Exporter};

const KSM: &str = "/sys/kernel/mm/ksm";
const KHUGEPAGED: &str = "/sys/kernel/mm/transparent_hugepage/khugepaged";

const NODES: &str = "/sys/devices/system/node";
const BALANCING: &str = "/sys/kernel/debug/sched/numa_balancing";

/// Waits until a scanner of memory has been through everything twice.
fn await_scans(counter: &str) {
    let scans = || {
        let text = fs::read_to_string(counter).expect("a counter of scans");
        text.trim().parse::<u64>().expect("a number")
    };
    let before = scans();
    wait_until(counter, 150, || scans() >= before + 2);
}

/// Pages that are equal to each other are merged, unless they are pinned.
#[test]
fn merging_of_equal_pages() {
    let _settings = [
        Knob::set(format!("{KSM}/sleep_millisecs"), 1),
        Knob::set(format!("{KSM}/pages_to_scan"), 10_000),
        Knob::set(format!("{KSM}/run"), 1),
    ];
    for area in [small, huge] {
        assert_lives("KSM", area, |e| {
            // Content comes and goes: what is equal now will not be in a moment.
            let content: Vec<u64> = words(e).map(|at| e.area.load(at)).collect();
            words(e).for_each(|at| e.area.store(at, 0x5555));
            let others = Map::anonymous(4 * PAGE);
            (0..4).for_each(|page| others.store(page * PAGE, 0x5555));
            e.advise(-1, e.pages + 2, libc::MADV_MERGEABLE);
            // SAFETY: of our own mapping.
            unsafe { libc::madvise(others.at(0).cast(), others.len, libc::MADV_MERGEABLE) };
            await_scans(&format!("{KSM}/full_scans"));
            for (at, word) in words(e).zip(content) {
                assert_eq!(e.area.load(at), 0x5555);
                e.area.store(at, word);
            }
            e.advise(-1, e.pages + 2, libc::MADV_UNMERGEABLE);
        });
    }
}

/// The words in which the pages of a segment differ.
fn words(exporter: &Exporter) -> impl Iterator<Item = usize> {
    (1..=exporter.pages).flat_map(|page| [page * PAGE, page * PAGE + 8])
}

/// Small pages where a huge one could be.
fn small_where_huge_could_be() -> Map {
    let memory = crate::exporter::huge();
    // The mapping without its pages, which come back one by one.
    for advice in [libc::MADV_NOHUGEPAGE, libc::MADV_DONTNEED] {
        // SAFETY: of our own mapping.
        unsafe { libc::madvise(memory.at(0).cast(), memory.len, advice) };
    }
    memory.mark(0);
    // SAFETY: of our own mapping.
    unsafe { libc::madvise(memory.at(0).cast(), memory.len, libc::MADV_HUGEPAGE) };
    memory
}

#[test]
fn collapsing_on_demand() {
    assert_lives("MADV_COLLAPSE", small_where_huge_could_be, |e| {
        // Refused for pinned pages, in one way or another.
        let pages = e.pages + 2;
        assert_eq!(pages * PAGE, 2 * HUGE);
        let _ = e.try_to_advise(-1, pages, MADV_COLLAPSE);
    });
}

#[test]
fn collapsing_in_the_background() {
    let _settings = [
        Knob::set(format!("{KHUGEPAGED}/scan_sleep_millisecs"), 1),
        Knob::set(format!("{KHUGEPAGED}/pages_to_scan"), 100_000),
        // How long it rests when there was no huge page to be had.
        Knob::set(format!("{KHUGEPAGED}/alloc_sleep_millisecs"), 1),
    ];
    assert_lives("khugepaged", small_where_huge_could_be, |_| {
        await_scans(&format!("{KHUGEPAGED}/full_scans"));
    });
}

/// How often the calling process has been scanned for the node that it uses its memory from.
fn numa_scans() -> u64 {
    let text = fs::read_to_string("/proc/self/sched").expect("sched");
    let line = text.lines().find(|line| line.contains("numa_scan_seq"));
    let (_, number) = line.and_then(|line| line.split_once(':')).expect("scans");
    number.trim().parse().expect("a number")
}

/// On machines with several nodes access to memory is taken away for moments, to see who uses it.
#[test]
fn hints_for_numa_balancing() {
    let on = fs::read_to_string("/proc/sys/kernel/numa_balancing");
    if on.is_ok_and(|on| on.trim() == "0") || fs::metadata(format!("{NODES}/node1")).is_err() {
        println!("skipped: one node, or no balancing");
        return;
    }
    let _settings = [
        Knob::set(format!("{BALANCING}/scan_delay_ms"), 20),
        Knob::set(format!("{BALANCING}/scan_period_min_ms"), 20),
        Knob::set(format!("{BALANCING}/scan_period_max_ms"), 40),
    ];
    for area in [small, huge] {
        assert_lives("NUMA hints", area, |e| {
            let before = numa_scans();
            // Only those who run are scanned.
            // A scan that was held up is not followed by the next for long.
            wait_until("scans", 250, || {
                for page in (0..e.pages).cycle().take(100_000) {
                    e.area.touch((page + 1) * PAGE);
                }
                numa_scans() >= before + 2
            });
        });
    }
}

/// A range for userfaultfd, `struct uffdio_range` and what follows it.
#[repr(C)]
struct Watched {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

/// Watches a segment's area with userfaultfd for writes, until it is dropped.
struct WriteWatch {
    fd: OwnedFd,
}

impl WriteWatch {
    const API: u64 = 0xc018_aa3f;
    const REGISTER: u64 = 0xc020_aa00;
    const WRITE_PROTECT: u64 = 0xc018_aa06;
    const MODE_WRITE_PROTECT: u64 = 1 << 1;

    fn of(exporter: &Exporter) -> Self {
        // SAFETY: makes a descriptor of ours.
        let fd = unsafe {
            let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC);
            assert!(fd >= 0, "userfaultfd: {}", Errno::last());
            OwnedFd::from_raw_fd(fd as i32)
        };
        let watch = Self { fd };
        // `struct uffdio_api`: the version, features, and what it can do.
        let mut api = [0xaa_u64, 0, 0];
        watch.call(Self::API, (&raw mut api).cast());
        let mut range = watch.range(exporter, Self::MODE_WRITE_PROTECT);
        watch.call(Self::REGISTER, (&raw mut range).cast());
        watch
    }

    fn range(&self, exporter: &Exporter, mode: u64) -> Watched {
        Watched {
            start: exporter.area.addr(),
            len: exporter.area.len as u64,
            mode,
            ioctls: 0,
        }
    }

    fn protect(&self, exporter: &Exporter, on: bool) {
        let mut range = self.range(exporter, u64::from(on));
        self.call(Self::WRITE_PROTECT, (&raw mut range).cast());
    }

    fn call(&self, request: u64, argument: *mut c_void) {
        // SAFETY: the structure that belongs to the request.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, argument) };
        assert_eq!(result, 0, "userfaultfd {request:#x}: {}", Errno::last());
    }
}

/// Pages that are protected against writing while the mapping is not: reading goes on, and
/// importers write.
#[test]
fn write_protection_by_userfaultfd() {
    for area in [small, huge] {
        assert_lives("userfaultfd", area, |e| {
            let watch = WriteWatch::of(e);
            for _ in 0..3 {
                watch.protect(e, true);
                e.settle();
                e.area.touch(PAGE);
                watch.protect(e, false);
                e.area.store(PAGE + 16, 1);
            }
            watch.protect(e, true);
        });
    }
}
