// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a test of each check in the tables at the ends of the suite's files:
//!
//! ```text
//!     { "T219", "create_localmemory_handle: the alignment before the controller", t219, 0 },
//! ```

use std::path::PathBuf;
use std::{env, fs};

/// Numbers of checks that a build of the suite cannot make, and why.
type Ignored = &'static [(&'static str, &'static str)];

const NO_REFUSALS: &str = "needs an allocator that can be replaced: glibc, without a sanitizer";

/// With sanitizers; they say so themselves, in these words.
const IGNORED_SANITIZED: Ignored = &[
    (
        "T057",
        "AddressSanitizer keeps what is freed: the process grows",
    ),
    (
        "import_map.14",
        "AddressSanitizer needs address space of its own",
    ),
    ("shortage.library", NO_REFUSALS),
    ("shortage.functions", NO_REFUSALS),
    ("shortage.range", NO_REFUSALS),
];

fn main() {
    println!("cargo::rerun-if-changed=.");
    let mut files: Vec<PathBuf> = fs::read_dir(".")
        .expect("the suite")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "c"))
        .filter(|path| !path.ends_with("selftest.c"))
        .collect();
    files.sort();
    let themes: Vec<(String, Vec<String>)> = files
        .into_iter()
        .map(|file| {
            let source = fs::read_to_string(&file).expect("a source file");
            let theme = file.file_stem().expect("a name").to_string_lossy();
            let checks = source.lines().filter_map(check).map(str::to_owned);
            (theme.into_owned(), checks.collect())
        })
        .collect();
    let all: Vec<&String> = themes.iter().flat_map(|(_, checks)| checks).collect();
    let checks = modules(&themes, &[]) + &format!("const ALL: &[&str] = &{all:?};\n");
    write("checks.rs", &checks);
    let ignored = format!("const IGNORED: &[(&str, &str)] = &{IGNORED_SANITIZED:?};\n");
    write(
        "sanitized.rs",
        &(modules(&themes, IGNORED_SANITIZED) + &ignored),
    );
}

fn write(name: &str, content: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join(name), content).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// The number of the check in a line of a table.
fn check(line: &str) -> Option<&str> {
    let (id, rest) = line.strip_prefix("\t{ \"")?.split_once("\", \"")?;
    rest.ends_with(" },").then_some(id)
}

/// A module for each theme.
fn modules(themes: &[(String, Vec<String>)], ignored: Ignored) -> String {
    let mut modules = String::new();
    for (theme, checks) in themes.iter().filter(|(_, checks)| !checks.is_empty()) {
        let tests: String = checks.iter().map(|id| test(id, ignored)).collect();
        modules += &format!("mod {theme} {{\n{tests}}}\n");
    }
    modules
}

fn test(id: &str, ignored: Ignored) -> String {
    let ignored = ignored.iter().find(|ignored| ignored.0 == id);
    let attribute = ignored.map_or(String::new(), |(_, why)| format!("#[ignore = {why:?}]\n"));
    let starts_with_digit = id.starts_with(|first: char| first.is_ascii_digit());
    let prefix = if starts_with_digit { "section_" } else { "" };
    let name = id.replace(['.', '-'], "_");
    format!("#[test]\n{attribute}fn {prefix}{name}() {{\ncrate::run({id:?});\n}}\n")
}
