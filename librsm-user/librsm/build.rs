// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generates the Rust view of `include/rsmapi.h`.

use std::env;
use std::path::PathBuf;

const HEADER: &str = "include/rsmapi.h";

fn main() {
    println!("cargo::rerun-if-changed={HEADER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));

    bindgen::Builder::default()
        .header(HEADER)
        .allowlist_file(".*/rsmapi\\.h")
        .use_core()
        .prepend_enum_name(false)
        .formatter(bindgen::Formatter::None)
        .generate()
        .expect("cannot generate bindings from rsmapi.h (is libclang installed?)")
        .write_to_file(out.join("rsmapi.rs"))
        .expect("cannot write rsmapi.rs");
}
