// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread that connects to each round's segment and does to its mapping whatever one can
//! do to a mapping, until well after the end of the round.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{fence, AtomicU64, Ordering};
use std::time::Duration;

use nix::libc;

use crate::arena::{ack_page, old, own, Arena, Wrong, ACK, BUSY, PAGES, QUIET};
use crate::common::memory::{Map, READ, WRITE};
use crate::common::random::Random;
use crate::common::raw::{self, Connection, PAGE};

/// Operations after the end of a round before a thread goes on to the next.
const OPERATIONS_AFTER: u32 = 3;

/// Children that a thread has at a time.
const CHILDREN: usize = 2;

/// Pieces that a mapping is in before it is mapped afresh.
const PIECES: usize = 10;

const HUGE: usize = 2 << 20;

/// How often one looks whether there is something to do. Whoever waits leaves the
/// processors to those who do not.
const PAUSE: Duration = Duration::from_micros(100);

/// Runs until the arena is stopped.
pub fn run(arena: &Arena, thread: usize, mut random: Random) {
    let controller = raw::controller();
    let mut query = rsm_sys::rsm_query::default();
    raw::run(&controller, &mut query).expect("query");
    let status = Map::shared(
        controller.as_raw_fd(),
        query.status_slots as usize * 8,
        READ,
    )
    .expect("status table");
    let mut children = Vec::new();
    let mut last = 0;
    while !arena.stop.load(Ordering::SeqCst) {
        let (round, id) = arena.published();
        if round == last {
            std::thread::sleep(PAUSE);
            continue;
        }
        last = round;
        if let Some(mut visit) = Visit::begin(arena, &controller, &status, round, id, thread) {
            visit.stay(&mut random, &mut children);
        }
    }
    for child in children {
        reap(child);
    }
}

/// A thread's stay in one round.
struct Visit<'a> {
    arena: &'a Arena,
    round: u64,
    thread: usize,
    /// What this process writes.
    mine: u64,
    import: Connection,
    slot: &'a AtomicU64,
    pieces: Vec<Piece>,
    written: u64,
}

/// A part of the segment, mapped somewhere.
#[derive(Debug)]
struct Piece {
    map: Map,
    /// First page in the segment.
    first: usize,
}

impl Piece {
    fn pages(&self) -> usize {
        self.map.len / PAGE
    }

    /// Splits the piece in up to three; what `f` makes of the middle replaces it.
    fn cut(self, from: usize, to: usize, f: impl FnOnce(Map, usize) -> Option<Map>) -> Vec<Self> {
        let (first, pages) = (self.first, self.pages());
        let base = self.map.leak();
        // SAFETY: the parts are disjoint, and the whole is not used any more.
        let part = |from: usize, to: usize| unsafe {
            Map::adopt(base.add(from * PAGE), (to - from) * PAGE)
        };
        let mut parts = Vec::with_capacity(3);
        if from > 0 {
            parts.push(Self {
                map: part(0, from),
                first,
            });
        }
        if let Some(map) = f(part(from, to), first + from) {
            parts.push(Self {
                map,
                first: first + from,
            });
        }
        if to < pages {
            parts.push(Self {
                map: part(to, pages),
                first: first + to,
            });
        }
        parts
    }
}

impl<'a> Visit<'a> {
    fn begin(
        arena: &'a Arena,
        controller: &File,
        status: &'a Map,
        round: u64,
        id: u32,
        thread: usize,
    ) -> Option<Self> {
        // The round may be over.
        let import = raw::connect(controller, id, 0o600).ok()?;
        let map = Map::shared(import.fd.as_raw_fd(), PAGES * PAGE, READ | WRITE).ok()?;
        // SAFETY: only asks.
        let tid = unsafe { libc::gettid() } as u32;
        Some(Self {
            arena,
            round,
            thread,
            mine: own(round, tid),
            slot: status.word(import.slot as usize * 8),
            import,
            pieces: vec![Piece { map, first: 0 }],
            written: 0,
        })
    }

    fn stay(&mut self, random: &mut Random, children: &mut Vec<libc::pid_t>) {
        let mut after = 0;
        while after < OPERATIONS_AFTER && !self.pieces.is_empty() {
            let live = self.is_live();
            match random.below(100) {
                0..35 => self.read(random, 80),
                35..60 => self.write(random, 40),
                60..70 => self.acknowledge(),
                70..79 => self.relocate(random),
                79..87 => self.unmap_and_map(random),
                87..92 => self.protect(random),
                _ => self.fork(random, children),
            }
            if live && !self.is_live() {
                self.arena
                    .done
                    .aborted_operations
                    .fetch_add(1, Ordering::Relaxed);
            }
            after += u32::from(self.arena.is_destroyed(self.round));
            if self.pieces.len() > PIECES {
                self.pieces.clear();
                self.pieces.extend(self.map(0, PAGES));
            }
        }
    }

    fn is_live(&self) -> bool {
        self.slot.load(Ordering::Acquire) == self.import.generation
    }

    /// Maps a part of the segment, if it is still there.
    fn map(&self, first: usize, pages: usize) -> Option<Piece> {
        let fd = self.import.fd.as_raw_fd();
        let map = Map::new(
            pages * PAGE,
            READ | WRITE,
            libc::MAP_SHARED,
            fd,
            first * PAGE,
        );
        map.ok().map(|map| Piece { map, first })
    }

    /// A random page of a random piece.
    fn place(&self, random: &mut Random) -> (&Piece, usize) {
        let piece = &self.pieces[random.below(self.pieces.len())];
        (piece, random.below(piece.pages()))
    }

    fn read(&self, random: &mut Random, places: usize) {
        for _ in 0..places {
            let (piece, page) = self.place(random);
            let offset = match random.below(2) {
                0 => QUIET[random.below(QUIET.len())],
                _ => BUSY[random.below(BUSY.len())],
            };
            self.read_word(piece, page, offset);
        }
        self.arena.touched[self.thread].fetch_max(self.round, Ordering::Relaxed);
    }

    fn read_word(&self, piece: &Piece, page: usize, offset: usize) {
        let after = self.arena.is_destroyed(self.round);
        let value = piece.map.load(page * PAGE + offset);
        fence(Ordering::Acquire);
        let live = self.slot.load(Ordering::Relaxed) == self.import.generation;
        let page = piece.first + page;
        self.arena
            .judge(after, self.round, page, offset, self.mine, value);
        if live && QUIET.contains(&offset) && value != old(self.round, page) {
            self.arena
                .report(Wrong::LostButGood, self.round, page, offset, value, after);
        }
    }

    fn write(&self, random: &mut Random, places: usize) {
        for _ in 0..places {
            let (piece, page) = self.place(random);
            let offset = BUSY[random.below(BUSY.len())];
            piece.map.store(page * PAGE + offset, self.mine);
        }
        let writes = &self.arena.done.writes;
        writes.fetch_add(places as u64, Ordering::Relaxed);
    }

    /// Writes a number, and if the connection is live after that, tells the exporter that
    /// it must have arrived.
    fn acknowledge(&mut self) {
        let wanted = ack_page(self.thread);
        let holder = self
            .pieces
            .iter()
            .find(|piece| (piece.first..piece.first + piece.pages()).contains(&wanted));
        let Some(piece) = holder else { return };
        for _ in 0..20 {
            self.written += 1;
            let number = (self.round << 32) | self.written;
            let offset = (wanted - piece.first) * PAGE + ACK + 8 * self.thread;
            piece.map.store(offset, number);
            fence(Ordering::SeqCst);
            if self.slot.load(Ordering::Relaxed) == self.import.generation {
                self.arena.acknowledged[self.thread].store(number, Ordering::SeqCst);
                self.arena
                    .done
                    .acknowledgements
                    .fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes a piece out and replaces a part of it by what `f` makes of it.
    fn change(
        &mut self,
        random: &mut Random,
        f: impl FnOnce(&Self, &mut Random, Map, usize) -> Option<Map>,
    ) {
        let piece = self.pieces.swap_remove(random.below(self.pieces.len()));
        let (mut from, mut to) = (0, piece.pages());
        if random.below(3) > 0 {
            let ends = [random.below(to), random.below(to)];
            (from, to) = (ends[0].min(ends[1]), ends[0].max(ends[1]) + 1);
        }
        let parts = piece.cut(from, to, |map, first| f(self, random, map, first));
        self.pieces.extend(parts);
    }

    fn relocate(&mut self, random: &mut Random) {
        self.change(random, |this, random, map, _| {
            this.arena.done.moves.fetch_add(1, Ordering::Relaxed);
            Some(moved(map, random.below(2) == 0))
        });
    }

    fn unmap_and_map(&mut self, random: &mut Random) {
        self.change(random, |this, _, map, first| {
            this.arena.done.unmaps.fetch_add(1, Ordering::Relaxed);
            let pages = map.len / PAGE;
            drop(map);
            this.map(first, pages).map(|piece| piece.map)
        });
    }

    fn protect(&mut self, random: &mut Random) {
        self.change(random, |this, random, map, first| {
            this.arena.done.protects.fetch_add(1, Ordering::Relaxed);
            map.protect(0, map.len, READ).expect("mprotect");
            let piece = Piece { map, first };
            for _ in 0..10 {
                this.read_word(&piece, random.below(piece.pages()), QUIET[0]);
            }
            piece
                .map
                .protect(0, piece.map.len, READ | WRITE)
                .expect("mprotect");
            Some(piece.map)
        });
    }

    fn fork(&mut self, random: &mut Random, children: &mut Vec<libc::pid_t>) {
        if children.len() >= CHILDREN {
            reap(children.remove(0));
        }
        self.arena.done.forks.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the child touches nothing but mappings and the arena.
        match unsafe { libc::fork() } {
            0 => self.live_as_child(random),
            -1 => panic!("fork: {}", nix::errno::Errno::last()),
            child => children.push(child),
        }
    }

    /// Reads and writes what was inherited until well after the end of the round.
    fn live_as_child(&mut self, random: &mut Random) -> ! {
        // SAFETY: calls that need nothing of the parent's other threads.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            self.mine = own(self.round, libc::getpid() as u32);
        }
        let mut after = 0;
        while after < OPERATIONS_AFTER && !self.arena.stop.load(Ordering::SeqCst) {
            after += u32::from(self.arena.is_destroyed(self.round));
            self.read(random, 20);
            self.write(random, 10);
            // Each 2 MiB once: what is forgotten there is forgotten as a whole.
            for piece in &self.pieces {
                for page in (0..piece.pages()).step_by(HUGE / PAGE) {
                    self.read_word(piece, page, QUIET[1]);
                }
            }
            std::thread::sleep(PAUSE);
        }
        // SAFETY: ends the process without running what belongs to the parent.
        unsafe { libc::_exit(0) }
    }
}

/// Waits for a child, which must end well.
fn reap(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: our own child.
    let got = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((got, status), (child, 0), "end of a forked child");
}

/// Moves a mapping to another place, of the same alignment to 2 MiB if so wanted.
fn moved(map: Map, aligned: bool) -> Map {
    let len = map.len;
    let from = map.leak();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: reserves addresses, moves the mapping, which nobody else uses, to some of
    // them, and gives the others back.
    unsafe {
        let space = len + HUGE;
        let reserved = libc::mmap(ptr::null_mut(), space, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(reserved, libc::MAP_FAILED, "address space");
        let skew = match aligned {
            true => (from as usize).wrapping_sub(reserved as usize) % HUGE,
            false => PAGE,
        };
        let to = reserved.cast::<u8>().add(skew);
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        let got = libc::mremap(from.cast(), len, len, flags, to);
        assert_eq!(got, to.cast(), "mremap: {}", nix::errno::Errno::last());
        if skew > 0 {
            libc::munmap(reserved, skew);
        }
        if skew < HUGE {
            libc::munmap(to.add(len).cast(), HUGE - skew);
        }
        Map::adopt(to, len)
    }
}
