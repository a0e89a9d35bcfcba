// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the tests run programs in C.

use std::fs::{set_permissions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Runs a program. Whether it says that all is well, and what it printed.
pub fn run(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Tests that run the examples in C, of which each checks itself.
#[macro_export]
macro_rules! examples {
    ($directory:literal) => {
        $crate::examples! { $directory: usage ring ping_pong rebind recovery }
    };
    ($directory:literal: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            let program = concat!($directory, "/", stringify!($name));
            let (good, output) = $crate::run(program, &[], &[]);
            assert!(good, "\n{output}");
        }
    )*};
}

/// A build of the suite. Its runner is started once and then asked for one check after another.
pub struct Suite {
    program: &'static str,
    variables: &'static [(&'static str, &'static str)],
    runner: Mutex<Option<Runner>>,
}

struct Runner {
    _process: Child,
    numbers: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Suite {
    /// The suite that `program` is, with these variables.
    pub const fn new(
        program: &'static str,
        variables: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self {
            program,
            variables,
            runner: Mutex::new(None),
        }
    }

    /// Runs the program by itself; as [`run`].
    pub fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (bool, String) {
        run(
            self.program,
            arguments,
            &[self.variables, variables].concat(),
        )
    }

    /// What the suite says when it runs one check.
    pub fn answer(&self, id: &str) -> String {
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::new();
        let runner = runner.get_or_insert_with(|| self.start());
        // If it has died it has no answer either.
        let _ = writeln!(runner.numbers, "{id}");
        while !text.ends_with(b"\n# done\n") {
            if !matches!(runner.answers.read_until(b'\n', &mut text), Ok(1..)) {
                text.extend(b"The runner has ended.\n");
                break;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Runs a check, which must pass and not be skipped: the guest has all that it needs.
    pub fn check(&self, id: &str) {
        let answer = self.answer(id);
        assert!(is_passed(&answer, id), "\n{answer}");
    }

    fn start(&self) -> Runner {
        // What the udev rule does.
        set_permissions("/dev/rsm", Permissions::from_mode(0o666)).expect("/dev/rsm");
        // Processes of a check write to standard error what belongs to its answer.
        let mut process = Command::new("/bin/sh")
            .args(["-c", "exec \"$0\" --serve 2>&1", self.program])
            .envs(self.variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program));
        Runner {
            numbers: process.stdin.take().expect("a pipe"),
            answers: BufReader::new(process.stdout.take().expect("a pipe")),
            _process: process,
        }
    }
}

fn is_passed(answer: &str, id: &str) -> bool {
    let mut points = answer
        .lines()
        .filter(|line| line.starts_with("ok ") || line.starts_with("not ok "));
    let verdict = format!(" - {id} ");
    matches!((points.next(), points.next()), (Some(point), None)
        if point.starts_with("ok ") && point.contains(&verdict) && !point.contains(" # SKIP "))
}
