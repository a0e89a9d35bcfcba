// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a test of each check in the tables at the ends of the suite's files:
//!
//! ```text
//!     { "T219", "create_localmemory_handle: the alignment before the controller", t219, 0 },
//! ```

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=.");
    let mut files: Vec<PathBuf> = fs::read_dir(".")
        .expect("the suite")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "c"))
        .filter(|path| !path.ends_with("selftest.c"))
        .collect();
    files.sort();
    let mut modules = String::new();
    let mut all = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("a source file");
        let checks: Vec<&str> = source.lines().filter_map(check).collect();
        let theme = file.file_stem().expect("a name").to_string_lossy();
        let tests: String = checks.iter().map(|id| test(id)).collect();
        if !tests.is_empty() {
            modules += &format!("mod {theme} {{\n{tests}}}\n");
        }
        all.extend(checks.into_iter().map(str::to_owned));
    }
    modules += &format!("const ALL: &[&str] = &{all:?};\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join("checks.rs"), modules).expect("cannot write checks.rs");
}

/// The number of the check in a line of a table.
fn check(line: &str) -> Option<&str> {
    let (id, rest) = line.strip_prefix("\t{ \"")?.split_once("\", \"")?;
    rest.ends_with(" },").then_some(id)
}

/// Checks that the guests cannot make, and why.
const IGNORED: &[(&str, &str)] = &[("T056", "needs RSM_SOAK=1 and more than 8 GiB of memory")];

fn test(id: &str) -> String {
    let ignored = IGNORED.iter().find(|ignored| ignored.0 == id);
    let attribute = ignored.map_or(String::new(), |(_, why)| format!("#[ignore = {why:?}]\n"));
    let starts_with_digit = id.starts_with(|first: char| first.is_ascii_digit());
    let prefix = if starts_with_digit { "section_" } else { "" };
    let name = id.replace(['.', '-'], "_");
    format!("#[test]\n{attribute}fn {prefix}{name}() {{\ncrate::run({id:?});\n}}\n")
}
