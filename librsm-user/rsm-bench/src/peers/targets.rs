// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to be reached, as a ratio to a peer or as a number, in one run that counts instructions.

use super::key::{Column, Key, Memory, Operation, Pages};
use crate::measure::{Bound, Report, Verdict};

/// A cost, or a sum of costs, in the table.
struct Costs(Vec<(Key, Column)>);

fn rsm(key: Key) -> Costs {
    Costs(vec![(key, Column::Rsm)])
}

fn of(column: Column, key: Key) -> Costs {
    Costs(vec![(key, column)])
}

impl Costs {
    fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// None if a part of it is not in the table.
    fn sum(&self, report: &Report) -> Option<f64> {
        let cost = |&(key, column): &(Key, Column)| {
            let cost = report.row(&key.to_string())?.cost(column as usize)?;
            Some(cost.median as f64)
        };
        self.0.iter().map(cost).sum()
    }
}

/// A target: of what, to what if it is a ratio, and how much.
struct Target {
    name: &'static str,
    what: Costs,
    to: Option<Costs>,
    bound: Bound,
    limit: f64,
}

impl Target {
    fn judge(&self, report: &Report) -> Verdict {
        let value = match &self.to {
            None => self.what.sum(report),
            Some(to) => (self.what.sum(report))
                .zip(to.sum(report))
                .map(|(what, to)| what / to),
        };
        Verdict {
            name: self.name.to_owned(),
            bound: self.bound,
            limit: self.limit,
            value,
        }
    }
}

fn at_most(name: &'static str, limit: f64, what: Costs, to: Option<Costs>) -> Target {
    let bound = Bound::AtMost;
    Target {
        name,
        what,
        to,
        bound,
        limit,
    }
}

/// All of them, on a table.
pub fn judge(report: &Report) -> Vec<Verdict> {
    use Operation::*;
    let of_64_mib = |pages| Memory {
        bytes: 64 << 20,
        pages,
    };
    let (small, huge) = (of_64_mib(Pages::Small), of_64_mib(Pages::Huge));
    let page = Memory {
        bytes: 4096,
        pages: Pages::Small,
    };
    // A memfd has small pages unless the administrator has changed that for the whole machine.
    let memfd = |operation: Operation| Some(of(Column::Memfd, operation.of(small)));
    let peer = |column, key| Some(of(column, key));
    let targets = [
        at_most(
            "first touch, 64 MiB of 4 KiB pages, to memfd",
            0.5,
            rsm(FirstTouch.of(small)),
            memfd(FirstTouch),
        ),
        at_most(
            "first touch, 64 MiB of 4 KiB pages, faults",
            64.0,
            rsm(FirstTouchFaults.of(small)),
            None,
        ),
        at_most(
            "first touch, 64 MiB of THP, to memfd",
            0.03,
            rsm(FirstTouch.of(huge)),
            memfd(FirstTouch),
        ),
        at_most(
            "first touch, 64 MiB of THP, faults",
            40.0,
            rsm(FirstTouchFaults.of(huge)),
            None,
        ),
        at_most(
            "revoke, 64 MiB of 4 KiB pages, to memfd's munmap",
            0.35,
            rsm(Revoke(1).of(small)),
            memfd(Unmap),
        ),
        at_most(
            "revoke, 64 MiB of THP, to memfd's munmap",
            0.003,
            rsm(Revoke(1).of(huge)),
            memfd(Unmap),
        ),
        at_most(
            "copy out through the mapping, to memfd",
            1.01,
            rsm(CopyOut.of(small)),
            memfd(CopyOut),
        ),
        at_most(
            "copy in through the mapping, to memfd",
            1.01,
            rsm(CopyIn.of(small)),
            memfd(CopyIn),
        ),
        at_most("put 8 B", 60.0, rsm(Put8.alone()), None),
        Target {
            name: "put 8 B, cheaper than process_vm_writev by",
            what: of(Column::ProcessVm, Put8.alone()),
            to: Some(rsm(Put8.alone())),
            bound: Bound::AtLeast,
            limit: 50.0,
        },
        at_most("barrier open + close", 30.0, rsm(Barrier.alone()), None),
        at_most(
            "connect to disconnect, 4 KiB",
            25e3,
            rsm(Cycle.of(page)),
            None,
        ),
        at_most(
            "connect to disconnect, 4 KiB, to shm_open to close",
            1.0,
            rsm(Cycle.of(page)),
            peer(Column::Shm, Cycle.of(page)),
        ),
        at_most(
            "create + destroy, 64 MiB of 4 KiB pages",
            7.5e6,
            rsm(Create.of(small)).and(rsm(Destroy.of(small))),
            None,
        ),
        at_most(
            "create + destroy, 64 MiB of THP",
            0.4e6,
            rsm(Create.of(huge)).and(rsm(Destroy.of(huge))),
            None,
        ),
        at_most(
            "signal post + wait, to eventfd's write + read",
            1.1,
            rsm(PostWait.alone()),
            peer(Column::Eventfd, PostWait.alone()),
        ),
    ];
    targets.iter().map(|target| target.judge(report)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Side;
    use super::*;
    use crate::measure::Clock;

    /// Verdict of the target of this name on a table with these costs.
    fn verdict(name: &str, costs: &[(Column, Key, u64)]) -> Verdict {
        let clock = Clock::new().unwrap();
        let mut sheet = super::super::sheet::Sheet::default();
        for &(column, key, cost) in costs {
            let mut side = Side::new(clock, column);
            side.note(key, cost);
            sheet.append(side.into_sheet());
        }
        let verdicts = judge(&sheet.into_report(&clock));
        verdicts
            .into_iter()
            .find(|verdict| verdict.name == name)
            .unwrap()
    }

    #[test]
    fn ratios_have_the_peer_below_unless_it_is_to_be_dearer() {
        let (ours, theirs) = (Column::Rsm, Column::ProcessVm);
        let put = Operation::Put8.alone();
        let name = "put 8 B, cheaper than process_vm_writev by";
        assert!(verdict(name, &[(ours, put, 20), (theirs, put, 1000)]).met());
        assert!(!verdict(name, &[(ours, put, 20), (theirs, put, 999)]).met());

        let signal = Operation::PostWait.alone();
        let name = "signal post + wait, to eventfd's write + read";
        let costs = |ours| [(Column::Rsm, signal, ours), (Column::Eventfd, signal, 1000)];
        assert!(verdict(name, &costs(1100)).met());
        assert!(!verdict(name, &costs(1101)).met());
    }

    #[test]
    fn sums_need_all_their_parts() {
        let huge = Memory {
            bytes: 64 << 20,
            pages: Pages::Huge,
        };
        let name = "create + destroy, 64 MiB of THP";
        let create = (Column::Rsm, Operation::Create.of(huge), 300_000);
        let destroy = (Column::Rsm, Operation::Destroy.of(huge), 100_001);
        assert_eq!(verdict(name, &[create]).value, None);
        let both = verdict(name, &[create, destroy]);
        assert_eq!(both.value, Some(400_001.0));
        assert!(!both.met());
    }
}
