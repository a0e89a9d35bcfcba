// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an importer's core file has of a segment: nothing. The exporter's memory would still be in
//! it when the exporter has long taken it back.

use std::fs::{self, File};
use std::io::Read;
use std::path::PathBuf;

use nix::libc;
use nix::sys::resource::{setrlimit, Resource, RLIM_INFINITY};
use nix::sys::signal::Signal;

use crate::common::books::Books;
use crate::common::knob::Knob;
use crate::common::memory::{Map, READ, WRITE};
use crate::common::process::{spawn, Steps};
use crate::common::raw::PAGE;
use crate::{map, Pair, OLD};

const PAGES: usize = 4;

/// Words of something that is to be looked for.
const WORDS: usize = 4;

/// What no memory has by chance.
fn marker() -> [u64; WORDS] {
    let mut bytes = [0; WORDS * 8];
    let mut random = File::open("/dev/urandom").expect("urandom");
    random.read_exact(&mut bytes).expect("random bytes");
    bytemuck::cast(bytes)
}

/// Writes it behind the first word of every page.
fn store(memory: &Map, marker: &[u64; WORDS]) {
    for page in (0..memory.len).step_by(PAGE) {
        for (word, value) in marker.iter().enumerate() {
            memory.store(page + 8 + word * 8, *value);
        }
    }
}

fn contains(core: &[u8], marker: &[u64; WORDS]) -> bool {
    let marker: &[u8] = bytemuck::cast_slice(marker);
    // SAFETY: both are slices, with their lengths.
    let found = unsafe {
        libc::memmem(
            core.as_ptr().cast(),
            core.len(),
            marker.as_ptr().cast(),
            marker.len(),
        )
    };
    !found.is_null()
}

/// Where the kernel writes the core files of every process, until this is dropped.
struct CoreFiles {
    directory: PathBuf,
    _pattern: Knob,
}

impl CoreFiles {
    fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("rsm-core-{}", std::process::id()));
        fs::create_dir(&directory).expect("mkdir");
        let pattern = directory.join("core.%p");
        Self {
            _pattern: Knob::set("/proc/sys/kernel/core_pattern", pattern.display()),
            directory,
        }
    }

    fn of(&self, pid: nix::unistd::Pid) -> Vec<u8> {
        fs::read(self.directory.join(format!("core.{pid}"))).expect("core file")
    }
}

impl Drop for CoreFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Bytes of a mapping that a core file has: the size in the file of the program header for it.
fn bytes_of(core: &[u8], address: u64) -> Option<u64> {
    const LOAD: u32 = 1;
    let number = |at: usize, len: usize| {
        let mut bytes = [0; 8];
        bytes[..len].copy_from_slice(&core[at..at + len]);
        u64::from_le_bytes(bytes)
    };
    assert_eq!(&core[..5], b"\x7fELF\x02", "64 bits");
    let (table, entry, count) = (number(32, 8), number(54, 2), number(56, 2));
    let mut headers = (0..count).map(|n| (table + n * entry) as usize);
    let header = headers.find(|&at| number(at, 4) as u32 == LOAD && number(at + 16, 8) == address);
    header.map(|at| number(at + 32, 8))
}

/// The flags of the mapping at `address`, from `/proc/self/smaps`.
fn flags_of(address: u64) -> Vec<String> {
    let smaps = fs::read_to_string("/proc/self/smaps").expect("smaps");
    let begin = format!("{address:x}-");
    let mut lines = smaps.lines();
    lines.find(|line| line.starts_with(&begin)).expect("mapped");
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    let flags = flags.expect("VmFlags").split_whitespace();
    flags.map(str::to_owned).collect()
}

#[test]
fn windows_are_not_to_be_dumped() {
    let pair = Pair::new(PAGES);
    let dumped = |map: &Map| !flags_of(map.addr()).contains(&"dd".to_owned());
    assert!(!dumped(&pair.window), "a window");
    assert!(dumped(&pair.memory), "the memory itself");
    pair.destroy();
    pair.window.touch(0);
    assert!(!dumped(&pair.window), "after revocation");
}

#[test]
fn has_no_page_of_a_segment() {
    let books = Books::open();
    let pair = Pair::new(PAGES);
    let files = CoreFiles::new();
    let steps = Steps::new();
    let own = marker();
    let importer = spawn(|| {
        // The copy that fork has made.
        // SAFETY: our own mapping; `pair` never ends here.
        unsafe { libc::munmap(pair.memory.at(0).cast(), pair.memory.len) };
        let window = map(&pair.import, READ | WRITE);
        let copy = Map::anonymous(PAGE);
        store(&copy, &own);
        // Anonymous memory, and all that is shared: without asking, files would be left out.
        fs::write("/proc/self/coredump_filter", "0xb").expect("coredump_filter");
        setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY).expect("setrlimit");
        steps.await_step(0);
        for window in [&pair.window, &window] {
            window.assert_marked(OLD, 0);
        }
        // SAFETY: ends the process with a signal that dumps core.
        unsafe { libc::abort() }
    });
    // Made after the fork, so that the importer has it nowhere but in its windows.
    let shared = marker();
    store(&pair.memory, &shared);
    steps.reach(0);
    let pid = importer.pid;
    importer.join_killed(Signal::SIGABRT);
    let core = files.of(pid);
    assert!(contains(&core, &own), "what is the importer's own");
    assert!(!contains(&core, &shared), "what is the exporter's");
    let bytes = bytes_of(&core, pair.window.addr());
    assert_eq!(bytes, Some(0), "bytes of the window");
    // Whoever dumps core harms nobody else.
    pair.window.assert_marked(OLD, 0);
    pair.destroy();
    pair.window.assert_zero();
    drop((pair, files, steps));
    books.balance();
}
