// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in C, each of which checks itself: built with what pkg-config says of the
//! library as it is installed, and linked dynamically; one of them statically, too.

conformance::examples!("/rsm/c-examples");

/// Linked with the archive. What a program needs of libraries stands in it by name.
#[test]
fn ring_static() {
    let needs_library = |name: &str| {
        let program = std::fs::read(format!("/rsm/c-examples/{name}")).expect("the program");
        let library = b"librsm.so";
        program.windows(library.len()).any(|part| part == library)
    };
    assert!(needs_library("ring"), "linked dynamically");
    assert!(!needs_library("ring-static"), "linked statically");
    let (good, output) = conformance::run("/rsm/c-examples/ring-static", &[], &[]);
    assert!(good, "\n{output}");
}
