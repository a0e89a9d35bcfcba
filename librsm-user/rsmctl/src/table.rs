// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of text.

use std::fmt::Write;

use crate::screen::BOLD;

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Left,
    Right,
}

/// Rows below a heading.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &[(&'static str, Side)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with a text for each column. Texts must be printable.
    pub fn row(&mut self, texts: Vec<String>) {
        debug_assert_eq!(texts.len(), self.columns.len());
        self.rows.push(texts);
    }

    /// The heading and the rows, with the heading in bold type.
    pub fn text(&self) -> String {
        let mut lines = self.lines().into_iter();
        let heading = lines.next().unwrap_or_default();
        let mut text = format!("{BOLD}{heading}{BOLD:#}\n");
        for line in lines {
            text += &line;
            text.push('\n');
        }
        text
    }

    /// The lines: the heading, and the rows.
    pub fn lines(&self) -> Vec<String> {
        let width = |column: usize| {
            let heading = self.columns[column].0.len();
            let texts = self.rows.iter().map(|row| row[column].chars().count());
            texts.max().unwrap_or(0).max(heading)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |texts: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((text, width), (_, side)) in texts.zip(&widths).zip(&self.columns) {
                if !line.is_empty() {
                    line += "  ";
                }
                let _ = match side {
                    Side::Left => write!(line, "{text:<width$}"),
                    Side::Right => write!(line, "{text:>width$}"),
                };
            }
            line.truncate(line.trim_end().len());
            line
        };
        let heading = line(&mut self.columns.iter().map(|column| column.0));
        let rows = self
            .rows
            .iter()
            .map(|row| line(&mut row.iter().map(String::as_str)));
        std::iter::once(heading).chain(rows).collect()
    }
}

/// A text that others have chosen, without what would move the cursor.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_invisible(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// Characters that change the direction of writing, or are not seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let mut table = Table::new(&[
            ("ID", Side::Left),
            ("LENGTH", Side::Right),
            ("X", Side::Left),
        ]);
        table.row(vec!["0x80000001".into(), "4 KiB".into(), String::new()]);
        table.row(vec!["-".into(), "1023.9 KiB".into(), "y".into()]);
        let lines = table.lines();
        assert_eq!(lines[0], "ID              LENGTH  X");
        assert_eq!(lines[1], "0x80000001       4 KiB");
        assert_eq!(lines[2], "-           1023.9 KiB  y");
    }

    #[test]
    fn others_do_not_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d é"), "a?[2Jb?c?d é");
    }
}
