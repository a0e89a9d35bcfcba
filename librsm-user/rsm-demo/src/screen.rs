// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the audience sees: acts, lines with a time and a speaker, checks, the verdict.

use std::fmt::Display;
use std::io::Write;
use std::time::Instant;

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};

use crate::actor::{Failure, Role};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Prints, and counts checks.
#[derive(Debug)]
pub struct Screen {
    started: Instant,
    acts: u32,
    checks: u32,
    failed: u32,
}

impl Screen {
    pub fn new(title: impl Display, subtitle: impl Display) -> Self {
        println!("\n{BOLD}{title}{BOLD:#}\n{DIM}{subtitle}{DIM:#}\n");
        Self {
            started: Instant::now(),
            acts: 0,
            checks: 0,
            failed: 0,
        }
    }

    pub fn introduce(&self, role: &Role, pid: impl Display) {
        let style = style_of(role.name);
        let Role {
            name,
            uid,
            gid,
            about,
        } = role;
        println!("  {style}{name:<9}{style:#} pid {pid:<5} uid {uid}  group {gid}  {about}");
    }

    pub fn act(&mut self, title: &str) {
        self.acts += 1;
        println!("\n{BOLD}{}  {title}{BOLD:#}", self.acts);
    }

    pub fn line(&self, name: &str, text: impl Display) {
        let style = style_of(name);
        let time = self.started.elapsed().as_secs_f64();
        println!("{DIM}{time:8.3} s{DIM:#}  {style}{name:<9}{style:#}  {text}");
        // The audience may sit behind a pipe.
        let _ = std::io::stdout().flush();
    }

    pub fn check(&mut self, ok: bool, text: impl Display) {
        self.checks += 1;
        self.failed += u32::from(!ok);
        match ok {
            true => println!("{:10}  {GOOD}ok{GOOD:#}         {text}", ""),
            false => println!("{:10}  {BAD}FAILED{BAD:#}     {text}", ""),
        }
    }

    pub fn verdict(self) -> Verdict {
        let time = self.started.elapsed().as_secs_f64();
        let (checks, failed) = (self.checks, self.failed);
        match failed {
            0 => println!("\n{GOOD}All {checks} checks passed{GOOD:#} in {time:.1} s.\n"),
            _ => println!("\n{BAD}{failed} of {checks} checks failed{BAD:#} in {time:.1} s.\n"),
        }
        Verdict { failed }
    }
}

/// How the play ended.
#[derive(Debug)]
pub struct Verdict {
    failed: u32,
}

impl Verdict {
    pub fn passed(&self) -> bool {
        self.failed == 0
    }
}

/// The play could not begin or had to stop.
pub fn complain(error: &Failure) {
    eprintln!("{BAD}rsm-demo:{BAD:#} {error}");
}

fn style_of(name: &str) -> Style {
    match name {
        "exporter" => AnsiColor::Cyan,
        "importer" => AnsiColor::Magenta,
        "stranger" => AnsiColor::Yellow,
        _ => return DIM,
    }
    .on_default()
}
