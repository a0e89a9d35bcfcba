// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-bench scale`: the cost of each operation among ever more segments and imports.

mod life;
mod population;

use anyhow::{ensure, Context, Result};
use clap::Args;
use nix::sys::resource::{setrlimit, Resource};

use crate::kernel_memory::kernel_bytes;
use crate::measure::{grouped, Clock, Figure, Report, Row, Samples};
use life::{Operation, Probe};
use population::Population;

/// How it is measured.
#[derive(Args)]
pub struct Options {
    /// Numbers of segments, and of imports, that there are meanwhile; ascending
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1_000, 10_000, 100_000])]
    populations: Vec<usize>,

    /// How often each operation is measured in each population
    #[arg(long, value_name = "N", default_value_t = 301)]
    rounds: usize,

    /// The most that an operation may cost, as a multiple of its cost in the first population
    #[arg(long, value_name = "RATIO", default_value_t = 1.5)]
    limit: f64,
}

/// Rounds before those that count.
const WARM_UP: usize = 20;

/// Measures.
pub fn run(options: &Options) -> Result<Report> {
    let populations = &options.populations;
    ensure!(
        populations.is_sorted_by(|a, b| a < b) && !populations.is_empty(),
        "populations must ascend"
    );
    let most = populations.last().copied().unwrap_or(0);
    allow_descriptors(2 * most + 100)?;

    let clock = Clock::new()?;
    let mut population = Population::new(most)?;
    let mut probe = Probe::new()?;
    let mut costs = vec![vec![Samples::default(); populations.len()]; Operation::ALL.len()];
    let empty = kernel_bytes()?;
    for (column, &number) in populations.iter().enumerate() {
        population.grow_to(number)?;
        for round in 0..WARM_UP + options.rounds {
            probe.live(&population, &clock, &mut |operation, cost| {
                if round >= WARM_UP {
                    costs[operation as usize][column].add(cost);
                }
            })?;
        }
    }
    let full = kernel_bytes()?;

    let columns = populations.iter().map(|&number| grouped(number as u64));
    let mut report = Report::new("scale", &clock, "segments and imports", columns);
    for (operation, samples) in Operation::ALL.iter().zip(&costs) {
        report.add(Row::new(operation.name(), samples.iter().map(Some)));
    }
    report.note(Figure {
        name: "kernel memory of a segment of one page with its import".into(),
        value: full.saturating_sub(empty) / most.max(1) as u64,
        unit: "bytes".into(),
    });
    report.require(options.limit);
    Ok(report)
}

/// Each segment and each import is a descriptor.
fn allow_descriptors(number: usize) -> Result<()> {
    let number = number as u64;
    setrlimit(Resource::RLIMIT_NOFILE, number, number).with_context(|| {
        format!("{number} descriptors are needed; more than fs.nr_open, or no root")
    })
}
