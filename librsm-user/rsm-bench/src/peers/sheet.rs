// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where costs are written down, in whichever process they arise.

use std::collections::BTreeMap;

use anyhow::Result;

use super::key::{Column, Key};
use crate::measure::{Clock, Report, Row, Samples};

/// Costs by row and column.
#[derive(Debug, Default)]
pub struct Sheet(BTreeMap<(Key, Column), Samples>);

impl Sheet {
    fn add(&mut self, key: Key, column: Column, cost: u64) {
        self.0.entry((key, column)).or_default().add(cost);
    }

    /// Adds all of another.
    pub fn append(&mut self, other: Self) {
        for (place, samples) in other.0 {
            self.0.entry(place).or_default().append(samples);
        }
    }

    /// Rows that a column has.
    pub fn rows(&self, column: Column) -> impl Iterator<Item = Key> + '_ {
        let here = move |&&(_, other): &&(Key, Column)| other == column;
        self.0.keys().filter(here).map(|&(key, _)| key)
    }

    /// For another process.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(serde_json::to_vec(&self.0.iter().collect::<Vec<_>>())?)
    }

    /// From another process.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let all: Vec<_> = serde_json::from_slice(bytes)?;
        Ok(Self(all.into_iter().collect()))
    }

    /// As a table.
    pub fn into_report(self, clock: &Clock) -> Report {
        let columns = Column::ALL.map(|column| column.name().to_owned());
        let mut report = Report::new("peers", clock, "cost of", columns);
        let mut keys: Vec<_> = self.0.keys().map(|&(key, _)| key).collect();
        keys.dedup();
        for key in keys {
            let cells = Column::ALL.map(|column| self.0.get(&(key, column)));
            report.add(Row::new(key.to_string(), cells).counting(key.operation.unit()));
        }
        report
    }
}

/// A process that measures for a column.
#[derive(Debug)]
pub struct Side {
    clock: Clock,
    column: Column,
    sheet: Sheet,
    often: bool,
}

impl Side {
    /// With an empty sheet.
    pub fn new(clock: Clock, column: Column) -> Self {
        Self {
            clock,
            column,
            sheet: Sheet::default(),
            often: false,
        }
    }

    /// From here on all is measured so many times that a tick of the timer in one of them does not
    /// matter, and none is waited for.
    pub fn often(&mut self) {
        self.often = true;
    }

    /// Another, for what is measured elsewhere already.
    pub fn aside(&self) -> Self {
        Self::new(self.clock, self.column)
    }

    /// What was measured.
    pub fn into_sheet(self) -> Sheet {
        self.sheet
    }

    /// Writes a number down.
    pub fn note(&mut self, key: Key, number: u64) {
        self.sheet.add(key, self.column, number);
    }

    /// Waits for a good moment to measure something that is measured once in a round.
    pub fn await_tick(&self) {
        if !self.often {
            self.clock.await_tick();
        }
    }

    /// Runs something at a good moment and writes down what it cost.
    pub fn time<T>(&mut self, key: Key, something: impl FnOnce() -> T) -> T {
        self.await_tick();
        self.time_now(key, something)
    }

    /// Runs something and writes down what it cost.
    pub fn time_now<T>(&mut self, key: Key, something: impl FnOnce() -> T) -> T {
        let (cost, result) = self.clock.time(something);
        self.note(key, cost);
        result
    }

    /// Runs something short so many batches of so many times over, and writes down for each batch
    /// what it cost once.
    pub fn time_each<E>(
        &mut self,
        key: Key,
        (batches, times): (u64, u64),
        mut something: impl FnMut() -> Result<(), E>,
    ) -> Result<(), E> {
        for _ in 0..batches {
            let cost = self.clock.time_each(times, &mut something)?;
            self.note(key, cost);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Operation;
    use super::*;

    #[test]
    fn sheets_travel_and_merge() {
        let clock = Clock::new().unwrap();
        let mut near = Side::new(clock, Column::Rsm);
        near.note(Operation::Put8.alone(), 10);
        let mut far = Side::new(clock, Column::Memfd);
        far.note(Operation::Put8.alone(), 30);
        far.note(Operation::Create.alone(), 5);
        let mut all = near.into_sheet();
        let bytes = far.into_sheet().to_bytes().unwrap();
        all.append(Sheet::from_bytes(&bytes).unwrap());
        let report = all.into_report(&clock);
        let names: Vec<_> = report.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["create", "put 8 B"]);
        let put = report.row("put 8 B").unwrap();
        assert_eq!(put.cost(0).unwrap().median, 10);
        assert_eq!(put.cells[1].unwrap().ratio, Some(3.0));
        assert!(put.cost(2).is_none());
    }
}
