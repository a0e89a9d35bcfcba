// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of the kinds that can be exported.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::mount::{mount, umount2, MntFlags, MsFlags};
use rsm::ExportBuffer;

use super::knob::Knob;
use super::memory::{Map, READ, WRITE};

/// Bytes of a huge page.
pub const HUGE: usize = 2 << 20;

/// A file in memory, of `len` bytes.
pub fn memfd(len: usize) -> File {
    // SAFETY: makes a descriptor of ours.
    let file: File = unsafe {
        let fd = libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "memfd_create: {}", Errno::last());
        OwnedFd::from_raw_fd(fd).into()
    };
    file.set_len(len as u64).expect("set_len");
    file
}

/// A file of a file system on which shared mappings cannot be exported, mounted for the
/// purpose.
#[derive(Debug)]
pub struct RegularFile {
    pub file: File,
    directory: &'static str,
}

impl RegularFile {
    pub fn new(len: usize) -> Self {
        let directory = "/tmp/rsm-test-ramfs";
        fs::create_dir_all(directory).expect("mkdir");
        let (none, flags) = (None::<&str>, MsFlags::empty());
        mount(none, directory, Some("ramfs"), flags, none).expect("mount");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(format!("{directory}/file")).expect("open");
        file.set_len(len as u64).expect("set_len");
        Self { file, directory }
    }
}

impl Drop for RegularFile {
    fn drop(&mut self) {
        // Still in use until the last mapping is gone.
        let result = umount2(self.directory, MntFlags::MNT_DETACH);
        if !std::thread::panicking() {
            result.expect("umount");
        }
    }
}

/// A shared mapping of all of a file in memory.
pub fn shared_file(file: &File) -> Map {
    let len = file.metadata().expect("fstat").len() as usize;
    Map::shared(file.as_raw_fd(), len, READ | WRITE).expect("map")
}

/// System V shared memory, which goes away with its mapping.
pub fn system_v(len: usize) -> Map {
    // SAFETY: makes a segment, attaches it, and marks it to go away with its last user.
    unsafe {
        let id = libc::shmget(libc::IPC_PRIVATE, len, 0o600);
        assert!(id >= 0, "shmget: {}", Errno::last());
        let base = libc::shmat(id, ptr::null(), 0);
        assert_ne!(base as isize, -1, "shmat: {}", Errno::last());
        assert_eq!(libc::shmctl(id, libc::IPC_RMID, ptr::null_mut()), 0);
        Map::adopt(base.cast(), len)
    }
}

/// A buffer that the kernel has really made of huge pages.
pub fn huge_memory(len: usize) -> Map {
    let mut buffer = ExportBuffer::huge(len).expect("buffer");
    buffer.as_mut_slice().fill(1);
    let base = buffer.as_mut_slice().as_mut_ptr();
    std::mem::forget(buffer);
    // Neighbours of the same kind are one mapping.
    let kib = || huge_kib(base as u64);
    // SAFETY: the buffer is forgotten.
    let map = unsafe { Map::adopt(base, len) };
    let wanted = len as u64 >> 10;
    collapse(&map, || kib() >= wanted);
    let kib = kib();
    assert!(kib >= wanted, "{kib} KiB of huge pages, not {wanted}");
    map
}

/// How often huge pages are asked for. They may be missing for a moment.
const TRIES: usize = 20;

/// Has the kernel move pages together, if this process may ask for that.
fn compact() {
    let _ = fs::write("/proc/sys/vm/compact_memory", "1");
}

/// `madvise(2)`: make huge pages of it now.
pub const MADV_COLLAPSE: i32 = 25;

/// Has the kernel make huge pages of `map` where it has not, until it is `good`, or in vain.
pub fn collapse(map: &Map, good: impl Fn() -> bool) {
    for _ in 0..TRIES {
        if good() {
            return;
        }
        compact();
        // SAFETY: advice on a mapping of ours. Whoever looks at the result finds out.
        unsafe { libc::madvise(map.at(0).cast(), map.len, MADV_COLLAPSE) };
    }
}

/// Has the kernel set so many huge pages aside, until the result is dropped.
#[track_caller]
pub fn reserve_huge_pages(number: usize) -> Knob {
    const NUMBER: &str = "/proc/sys/vm/nr_hugepages";
    let knob = Knob::set(NUMBER, number);
    let got = || fs::read_to_string(NUMBER).expect(NUMBER).trim().to_owned();
    for _ in 0..TRIES {
        if got() == number.to_string() {
            break;
        }
        compact();
        knob.turn(number);
    }
    assert_eq!(got(), number.to_string(), "huge pages to be had");
    knob
}

/// KiB of anonymous huge pages in the mapping at `address`.
fn huge_kib(address: u64) -> u64 {
    let smaps = fs::read_to_string("/proc/self/smaps").expect("smaps");
    let mut here = false;
    for line in smaps.lines() {
        if let Some((from, to)) = line
            .split(' ')
            .next()
            .and_then(|range| range.split_once('-'))
        {
            if let (Ok(from), Ok(to)) = (u64::from_str_radix(from, 16), u64::from_str_radix(to, 16))
            {
                here = (from..to).contains(&address);
            }
        }
        if let Some(number) = line.strip_prefix("AnonHugePages:").filter(|_| here) {
            return number
                .trim_end_matches("kB")
                .trim()
                .parse()
                .expect("a number");
        }
    }
    panic!("no mapping at {address:#x}");
}
