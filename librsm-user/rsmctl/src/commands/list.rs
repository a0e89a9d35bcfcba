// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl list`

use crate::cli;
use crate::failure::Result;
use crate::names;
use crate::observe;
use crate::report::{Import, Rights, Segment, State};
use crate::screen;
use crate::table::{Side, Table};
use crate::units;

pub fn run(options: &cli::List, json: bool) -> Result<()> {
    let list = observe::list()?;
    if json {
        return screen::print_json(&list);
    }
    if !list.segments.is_empty() {
        screen::print(&table(&list.segments, options.imports).text())?;
    }
    let totals = observe::totals(&list.segments);
    screen::note(&format!(
        "{totals}; {}",
        observe::note(list.source, &list.missing)
    ));
    Ok(())
}

/// A row for each segment, and below it, if wanted, one for each import.
pub fn table(segments: &[Segment], imports: bool) -> Table {
    let mut table = Table::new(&[
        ("ID", Side::Left),
        ("STATE", Side::Left),
        ("PROCESS", Side::Left),
        ("LENGTH", Side::Right),
        ("IMPORTS", Side::Right),
        ("MAPPED", Side::Right),
        ("EVENTS", Side::Right),
    ]);
    for segment in segments {
        table.row(row(segment));
        for import in segment.importers.iter().filter(|_| imports) {
            table.row(import_row(import));
        }
    }
    table
}

fn row(segment: &Segment) -> Vec<String> {
    vec![
        segment.id.map_or("-".into(), |id| format!("{id:#x}")),
        state(segment.state).into(),
        segment.exporter.as_ref().map_or("?".into(), names::process),
        units::bytes(segment.length),
        known(segment.imports, |number| number.to_string()),
        known(segment.mapped, units::bytes),
        known(segment.events, |number| number.to_string()),
    ]
}

fn import_row(import: &Import) -> Vec<String> {
    vec![
        String::new(),
        format!("  {}", rights(import.rights)),
        format!("  {}", names::process(&import.importer)),
        String::new(),
        String::new(),
        known(import.mapped, units::bytes),
        import.events.to_string(),
    ]
}

/// A number, or `?`.
pub fn known(number: Option<u64>, text: impl FnOnce(u64) -> String) -> String {
    number.map_or("?".into(), text)
}

pub fn state(state: State) -> &'static str {
    match state {
        State::Bound => "bound",
        State::Published => "published",
        State::Dead => "dead",
    }
}

pub fn rights(rights: Rights) -> &'static str {
    match rights {
        Rights::None => "neither read nor write",
        Rights::Read => "read",
        Rights::Write => "write",
        Rights::ReadWrite => "read, write",
    }
}
