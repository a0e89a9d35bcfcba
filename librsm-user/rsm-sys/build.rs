// SPDX-License-Identifier: MIT OR Apache-2.0
//! Generates the Rust types from `include/uapi/linux/rsm.h`, the only definition
//! of the interface.

use std::env;
use std::path::PathBuf;

const HEADER: &str = "../../include/uapi/linux/rsm.h";

fn main() {
    println!("cargo::rerun-if-changed={HEADER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets OUT_DIR"));

    bindgen::Builder::default()
        .header(HEADER)
        .allowlist_file(".*/uapi/linux/rsm\\.h")
        .use_core()
        .derive_default(true)
        .derive_eq(true)
        .layout_tests(true)
        .prepend_enum_name(false)
        .formatter(bindgen::Formatter::None)
        .generate()
        .expect("cannot generate bindings from rsm.h (is libclang installed?)")
        .write_to_file(out.join("bindings.rs"))
        .expect("cannot write bindings.rs");
}
