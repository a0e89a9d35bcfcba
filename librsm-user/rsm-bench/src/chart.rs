// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsm-bench chart`: a report as a picture, in which each row shows how many times the first
//! column the others cost.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Result};
use clap::Args;
use plotters::prelude::*;

use crate::measure::Report;

/// From where to where.
#[derive(Args)]
pub struct Options {
    /// What a run left as JSON
    report: PathBuf,
    /// The picture, an SVG file
    picture: PathBuf,
}

/// Pixels.
const WIDTH: u32 = 1200;
const ROW: u32 = 22;
const LABELS: u32 = 400;
const LEGEND: u32 = 30;
const NAME: i32 = 120;

/// A mark: its row, and how far to the right.
type Mark = (i32, f64);

/// Draws.
pub fn run(options: &Options) -> Result<()> {
    draw(&Report::read(&options.report)?, &options.picture)
}

fn draw(report: &Report, picture: &Path) -> Result<()> {
    let names: Vec<_> = rows(report).map(|row| row.name.clone()).collect();
    let columns: Vec<_> = (0..report.columns.len())
        .map(|column| marks(report, column))
        .collect();
    ensure!(!names.is_empty(), "nothing is compared in this report");
    let (mut least, mut most) = (1.0_f64, 1.0_f64);
    for &(_, ratio) in columns.iter().flatten() {
        (least, most) = (least.min(ratio), most.max(ratio));
    }

    let height = ROW * names.len() as u32 + 110;
    let root = SVGBackend::new(picture, (WIDTH, height + LEGEND)).into_drawing_area();
    root.fill(&WHITE)?;
    let (plot, legend) = root.split_vertically(height);
    let title = format!(
        "{}: {}, as multiples of {}; Linux {}",
        report.benchmark, report.unit, report.columns[0], report.kernel
    );
    let mut chart = ChartBuilder::on(&plot)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .set_label_area_size(LabelAreaPosition::Left, LABELS)
        .set_label_area_size(LabelAreaPosition::Bottom, 40)
        .build_cartesian_2d(
            (least / 1.5..most * 1.5).log_scale(),
            (0..names.len() as i32 - 1).into_segmented(),
        )?;
    // The first row is at the top.
    let place = |row: i32| SegmentValue::CenterOf(names.len() as i32 - 1 - row);
    let name = |value: &SegmentValue<i32>| match value {
        SegmentValue::CenterOf(from_below) => {
            let row = names.len() as i32 - 1 - from_below;
            names.get(row as usize).cloned().unwrap_or_default()
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(2 * names.len() + 1)
        .label_style(("sans-serif", 13))
        .y_label_formatter(&name)
        .x_desc("times the cost, logarithmic")
        .draw()?;
    for (column, marks) in columns.iter().enumerate() {
        let dot = |at| Circle::new(at, 4, Palette99::pick(column).filled());
        // One below the other, where several cost the same.
        let below = 2 * column as i32 - columns.len() as i32 + 1;
        let mark = |&(row, ratio): &Mark| EmptyElement::at((ratio, place(row))) + dot((0, below));
        chart.draw_series(marks.iter().map(mark))?;
        let left = LABELS as i32 + NAME * column as i32;
        legend.draw(&dot((left, 10)))?;
        let name = report.columns[column].clone();
        legend.draw(&Text::new(name, (left + 10, 4), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}

/// Rows in which there is something to compare.
fn rows(report: &Report) -> impl Iterator<Item = &crate::measure::Row> {
    let shown = |row: &&crate::measure::Row| {
        let ratios = row.cells.iter().flatten().filter_map(|cell| cell.ratio);
        row.cost(0).is_some() && ratios.filter(|ratio| *ratio > 0.0).count() > 1
    };
    report.rows.iter().filter(shown)
}

/// What a column costs, in all rows where it is known.
fn marks(report: &Report, column: usize) -> Vec<Mark> {
    let mark = |(number, row): (usize, &crate::measure::Row)| {
        let ratio = row.cells.get(column)?.as_ref()?.ratio?;
        (ratio > 0.0 && ratio.is_finite()).then_some((number as i32, ratio))
    };
    rows(report).enumerate().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let text = r#"{"benchmark": "peers", "unit": "instructions", "kernel": "7.2", "across": "",
            "columns": ["rsm", "memfd"], "figures": [], "limit": null, "passed": true, "rows": [
            {"name": "compared", "cells": [
                {"median": 2, "low": 2, "high": 2, "rounds": 3, "ratio": 1.0},
                {"median": 9, "low": 9, "high": 9, "rounds": 3, "ratio": 4.5}]},
            {"name": "compared, too", "cells": [
                {"median": 2, "low": 2, "high": 2, "rounds": 3, "ratio": 1.0},
                {"median": 1, "low": 1, "high": 1, "rounds": 3, "ratio": 0.5}]},
            {"name": "alone", "cells": [
                {"median": 2, "low": 2, "high": 2, "rounds": 3, "ratio": 1.0}, null]},
            {"name": "of others", "cells": [
                null, {"median": 9, "low": 9, "high": 9, "rounds": 3, "ratio": null}]}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn only_what_can_be_compared_is_drawn() {
        let names: Vec<_> = rows(&report()).map(|row| row.name.clone()).collect();
        assert_eq!(names, ["compared", "compared, too"]);
        assert_eq!(marks(&report(), 0), [(0, 1.0), (1, 1.0)]);
        assert_eq!(marks(&report(), 1), [(0, 4.5), (1, 0.5)]);
    }

    #[test]
    fn the_picture_names_rows_and_columns() {
        let file = std::env::temp_dir().join(format!("rsm-bench-{}.svg", std::process::id()));
        draw(&report(), &file).unwrap();
        let picture = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        for text in ["<svg", "compared", "compared, too", "memfd", "</svg>"] {
            assert!(picture.contains(text), "no {text} in {picture}");
        }
        assert_eq!(
            picture.matches("<circle").count(),
            6,
            "four marks and two legends"
        );
    }
}
