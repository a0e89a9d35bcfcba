// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl top` on a terminal: the whole screen, and keys.

use std::io::{self, Write};
use std::mem;
use std::time::{Duration, Instant};

use anstream::AutoStream;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{self, Clear, ClearType};
use crossterm::{cursor, execute, queue};

use super::frame::Frame;
use super::Looks;
use crate::cli::{self, Sort};
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::screen;

const KEYS: &str = "q quit   l length   i imports   m mapped   e events   arrows scroll";

/// Longer than anybody waits, and what the system waits for at a time.
const LONGEST: Duration = Duration::from_secs(20 * 24 * 60 * 60);

/// The terminal, while it is ours. Dropping it gives it back as it was.
struct Terminal {
    styled: bool,
}

impl Terminal {
    fn new() -> io::Result<Self> {
        let styled = AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        terminal::enable_raw_mode()?;
        let terminal = Self { styled };
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(terminal)
    }

    fn restore() {
        let _ = terminal::disable_raw_mode();
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
    }

    /// The same for a program that ends here. Nobody draws any more; and if nobody reads what is
    /// drawn, it is no use to try.
    fn abandon() {
        let _ = terminal::disable_raw_mode();
        if screen::is_ready(io::stdout()) {
            let mut out = io::stdout().lock();
            let _ = execute!(out, cursor::Show, terminal::LeaveAlternateScreen);
            mem::forget(out);
        }
    }

    /// Draws as much as there is room for, rows from number `first` on.
    fn draw(&self, frame: &Frame, first: usize) -> io::Result<()> {
        let (width, height) = terminal::size()?;
        let (width, height) = (usize::from(width), usize::from(height));
        let mut out = io::stdout().lock();
        queue!(out, cursor::MoveTo(0, 0))?;
        let room = height.saturating_sub(frame.head.len() + 2);
        let plain = frame
            .head
            .iter()
            .map(|line| (line.as_str(), Attribute::Reset));
        let heading = std::iter::once((frame.heading.as_str(), Attribute::Reverse));
        let rows = frame
            .rows
            .iter()
            .skip(first)
            .take(room)
            .map(|row| (row.as_str(), Attribute::Reset));
        for (line, attribute) in plain
            .chain(heading)
            .chain(rows)
            .take(height.saturating_sub(1))
        {
            self.line(&mut out, line, attribute, width)?;
            queue!(out, cursor::MoveToNextLine(1))?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        let last = u16::try_from(height.saturating_sub(1)).unwrap_or(0);
        queue!(out, cursor::MoveTo(0, last))?;
        self.line(&mut out, KEYS, Attribute::Dim, width)?;
        out.flush()
    }

    /// A line, cut at the screen's edge; a heading is as wide as the screen.
    fn line(
        &self,
        out: &mut impl Write,
        text: &str,
        attribute: Attribute,
        width: usize,
    ) -> io::Result<()> {
        let mut text: String = text.chars().take(width).collect();
        if self.styled && attribute != Attribute::Reset {
            if attribute == Attribute::Reverse {
                text = format!("{text:<width$}");
            }
            queue!(out, SetAttribute(attribute))?;
            write!(out, "{text}")?;
            queue!(out, SetAttribute(Attribute::Reset))?;
        } else {
            write!(out, "{text}")?;
        }
        // At the edge it would take away what was just written.
        if text.chars().count() < width {
            queue!(out, Clear(ClearType::UntilNewLine))?;
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        Self::restore();
    }
}

pub fn run(options: &cli::Top) -> Result<()> {
    let failed = |error: io::Error| Failure::io("cannot use the terminal", &error);
    // What is wrong is said before the screen is taken.
    let mut looks = Looks::new();
    let mut sort = options.sort;
    let mut top = looks.look(sort)?;
    interrupt::before_the_end(|_| Terminal::abandon())?;
    let terminal = Terminal::new().map_err(failed)?;
    let (mut first, mut number) = (0, 1);
    loop {
        let frame = Frame::new(&top, looks.previous());
        first = first.min(frame.rows.len().saturating_sub(1));
        let next = Instant::now() + options.interval.min(LONGEST);
        loop {
            terminal.draw(&frame, first).map_err(failed)?;
            let left = next.saturating_duration_since(Instant::now());
            match key(left).map_err(failed)? {
                Key::None => break,
                Key::Quit => return Ok(()),
                Key::Redraw => {}
                Key::Sort(by) => {
                    sort = by;
                    first = 0;
                    super::order(&mut top.segments, sort);
                    break;
                }
                Key::Up(rows) => first = first.saturating_sub(rows),
                Key::Down(rows) => {
                    first = first
                        .saturating_add(rows)
                        .min(frame.rows.len().saturating_sub(1));
                }
            }
        }
        if Instant::now() < next {
            continue;
        }
        if options.count.is_some_and(|count| number >= count) {
            return Ok(());
        }
        number += 1;
        let seen = looks.look(sort)?;
        looks.keep(std::mem::replace(&mut top, seen));
    }
}

/// What a key asks for.
enum Key {
    None,
    Redraw,
    Quit,
    Sort(Sort),
    Up(usize),
    Down(usize),
}

/// Waits for a key or something else to happen on the terminal.
fn key(time: Duration) -> io::Result<Key> {
    if !event::poll(time)? {
        return Ok(Key::None);
    }
    Ok(match event::read()? {
        Event::Key(KeyEvent {
            code,
            modifiers,
            kind: KeyEventKind::Press | KeyEventKind::Repeat,
            ..
        }) => match code {
            KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
            KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
            KeyCode::Char('l') => Key::Sort(Sort::Length),
            KeyCode::Char('i') => Key::Sort(Sort::Imports),
            KeyCode::Char('m') => Key::Sort(Sort::Mapped),
            KeyCode::Char('e') => Key::Sort(Sort::Events),
            KeyCode::Up | KeyCode::Char('k') => Key::Up(1),
            KeyCode::Down | KeyCode::Char('j') => Key::Down(1),
            KeyCode::PageUp => Key::Up(10),
            KeyCode::PageDown => Key::Down(10),
            KeyCode::Home => Key::Up(usize::MAX),
            KeyCode::End => Key::Down(usize::MAX),
            _ => Key::Redraw,
        },
        _ => Key::Redraw,
    })
}
