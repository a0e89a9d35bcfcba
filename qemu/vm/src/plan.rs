// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest shall do: written by the host into the guest's initial root,
//! read there by process 1. Lines have the form of the [`protocol`](crate::protocol).

use crate::protocol::{line, parse_line};
use anyhow::{bail, Context, Result};

/// Where the plan lies in the guest.
pub const PATH: &str = "/rsm/plan";
/// Where the programs lie in the guest; part of its `PATH`.
pub const BIN_DIR: &str = "/rsm/bin";
/// Where the modules lie in the guest.
pub const MODULE_DIR: &str = "/rsm/modules";

/// A module to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name; the file is NAME.ko below [`MODULE_DIR`].
    pub name: String,
    /// Parameters as on insmod's command line.
    pub parameters: String,
}

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// File below [`BIN_DIR`].
    pub name: String,
    /// What it is given on its command line.
    pub arguments: Vec<String>,
}

/// The guest's orders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Modules, in the order in which they are loaded.
    pub modules: Vec<Module>,
    /// Programs, in the order in which they run.
    pub programs: Vec<Program>,
    /// Variables that every program sees.
    pub environment: Vec<(String, String)>,
    /// After so many seconds of running a program is stopped and its state shown.
    pub program_timeout: Option<u64>,
    /// After so many seconds since the guest came up, whatever runs is stopped.
    pub guest_timeout: Option<u64>,
    /// Give the user a shell once the programs have run.
    pub shell: bool,
    /// Boot, say so, power off; nothing else. Used to try an accelerator.
    pub probe: bool,
}

impl Plan {
    /// The plan as the text of its file.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for module in &self.modules {
            text += &line(
                "module",
                &[module.name.as_bytes(), module.parameters.as_bytes()],
            );
        }
        for program in &self.programs {
            let words = std::iter::once(&program.name).chain(&program.arguments);
            text += &line(
                "program",
                &words.map(|word| word.as_bytes()).collect::<Vec<_>>(),
            );
        }
        for (name, value) in &self.environment {
            text += &line("variable", &[name.as_bytes(), value.as_bytes()]);
        }
        if let Some(seconds) = self.program_timeout {
            text += &line("program-timeout", &[seconds.to_string().as_bytes()]);
        }
        if let Some(seconds) = self.guest_timeout {
            text += &line("guest-timeout", &[seconds.to_string().as_bytes()]);
        }
        if self.shell {
            text += &line("shell", &[]);
        }
        if self.probe {
            text += &line("probe", &[]);
        }
        text
    }

    /// Reads the text of a plan's file.
    pub fn parse(text: &str) -> Result<Plan> {
        let mut plan = Plan::default();
        for raw in text.lines() {
            let (verb, fields) = parse_line(raw).with_context(|| format!("bad line: {raw}"))?;
            let words = fields
                .into_iter()
                .map(String::from_utf8)
                .collect::<Result<Vec<_>, _>>()
                .with_context(|| format!("not UTF-8: {raw}"))?;
            match (verb, words.as_slice()) {
                ("module", [name, parameters]) => plan.modules.push(Module {
                    name: name.clone(),
                    parameters: parameters.clone(),
                }),
                ("program", [name, arguments @ ..]) => plan.programs.push(Program {
                    name: name.clone(),
                    arguments: arguments.to_vec(),
                }),
                ("variable", [name, value]) => plan.environment.push((name.clone(), value.clone())),
                ("program-timeout", [seconds]) => plan.program_timeout = Some(seconds.parse()?),
                ("guest-timeout", [seconds]) => plan.guest_timeout = Some(seconds.parse()?),
                ("shell", []) => plan.shell = true,
                ("probe", []) => plan.probe = true,
                _ => bail!("unknown line: {raw}"),
            }
        }
        Ok(plan)
    }

    /// Reads the plan of this guest.
    pub fn read() -> Result<Plan> {
        let text = std::fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
        Plan::parse(&text).with_context(|| PATH.to_string())
    }
}

/// The name under which the kernel knows a module whose file has this content:
/// the build notes it there. The file may be called anything.
pub fn module_name(content: &[u8]) -> Option<String> {
    const NOTE: &[u8] = b"\0name=";
    let at = content
        .windows(NOTE.len())
        .position(|window| window == NOTE)?
        + NOTE.len();
    let length = content[at..].iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(&content[at..at + length]).ok()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_file() {
        let plan = Plan {
            modules: vec![Module {
                name: "faulty".into(),
                parameters: "fault=warn x=\"a b\"".into(),
            }],
            programs: vec![
                Program {
                    name: "one".into(),
                    arguments: vec![
                        "--test-threads=1".into(),
                        "".into(),
                        "tab\tnewline\n".into(),
                    ],
                },
                Program {
                    name: "two".into(),
                    arguments: vec![],
                },
            ],
            environment: vec![("RSM_SOAK".into(), "0".into()), ("EMPTY".into(), "".into())],
            program_timeout: Some(60),
            guest_timeout: Some(100),
            shell: true,
            probe: true,
        };
        assert_eq!(Plan::parse(&plan.to_text()).unwrap(), plan);
        assert_eq!(Plan::parse("").unwrap(), Plan::default());
    }

    #[test]
    fn an_unknown_order_is_refused() {
        for text in [
            "@dance\n",
            "@shell\tnow\n",
            "program\n",
            "@program-timeout\tsoon\n",
        ] {
            assert!(Plan::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_module_knows_its_name() {
        let content = b"\x7fELF...\0license=GPL\0name=snd_timer\0vermagic=7.2";
        assert_eq!(module_name(content).as_deref(), Some("snd_timer"));
        assert_eq!(module_name(b"\x7fELF\0name=\0"), None);
        assert_eq!(module_name(b"#!/bin/sh"), None);
    }
}
