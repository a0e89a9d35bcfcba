// SPDX-License-Identifier: MIT OR Apache-2.0
//! The examples in C, each of which checks itself: built with what pkg-config says of the
//! library as it is installed, and linked dynamically.

conformance::examples!("/rsm/c-examples");
