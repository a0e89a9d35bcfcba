// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a test of each example that the documentation of `rsm` marks `no_run`.
//!
//! An example is made into a program as rustdoc does it: lines that begin with `# ` belong
//! to it, one without `main` is the body of one. Examples that macros put together are left
//! out.

use std::path::{Path, PathBuf};
use std::{env, fs};

const SOURCES: &str = "../rsm/src";

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    let mut files: Vec<PathBuf> = fs::read_dir(SOURCES)
        .expect("the sources of rsm")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect();
    files.sort();
    let tests: Vec<String> = files.iter().flat_map(|path| tests_of(path)).collect();
    assert!(tests.len() > 30, "only {} examples found", tests.len());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join("examples.rs"), tests.concat()).expect("cannot write examples.rs");
}

/// A test for each example in a file.
fn tests_of(path: &Path) -> Vec<String> {
    let source = fs::read_to_string(path).expect("a source file");
    let file = path.file_stem().expect("a name").to_string_lossy();
    let mut tests = Vec::new();
    let mut example: Option<(usize, String)> = None;
    for (number, line) in source.lines().enumerate() {
        let Some(text) = documentation(line) else {
            example = None;
            continue;
        };
        match &mut example {
            None if text == "```no_run" => example = Some((number + 1, String::new())),
            None => {}
            Some((start, code)) if text == "```" => {
                tests.push(test(&format!("{file}_line_{start}"), code));
                example = None;
            }
            Some((_, code)) => {
                let text = text.trim_start();
                *code += text
                    .strip_prefix("# ")
                    .unwrap_or(if text == "#" { "" } else { text });
                code.push('\n');
            }
        }
    }
    tests
}

/// What a line of documentation says.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

fn test(name: &str, code: &str) -> String {
    let result = if code.contains("fn main() ->") {
        format!("{code}\nmain().unwrap();")
    } else if code.contains("\nOk::<(),") {
        format!("(|| {{ {code} }})().unwrap();")
    } else {
        code.to_owned()
    };
    format!("#[test]\nfn {name}() {{\n{result}\n}}\n\n")
}
