// SPDX-License-Identifier: MIT OR Apache-2.0

//! The debug kernel is what its name says: every option of `qemu/debug.config`
//! is in the kernel that runs, and what can be seen working is seen working.
//!
//! A checker that is quietly off finds nothing and looks like success. Lockdep
//! and kmemleak, for one, switch themselves off at their first report.
//!
//! On a stock kernel there is nothing to check.

use nix::libc;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::process::Command;
use std::ptr;

const REQUIRED: &str = include_str!("../../../qemu/debug.config");
const PAGE: usize = 4096;

/// Whether this is the debug kernel; if not, the test that asks passes at once.
fn on_debug_kernel() -> bool {
    let debug = std::env::var("RSM_KERNEL_KIND").as_deref() == Ok("debug");
    if !debug {
        println!("skipped: not the debug kernel");
    }
    debug
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn write(path: &str, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| panic!("{path}: cannot write {text:?}: {e}"));
}

/// What a system call returned, as a result.
fn sys(ret: impl Into<i64>) -> io::Result<i64> {
    let ret = ret.into();
    if ret < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ret)
}

/// As [`sys`], for a call that makes a descriptor.
fn sys_fd(what: &str, ret: impl Into<i64>) -> OwnedFd {
    let fd = sys(ret).unwrap_or_else(|e| panic!("{what}: {e}"));
    // SAFETY: the kernel has just made it, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Private memory that goes away by itself.
struct Map {
    addr: *mut u8,
    len: usize,
}

impl Map {
    fn new(len: usize, flags: i32, fd: i32) -> io::Result<Map> {
        // SAFETY: a new mapping touches no memory of ours.
        let addr = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                flags,
                fd,
                0,
            )
        };
        if addr == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Map {
            addr: addr.cast(),
            len,
        })
    }

    fn anon(len: usize) -> Map {
        Map::new(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).expect("mmap")
    }

    fn advise(&self, what: &str, advice: i32) {
        // SAFETY: none of the advice used here gives the memory away.
        let ret = unsafe { libc::madvise(self.addr.cast(), self.len, advice) };
        sys(ret).unwrap_or_else(|e| panic!("madvise {what}: {e}"));
    }

    fn fill(&self, byte: u8) {
        // SAFETY: the mapping is ours, writable, and `len` long.
        unsafe { ptr::write_bytes(self.addr, byte, self.len) };
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: ours, and nothing points into it any more.
        unsafe { libc::munmap(self.addr.cast(), self.len) };
    }
}

/// The kernel's log from its first line.
fn kernel_log() -> String {
    let mut log = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .expect("/dev/kmsg");
    let (mut text, mut line) = (String::new(), [0; 8192]);
    loop {
        match log.read(&mut line) {
            Ok(0) => return text,
            Ok(n) => text.push_str(&String::from_utf8_lossy(&line[..n])),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return text,
            // Overwritten before we read it.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
            Err(e) => panic!("/dev/kmsg: {e}"),
        }
    }
}

// ---------------------------------------------------------------- options

#[test]
fn every_option_is_in_the_running_kernel() {
    if !on_debug_kernel() {
        return;
    }
    let unpacked = Command::new("zcat")
        .arg("/proc/config.gz")
        .output()
        .expect("zcat");
    assert!(
        unpacked.status.success(),
        "zcat /proc/config.gz: {unpacked:?}"
    );
    let config = String::from_utf8(unpacked.stdout).expect("text");
    let mut missing = Vec::new();
    let mut seen = 0;
    let required = REQUIRED
        .split("# --- not required")
        .next()
        .expect("the list");
    for line in required.lines() {
        let off = line
            .strip_prefix("# ")
            .and_then(|l| l.strip_suffix(" is not set"));
        let holds = match off {
            Some(name) => !config.lines().any(|l| l.starts_with(&format!("{name}="))),
            None if line.starts_with("CONFIG_") => config.lines().any(|l| l == line),
            None => continue,
        };
        seen += 1;
        if !holds {
            missing.push(line);
        }
    }
    assert!(seen > 100, "the list of required options is not whole");
    assert!(
        missing.is_empty(),
        "the running kernel does not have: {missing:#?}"
    );
}

// ---------------------------------------------------------------- checkers

#[test]
fn lockdep_is_still_on() {
    if !on_debug_kernel() {
        return;
    }
    let stats = read("/proc/lockdep_stats");
    let on = stats
        .lines()
        .find_map(|l| l.trim().strip_prefix("debug_locks:"))
        .expect("debug_locks in /proc/lockdep_stats");
    assert_eq!(on.trim(), "1", "lockdep has switched itself off:\n{stats}");
}

#[test]
fn kasan_and_kmemleak_are_on() {
    if !on_debug_kernel() {
        return;
    }
    assert!(
        kernel_log().contains("KernelAddressSanitizer initialized (generic"),
        "no KASAN"
    );
    // It refuses every command but "clear" once it has switched itself off.
    write("/sys/kernel/debug/kmemleak", "stack=on");
}

#[test]
fn free_pages_are_poisoned() {
    if !on_debug_kernel() {
        return;
    }
    // Said only if it is on, when it takes the place of clearing pages.
    assert!(
        kernel_log().contains("CONFIG_PAGE_POISONING is on"),
        "no page poisoning"
    );
}

#[test]
fn page_table_check_is_as_asked() {
    if !on_debug_kernel() {
        return;
    }
    let asked = read("/proc/cmdline")
        .split_whitespace()
        .any(|a| a == "page_table_check=on");
    // Nothing else in this kernel keeps extra data for each page.
    let on = kernel_log()
        .lines()
        .any(|l| l.contains("allocated") && l.contains("of page_ext"));
    assert_eq!(on, asked, "page_table_check: asked for {asked}, is {on}");
}

#[test]
fn trouble_ends_the_guest() {
    if !on_debug_kernel() {
        return;
    }
    for (name, low, high) in [
        ("panic_on_warn", 1, 1),
        ("hung_task_panic", 1, 1),
        ("softlockup_panic", 1, 1),
        ("panic_on_oops", 1, 1),
        ("hung_task_timeout_secs", 1, 10),
    ] {
        let value: u32 = read(&format!("/proc/sys/kernel/{name}"))
            .trim()
            .parse()
            .expect(name);
        assert!((low..=high).contains(&value), "{name} is {value}");
    }
}

#[test]
fn kcov_gives_a_buffer() {
    if !on_debug_kernel() {
        return;
    }
    const KCOV_INIT_TRACE: u64 = 0x8008_6301;
    const KCOV_ENABLE: u64 = 0x6364;
    const KCOV_DISABLE: u64 = 0x6365;
    let kcov = File::options()
        .read(true)
        .write(true)
        .open("/sys/kernel/debug/kcov")
        .expect("/sys/kernel/debug/kcov");
    let fd = kcov.as_raw_fd();
    // SAFETY: these take numbers, no pointers.
    let call = |request: u64, arg: u64| sys(unsafe { libc::ioctl(fd, request as _, arg) });
    call(KCOV_INIT_TRACE, 512).expect("KCOV_INIT_TRACE");
    let cover = Map::new(PAGE, libc::MAP_SHARED, fd).expect("mmap of kcov");
    call(KCOV_ENABLE, 0).expect("KCOV_ENABLE");
    call(KCOV_DISABLE, 0).expect("KCOV_DISABLE");
    drop(cover);
}

// ---------------------------------------------------------------- faults

/// One kind of fault, set to strike once.
struct Fault {
    dir: String,
    /// What was in the files that say when it strikes.
    before: Vec<(String, String)>,
}

impl Fault {
    /// `settings` are files and what goes into them.
    fn arm(kind: &str, settings: &[(&str, &str)]) -> Fault {
        let mut fault = Fault {
            dir: format!("/sys/kernel/debug/{kind}"),
            before: Vec::new(),
        };
        let common = [
            ("verbose", "0"),
            ("interval", "1"),
            ("times", "1"),
            ("probability", "100"),
        ];
        for (file, value) in settings.iter().chain(&common) {
            let path = format!("{}/{file}", fault.dir);
            let old = read(&path);
            write(&path, value);
            fault.before.push((path, old));
        }
        fault
    }

    /// The error that `call` gives in a thread marked for faults.
    fn strikes(self, call: impl Fn() -> i64) -> Option<i32> {
        let mut mark = File::options()
            .write(true)
            .open("/proc/thread-self/make-it-fail")
            .expect("make-it-fail");
        mark.write_all(b"1").expect("make-it-fail");
        let ret = call();
        let error = io::Error::last_os_error().raw_os_error();
        // If the fault has not struck yet, it may strike here.
        while mark.seek(SeekFrom::Start(0)).is_err() || mark.write_all(b"0").is_err() {}
        error.filter(|_| ret < 0)
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        for (path, old) in self.before.iter().rev() {
            let _ = fs::write(path, old.trim());
        }
    }
}

/// All in one test: the kinds share the mark that a thread carries.
#[test]
fn faults_strike_when_asked_for() {
    if !on_debug_kernel() {
        return;
    }
    const MARKED: (&str, &str) = ("task-filter", "Y");
    const ALSO_PATIENT: (&str, &str) = ("ignore-gfp-wait", "N");

    let slab = Fault::arm("failslab", &[MARKED, ALSO_PATIENT]);
    let error = slab.strikes(|| {
        // SAFETY: takes two numbers.
        let fd = unsafe { libc::eventfd(0, 0) };
        if fd >= 0 {
            // SAFETY: just made, and used by nobody.
            unsafe { libc::close(fd) };
        }
        fd.into()
    });
    assert_eq!(error, Some(libc::ENOMEM), "failslab");

    let mut pipe = [0; 2];
    // SAFETY: room for two descriptors.
    sys(unsafe { libc::pipe(pipe.as_mut_ptr()) }).expect("pipe");
    let (reader, writer) = (sys_fd("pipe", pipe[0]), sys_fd("pipe", pipe[1]));
    let any_page = [("ignore-gfp-highmem", "N"), ("min-order", "0")];
    let page = Fault::arm(
        "fail_page_alloc",
        &[MARKED, ALSO_PATIENT, any_page[0], any_page[1]],
    );
    let error = page.strikes(|| {
        // SAFETY: one byte, from memory of that size.
        unsafe { libc::write(writer.as_raw_fd(), b"x".as_ptr().cast(), 1) as i64 }
    });
    assert_eq!(error, Some(libc::ENOMEM), "fail_page_alloc");
    drop(reader);

    // SAFETY: all zeroes is a valid value of this structure of bytes.
    let name = std::cell::UnsafeCell::new(unsafe { std::mem::zeroed::<libc::utsname>() });
    let copy = Fault::arm("fail_usercopy", &[MARKED]);
    // SAFETY: room for what uname writes.
    let error = copy.strikes(|| unsafe { libc::uname(name.get()) }.into());
    assert_eq!(error, Some(libc::EFAULT), "fail_usercopy");

    // Marks count for nothing where a probe is hit, so this takes a system call
    // that nobody else makes.
    const VICTIM: &str = "__x64_sys_getpgid";
    let inject = "/sys/kernel/debug/fail_function/inject";
    write(inject, VICTIM);
    let retval = format!("/sys/kernel/debug/fail_function/{VICTIM}/retval");
    write(&retval, "0xfffffffffffffff4");
    let function = Fault::arm("fail_function", &[]);
    // SAFETY: takes a number.
    let error = function.strikes(|| unsafe { libc::getpgid(0) }.into());
    write(inject, "\n");
    assert_eq!(error, Some(libc::ENOMEM), "fail_function");
}

// ---------------------------------------------------------------- the world

#[test]
fn there_are_two_nodes_and_numa_balancing() {
    if !on_debug_kernel() {
        return;
    }
    assert!(
        fs::metadata("/sys/devices/system/node/node1").is_ok(),
        "no second NUMA node"
    );
    assert_eq!(read("/proc/sys/kernel/numa_balancing").trim(), "1");
}

#[test]
fn soft_dirty_follows_writes() {
    if !on_debug_kernel() {
        return;
    }
    let map = Map::anon(PAGE);
    map.fill(1);
    let pagemap = File::open("/proc/self/pagemap").expect("pagemap");
    let soft_dirty = || {
        let mut entry = [0; 8];
        pagemap
            .read_exact_at(&mut entry, (map.addr as u64 / PAGE as u64) * 8)
            .expect("pagemap");
        u64::from_ne_bytes(entry) & (1 << 55) != 0
    };
    write("/proc/self/clear_refs", "4");
    assert!(!soft_dirty(), "clear_refs did not clear");
    map.fill(2);
    assert!(soft_dirty(), "a write left no mark");
}

#[test]
fn system_calls_of_32_bit_programs_work() {
    if !on_debug_kernel() {
        return;
    }
    let pid: u32;
    // SAFETY: getpid by the 32-bit gate, which keeps every other register
    // but r8 to r11.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("eax") 20u32 => pid,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    assert_eq!(pid, std::process::id());
}

#[test]
fn namespaces_and_control_groups() {
    if !on_debug_kernel() {
        return;
    }
    for kind in ["user", "pid", "ipc", "uts", "net", "mnt", "cgroup", "time"] {
        assert!(
            fs::metadata(format!("/proc/self/ns/{kind}")).is_ok(),
            "no {kind} namespaces"
        );
    }
    let all = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    // In a child: a process with threads cannot enter a user namespace.
    // SAFETY: the child calls nothing but unshare and _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above.
        unsafe { libc::_exit(i32::from(libc::unshare(all) != 0)) };
    }
    let mut status = 0;
    // SAFETY: room for the status.
    sys(unsafe { libc::waitpid(child, &mut status, 0) }).expect("waitpid");
    assert_eq!(status, 0, "cannot make user, pid and ipc namespaces");

    let controllers = read("/sys/fs/cgroup/cgroup.controllers");
    for name in ["memory", "pids", "cpuset", "cpu"] {
        assert!(
            controllers.split_whitespace().any(|c| c == name),
            "no control group controller {name}, only: {controllers}"
        );
    }
}

#[test]
fn userfaultfd_and_io_uring() {
    if !on_debug_kernel() {
        return;
    }
    /// `struct uffdio_api`
    #[repr(C)]
    struct Api {
        api: u64,
        features: u64,
        ioctls: u64,
    }
    const UFFDIO_API: u64 = 0xc018_aa3f;
    const WANTED: [(&str, u64); 4] = [
        ("write-protect", 1 << 0),
        ("minor, hugetlbfs", 1 << 9),
        ("minor, shmem", 1 << 10),
        ("write-protect, shmem", 1 << 12),
    ];
    // SAFETY: takes a number.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    let fd = sys_fd("userfaultfd", fd);
    let mut api = Api {
        api: 0xaa,
        features: 0,
        ioctls: 0,
    };
    // SAFETY: the structure this request reads and fills in.
    sys(unsafe { libc::ioctl(fd.as_raw_fd(), UFFDIO_API as _, &mut api) }).expect("UFFDIO_API");
    for (name, bit) in WANTED {
        assert!(api.features & bit != 0, "userfaultfd without {name}");
    }

    // struct io_uring_params
    let mut params = [0u8; 120];
    // SAFETY: the structure this call reads and fills in.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    drop(sys_fd("io_uring_setup", ring));
}

/// Tries some times for what may fail for a moment for want of free pages next to each other.
fn compacting(attempt: impl Fn() -> bool) -> bool {
    (0..20).any(|_| {
        let done = attempt();
        if !done {
            write("/proc/sys/vm/compact_memory", "1");
        }
        done
    })
}

#[test]
fn kinds_of_memory() {
    if !on_debug_kernel() {
        return;
    }
    // 2 MiB pages, in a range that holds an aligned one wherever it starts.
    let huge = || {
        let map = Map::anon(4 << 20);
        map.advise("HUGEPAGE", libc::MADV_HUGEPAGE);
        map.fill(1);
        read("/proc/self/smaps")
            .lines()
            .filter_map(|l| l.strip_prefix("AnonHugePages:"))
            .any(|l| l.trim() != "0 kB")
    };
    assert!(compacting(huge), "no transparent huge page");

    let map = Map::anon(8 * PAGE);
    map.fill(1);
    map.advise("MERGEABLE", libc::MADV_MERGEABLE);
    map.advise("UNMERGEABLE", libc::MADV_UNMERGEABLE);
    write("/sys/kernel/mm/ksm/sleep_millisecs", "20");

    let map = Map::anon(PAGE);
    map.fill(7);
    map.advise("SOFT_OFFLINE", libc::MADV_SOFT_OFFLINE);
    // SAFETY: one byte of the mapping.
    let kept = unsafe { map.addr.read_volatile() };
    assert_eq!(kept, 7, "lost what was in an offlined page");
    assert!(
        fs::metadata("/sys/kernel/debug/hwpoison/corrupt-pfn").is_ok(),
        "no hwpoison"
    );

    let before = read("/proc/sys/vm/nr_hugepages");
    let reserved = || {
        write("/proc/sys/vm/nr_hugepages", "1");
        read("/proc/sys/vm/nr_hugepages").trim() == "1"
    };
    assert!(compacting(reserved), "no huge page to reserve");
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB;
    let map = Map::new(2 << 20, flags, -1).expect("a hugetlb mapping");
    map.fill(1);
    drop(map);
    write("/proc/sys/vm/nr_hugepages", before.trim());

    // SAFETY: takes numbers.
    let id = unsafe { libc::shmget(libc::IPC_PRIVATE, PAGE, libc::IPC_CREAT | 0o600) };
    sys(id).expect("shmget");
    // SAFETY: the kernel chooses the address; the segment goes with the map.
    let at = unsafe { libc::shmat(id, ptr::null(), 0) };
    // SAFETY: takes no buffer for this command.
    sys(unsafe { libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()) }).expect("IPC_RMID");
    assert_ne!(at as isize, -1, "shmat");
    // SAFETY: what shmat gave, once.
    sys(unsafe { libc::shmdt(at) }).expect("shmdt");

    let name = CString::new("test").expect("name");
    // SAFETY: a string that ends in NUL.
    let memfd = sys_fd("memfd", unsafe {
        libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC)
    });
    // SAFETY: takes numbers.
    sys(unsafe { libc::ftruncate(memfd.as_raw_fd(), PAGE as i64) }).expect("ftruncate");
    Map::new(PAGE, libc::MAP_SHARED, memfd.as_raw_fd())
        .expect("mmap of a memfd")
        .fill(1);
}
