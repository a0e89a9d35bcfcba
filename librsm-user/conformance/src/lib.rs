// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing: this package is its tests, which run programs in C.
