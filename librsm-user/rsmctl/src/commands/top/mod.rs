// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl top`: looks again and again. On a terminal it fills the screen and listens to keys;
//! elsewhere it prints one look after the other.

mod frame;
mod live;

use std::io::{self, IsTerminal};
use std::thread;
use std::time::Instant;

use crate::cli::{self, Sort};
use crate::failure::Result;
use crate::observe;
use crate::report::{Segment, Top};
use crate::screen::{self, BOLD};

pub fn run(options: &cli::Top, json: bool) -> Result<()> {
    if !json && io::stdout().is_terminal() && options.count != Some(1) {
        return live::run(options);
    }
    let mut looks = Looks::new();
    let mut number = 0;
    loop {
        let top = looks.look(options.sort)?;
        if json {
            screen::print_json(&top)?;
        } else {
            let frame = frame::Frame::new(&top, looks.previous());
            let separator = if number > 0 { "\n" } else { "" };
            screen::print(&format!("{separator}{}", frame_text(&frame)))?;
        }
        looks.keep(top);
        number += 1;
        if options.count == Some(number) {
            return Ok(());
        }
        thread::sleep(options.interval);
    }
}

fn frame_text(frame: &frame::Frame) -> String {
    let mut text: String = frame.head.iter().map(|line| line.clone() + "\n").collect();
    text += &format!("{BOLD}{}{BOLD:#}\n", frame.heading);
    for row in &frame.rows {
        text += row;
        text.push('\n');
    }
    text
}

/// One look after the other.
#[derive(Debug)]
struct Looks {
    start: Instant,
    previous: Option<Top>,
}

impl Looks {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            previous: None,
        }
    }

    fn look(&self, sort: Sort) -> Result<Top> {
        let mut list = observe::list()?;
        let (live, counters, revoke_times) = match observe::statistics()? {
            Some((live, counters, times)) => (Some(live), Some(counters), Some(times)),
            None => (None, None, None),
        };
        order(&mut list.segments, sort);
        Ok(Top {
            elapsed_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            source: list.source,
            missing: list.missing,
            live,
            counters,
            revoke_times,
            segments: list.segments,
        })
    }

    fn previous(&self) -> Option<&Top> {
        self.previous.as_ref()
    }

    fn keep(&mut self, top: Top) {
        self.previous = Some(top);
    }
}

/// The largest first; those that are equal keep their order.
fn order(segments: &mut [Segment], sort: Sort) {
    segments.sort_by_key(|segment| {
        std::cmp::Reverse(match sort {
            Sort::Length => Some(segment.length),
            Sort::Imports => segment.imports,
            Sort::Mapped => segment.mapped,
            Sort::Events => segment.events,
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_first() {
        let segment = |id, length, imports| Segment {
            imports,
            ..observe::published(id, length)
        };
        let mut segments = [
            segment(1, 5, None),
            segment(2, 9, Some(0)),
            segment(3, 5, Some(7)),
        ];
        let ids = |segments: &[Segment]| segments.iter().map(|s| s.id.unwrap()).collect::<Vec<_>>();
        order(&mut segments, Sort::Length);
        assert_eq!(ids(&segments), [2, 1, 3]);
        order(&mut segments, Sort::Imports);
        assert_eq!(ids(&segments), [3, 2, 1]);
    }
}
