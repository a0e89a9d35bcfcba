// SPDX-License-Identifier: MIT OR Apache-2.0
//! One call, made to fail at each of its allocations and user copies in turn, until there is
//! none left to fail.

use std::fmt::Debug;
use std::time::Instant;

use nix::errno::Errno;
use rsm_sys::*;

use crate::common::raw::{Failure, UNTOUCHED};
use crate::injection::{Injection, Scope, Spell};
use crate::state::State;

/// Far more than any call makes.
const MOST: usize = 20_000;

/// An error that a call may give when a fault strikes.
pub trait Error: Debug {
    /// Is it that there is no memory, reported as it should be?
    fn is_no_memory(&self) -> bool;

    /// Is it that a copy from or to user space failed, reported as it should be?
    fn is_bad_copy(&self) -> bool;
}

impl Error for Errno {
    fn is_no_memory(&self) -> bool {
        *self == Errno::ENOMEM
    }

    fn is_bad_copy(&self) -> bool {
        *self == Errno::EFAULT
    }
}

impl Error for Failure {
    fn is_no_memory(&self) -> bool {
        self.errno == Errno::ENOMEM && self.status == RSM_STATUS_INSUFFICIENT_MEM
    }

    /// The status is there if the structure itself could be written.
    fn is_bad_copy(&self) -> bool {
        let statuses = [UNTOUCHED, RSM_STATUS_SUCCESS, RSM_STATUS_BAD_ADDR];
        self.errno == Errno::EFAULT && statuses.contains(&self.status)
    }
}

/// What came of all rounds with one kind of spell.
#[derive(Debug, Default)]
pub struct Tally {
    /// Failures for want of memory.
    pub no_memory: usize,
    /// Failures because of a copy.
    pub bad_copy: usize,
    /// Faults that were made good, or were nothing to the call.
    pub absorbed: usize,
}

impl Tally {
    fn failed(&self) -> usize {
        self.no_memory + self.bad_copy
    }
}

/// What came of all rounds.
#[derive(Debug)]
pub struct Tallies {
    /// With faults that strike once.
    once: Tally,
    /// With faults that last, if the call was tried with them.
    lasting: Option<Tally>,
}

impl Tallies {
    fn all(&self) -> impl Iterator<Item = &Tally> {
        std::iter::once(&self.once).chain(&self.lasting)
    }

    /// Fails unless so many faults made the call fail, at least.
    #[track_caller]
    pub fn assert_failed(&self, no_memory: usize, bad_copy: usize) {
        for tally in self.all() {
            let enough = tally.no_memory >= no_memory && tally.bad_copy >= bad_copy;
            assert!(enough, "{self:?}: expected {no_memory}, {bad_copy}");
        }
    }

    /// Fails unless so many faults that last made the call fail, at least.
    #[track_caller]
    pub fn assert_failed_if_lasting(&self, no_memory: usize) {
        let lasting = self.lasting.as_ref().expect("tried with them");
        assert!(
            lasting.no_memory >= no_memory,
            "{self:?}: expected {no_memory}"
        );
    }

    /// Fails if the call ever failed for want of memory, or not for each of `bad_copy` copies.
    #[track_caller]
    pub fn assert_failed_for_copies(&self, bad_copy: usize) {
        for tally in self.all() {
            assert_eq!((tally.no_memory, tally.bad_copy), (0, bad_copy), "{self:?}");
        }
    }

    /// Fails if the call ever failed.
    #[track_caller]
    pub fn assert_never_failed(&self) {
        assert_eq!(self.all().map(Tally::failed).sum::<usize>(), 0, "{self:?}");
    }

    /// Fails if the call ever failed, or no fault struck.
    #[track_caller]
    pub fn assert_all_absorbed(&self) {
        self.assert_never_failed();
        assert!(self.all().all(|tally| tally.absorbed > 0), "{self:?}");
    }
}

/// A call to be made to fail.
pub struct Sweep<'a> {
    what: &'a str,
    injection: Option<&'a Injection>,
    scope: Scope,
    /// Are faults that last to be tried, too?
    lasting: bool,
    /// Is the state to be looked at right after a failure?
    exact: bool,
    /// Is the call to be repeated without a fault?
    again: bool,
    /// Looks at more, after a failure.
    check: Option<&'a dyn Fn()>,
}

impl<'a> Sweep<'a> {
    pub fn of(what: &'a str) -> Self {
        Self {
            what,
            injection: None,
            scope: Scope::Kernel,
            lasting: true,
            exact: true,
            again: true,
            check: None,
        }
    }

    /// With settings made before.
    pub fn with(self, injection: &'a Injection) -> Self {
        let injection = Some(injection);
        Self { injection, ..self }
    }

    /// Only faults of the module's own.
    pub fn of_module(self) -> Self {
        let scope = Scope::Module;
        Self { scope, ..self }
    }

    /// Only faults that strike once, for calls that are tried until they work.
    pub fn single(self) -> Self {
        let lasting = false;
        Self { lasting, ..self }
    }

    /// `check` fails unless what it looks at is as it was before the call.
    pub fn check(self, check: &'a dyn Fn()) -> Self {
        let check = Some(check);
        Self { check, ..self }
    }

    /// A failure may leave the kernel's mappings as they were in other pieces, so the state is
    /// compared when all is undone.
    pub fn inexact(self) -> Self {
        Self {
            exact: false,
            ..self
        }
    }

    /// The call is not repeated after a fault, since the first that succeeds changes things for
    /// good.
    pub fn not_again(self) -> Self {
        Self {
            again: false,
            ..self
        }
    }

    /// Lets the first, second, … fault strike until there is none to strike any more; then the
    /// same with faults that last.
    ///
    /// `prepare` makes a situation, `call` does what may fail, `undo` undoes it and looks whether
    /// it was done. `call` must allocate nothing in user space.
    #[track_caller]
    pub fn run<S, T, E: Error>(
        self,
        mut prepare: impl FnMut() -> S,
        call: impl Fn(&S) -> Result<T, E>,
        undo: impl Fn(&S, T),
    ) -> Tallies {
        let own = self.injection.is_none().then(|| Injection::new(self.scope));
        let injection = self.injection.or(own.as_ref()).expect("one of the two");
        let mut rounds = |spell| self.rounds(injection, spell, &mut prepare, &call, &undo);
        Tallies {
            once: rounds(Spell::Once),
            lasting: self.lasting.then(|| rounds(Spell::Lasting)),
        }
    }

    #[track_caller]
    fn rounds<S, T, E: Error>(
        &self,
        injection: &Injection,
        spell: Spell,
        mut prepare: impl FnMut() -> S,
        call: impl Fn(&S) -> Result<T, E>,
        undo: impl Fn(&S, T),
    ) -> Tally {
        let what = format!("{}, {spell:?}", self.what);
        let mut tally = Tally::default();
        let begin = Instant::now();
        let outside = State::now();
        for nth in 1..MOST {
            let situation = prepare();
            let before = self.exact.then(State::now);
            let (result, struck) = injection.strike(nth, spell, || call(&situation));
            let failed = result.is_err();
            match result {
                Ok(done) => {
                    tally.absorbed += usize::from(struck);
                    undo(&situation, done);
                }
                Err(error) if !struck => panic!("{what}: {nth}: {error:?} without a fault"),
                Err(error) if error.is_no_memory() => tally.no_memory += 1,
                Err(error) if error.is_bad_copy() => tally.bad_copy += 1,
                Err(error) => panic!("{what}: {nth}: {error:?}"),
            }
            if failed {
                if let Some(before) = before {
                    before.assert_unchanged(&what, &format!("fault {nth} has struck"));
                }
                if let Some(check) = self.check {
                    check();
                }
                if self.again {
                    let done = call(&situation);
                    let done = done.unwrap_or_else(|e| panic!("{what}: again after {nth}: {e:?}"));
                    undo(&situation, done);
                }
            }
            drop(situation);
            if !struck || !self.exact {
                outside.assert_unchanged(&what, &format!("all undone after fault {nth}"));
            }
            if !struck {
                println!("{what}: {tally:?}, {:?}", begin.elapsed());
                return tally;
            }
        }
        panic!("{what}: no end after {MOST} faults: {tally:?}");
    }
}
