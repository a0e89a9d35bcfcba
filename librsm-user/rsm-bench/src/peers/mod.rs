// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-bench peers`: segments beside what else there is to share memory or move data between
//! processes, exporter and importer always being different processes.
//!
//! A round plays all scenes once; a scene is played in fresh processes.

mod channel;
mod key;
mod link;
mod scenes;
mod sheet;
mod stage;
mod targets;
mod ways;

use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};
use clap::Args;

use crate::measure::{settle, Clock, Report, Unit};
use key::Column;
use scenes::{Bench, SCENES};
use sheet::Sheet;

/// How it is measured.
#[derive(Args, Debug)]
pub struct Options {
    /// MiB of memory that are shared
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    size: usize,

    /// MiB of memory that are shared where it is to be much
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    large: usize,

    /// Numbers of importers from which memory is taken back at once
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 10, 100])]
    importers: Vec<usize>,

    /// How often all is measured, after one round that does not count
    #[arg(long, value_name = "N", default_value_t = 7)]
    rounds: usize,

    /// The same for what takes long; the first counts, too
    #[arg(long, value_name = "N", default_value_t = 7)]
    long_rounds: usize,

    /// Only these scenes
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
          value_parser = clap::builder::PossibleValuesParser::new(SCENES.iter().map(|scene| scene.name)))]
    only: Vec<String>,

    /// Only these columns
    #[arg(long, value_name = "NAME,...", value_delimiter = ',',
          value_parser = clap::builder::PossibleValuesParser::new(Column::ALL.map(Column::name)))]
    columns: Vec<String>,
}

impl Options {
    /// Little of everything, once: to see that it works.
    pub fn brief() -> Self {
        Self {
            size: 2,
            large: 4,
            importers: vec![1, 3],
            rounds: 1,
            long_rounds: 1,
            only: Vec::new(),
            columns: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.size << 20
    }

    fn large_bytes(&self) -> usize {
        self.large << 20
    }
}

/// Measures.
pub fn run(options: &Options) -> Result<Report> {
    ensure!(options.size > 0 && options.large > 0, "no memory asked for");
    settle()?;
    let clock = Clock::new()?;
    let mut bench = Bench {
        options,
        clock,
        sheet: Sheet::default(),
    };
    let mut sheets: Vec<_> = SCENES.iter().map(|_| Sheet::default()).collect();
    let wanted = |name| options.only.is_empty() || options.only.iter().any(|only| only == name);
    for round in 0..=options.rounds.max(options.long_rounds) {
        let scenes = SCENES.iter().zip(&mut sheets);
        for (scene, sheet) in scenes.filter(|(scene, _)| wanted(scene.name)) {
            let rounds = if scene.long {
                1..=options.long_rounds
            } else {
                0..=options.rounds
            };
            if rounds.contains(&round) {
                (scene.play)(&mut bench).with_context(|| format!("scene {}", scene.name))?;
                let played = std::mem::take(&mut bench.sheet);
                if round > 0 {
                    sheet.append(played);
                }
            }
        }
    }
    let mut report = report(sheets, &clock);
    let scenes = SCENES.iter().map(|scene| scene.name);
    report.scenes = scenes
        .filter(|name| wanted(name))
        .map(str::to_owned)
        .collect();
    if clock.unit() == Unit::Instructions && options.columns.is_empty() {
        let verdicts = targets::judge(&report);
        report.require_all(verdicts);
    }
    Ok(report)
}

/// What all scenes have measured, as a table.
fn report(sheets: Vec<Sheet>, clock: &Clock) -> Report {
    let mut scene_of = BTreeMap::new();
    let mut all = Sheet::default();
    for (scene, sheet) in SCENES.iter().zip(sheets) {
        for row in sheet.rows(Column::Rsm) {
            scene_of.entry(row.to_string()).or_insert(scene.name);
        }
        all.append(sheet);
    }
    let mut report = all.into_report(clock);
    for row in &mut report.rows {
        row.scene = scene_of.get(&row.name).map(|&name| name.to_owned());
    }
    report
}
