// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a test of each example in the documentation of `rsm`.
//!
//! An example is made into a program as rustdoc does it: lines that begin with `# ` belong
//! to it, one without `main` is the body of one.

#[allow(dead_code)] // what is about public items is for the test in lib.rs
#[path = "src/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::{env, fs};

use source::Source;

const SOURCES: &str = "../rsm/src";

fn main() {
    println!("cargo::rerun-if-changed={SOURCES}");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/source.rs");
    let mut files: Vec<PathBuf> = fs::read_dir(SOURCES)
        .expect("the sources of rsm")
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect();
    files.sort();
    let tests: Vec<String> = files.iter().flat_map(|path| tests_of(path)).collect();
    assert!(tests.len() > 50, "only {} examples found", tests.len());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));
    fs::write(out.join("examples.rs"), tests.concat()).expect("cannot write examples.rs");
}

/// A test for each example in a file.
fn tests_of(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a source file");
    let file = path.file_stem().expect("a name").to_string_lossy();
    let examples = Source::of(&text).examples;
    let tests = examples.iter();
    tests
        .map(|example| test(&format!("{file}_line_{}", example.line), &example.program))
        .collect()
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
