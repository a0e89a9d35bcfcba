// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite and the examples in C once more, built with AddressSanitizer (with its leak finder)
//! and UBSan, which end a process at the first mistake.

#![allow(non_snake_case)]

use conformance::Suite;

include!(concat!(env!("OUT_DIR"), "/sanitized.rs"));

static SUITE: Suite = Suite::new("/rsm/sanitized/rsm-conformance", &[("RSM_BRIEF", "1")]);

fn run(id: &str) {
    SUITE.check(id);
}

#[test]
fn checks_that_are_left_out_say_why() {
    for (id, why) in IGNORED {
        let answer = SUITE.answer(id);
        assert!(answer.contains(&format!(" # SKIP {why}\n")), "\n{answer}");
    }
}

#[test]
fn the_sanitizers_are_on() {
    let (good, output) = SUITE.run(&["--selftest"], &[]);
    assert!(good && !output.contains("\nnot ok "), "\n{output}");
    // In a check, and in a process that it has forked.
    let bad_reads = output.matches("ERROR: AddressSanitizer: heap-buffer-overflow");
    assert_eq!(bad_reads.count(), 2, "\n{output}");
    assert!(
        output.contains("runtime error: signed integer overflow"),
        "\n{output}"
    );
    assert!(
        output.contains("LeakSanitizer: detected memory leaks"),
        "\n{output}"
    );
}

mod examples {
    conformance::examples!("/rsm/sanitized");
}
