// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl show`

use std::fmt::Write;

use rsm::{Access, Controller, SegmentId, Status};

use super::list::{known, rights, state};
use crate::cli;
use crate::connect::{connect, controller};
use crate::failure::{Failure, Result};
use crate::names;
use crate::observe;
use crate::report::{Rights, Segment, Show, Source};
use crate::screen::{self, BOLD, DIM};
use crate::table::{Side, Table};
use crate::units;

pub fn run(options: &cli::Show, json: bool) -> Result<()> {
    let show = look(options.id)?;
    if json {
        return screen::print_json(&show);
    }
    screen::print(&text(&show))?;
    screen::note(&observe::note(show.source, &show.missing));
    Ok(())
}

fn look(id: SegmentId) -> Result<Show> {
    let list = observe::list()?;
    let seen = list
        .segments
        .into_iter()
        .find(|segment| segment.id == Some(id.get()));
    // What one may do is found out by asking; the device may be closed to us.
    let asked = controller().and_then(|controller| ask(&controller, id));
    let (source, segment, allowed) = match (seen, asked) {
        (Some(segment), Ok((allowed, _))) => (list.source, segment, Some(allowed)),
        (Some(segment), Err(_)) => (list.source, segment, None),
        (None, Ok((allowed, length))) => (
            Source::Connect,
            observe::published(id.get(), length),
            Some(allowed),
        ),
        (None, Err(failure)) => return Err(failure),
    };
    Ok(Show {
        source,
        missing: list.missing,
        segment,
        allowed,
    })
}

/// What the caller may do with a segment, and its length.
fn ask(controller: &Controller, id: SegmentId) -> Result<(Rights, u64)> {
    let length = connect(controller, id, Access::None)?.len() as u64;
    let allowed = |access| match connect(controller, id, access) {
        Ok(_) => Ok(true),
        Err(failure) if failure.status() == Some(Status::PermDenied) => Ok(false),
        Err(failure) => Err(failure),
    };
    let rights = match (allowed(Access::Read)?, allowed(Access::Write)?) {
        (true, true) => Rights::ReadWrite,
        (true, false) => Rights::Read,
        (false, true) => Rights::Write,
        (false, false) => Rights::None,
    };
    Ok::<_, Failure>((rights, length))
}

fn text(show: &Show) -> String {
    let segment = &show.segment;
    let id = segment
        .id
        .map_or("-".into(), |id| format!("{id:#x} ({id})"));
    let exporter = segment.exporter.as_ref().map_or("?".into(), names::process);
    let length = match segment.length {
        length @ 0..1024 => units::bytes(length),
        length => format!("{} ({length} bytes)", units::bytes(length)),
    };
    let mut text = format!("{BOLD}Segment {id}{BOLD:#}\n");
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {DIM}{name:<10}{DIM:#} {value}");
    };
    line("state", state(segment.state));
    line("exporter", &exporter);
    line("length", &length);
    line(
        "imports",
        &known(segment.imports, |number| number.to_string()),
    );
    line("mapped", &known(segment.mapped, units::bytes));
    line(
        "events",
        &known(segment.events, |number| number.to_string()),
    );
    line(
        "you may",
        show.allowed
            .map_or("not known: /dev/rsm cannot be opened", rights),
    );
    text + &importers(segment)
}

fn importers(segment: &Segment) -> String {
    if segment.importers.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("IMPORTER", Side::Left),
        ("MAY", Side::Left),
        ("MAPPINGS", Side::Right),
        ("MAPPED", Side::Right),
        ("EVENTS", Side::Right),
    ]);
    for import in &segment.importers {
        table.row(vec![
            names::process(&import.importer),
            rights(import.rights).into(),
            import.mappings.to_string(),
            known(import.mapped, units::bytes),
            import.events.to_string(),
        ]);
    }
    format!("\n{}", table.text())
}
