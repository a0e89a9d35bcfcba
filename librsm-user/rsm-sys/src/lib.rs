// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface of `/dev/rsm` as its C header `linux/rsm.h` defines it: structures,
//! command numbers and status codes, generated at build time and nothing else.
//!
//! The documentation of each item is the header's. Programs use the safe `rsm`
//! crate; this one is for those who need the bare `ioctl(2)`.

#![no_std]
#![allow(non_camel_case_types, non_upper_case_globals)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
