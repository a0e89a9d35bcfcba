// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing but tests: the examples in the documentation of `rsm`, which `cargo test --doc`
//! only compiles, run in a guest. `build.rs` collects them.
