// SPDX-License-Identifier: MIT OR Apache-2.0
//! `rsmctl` as people and scripts use it: every command's good and bad ways, as root and as
//! users who may less; and `rsm-demo`. Needs the guest: root, the module, and the programs in
//! `/rsm/bin`.

mod demo;
mod doctor;
mod looking;
mod publish;
mod signals;
mod terminal;
mod tool;
mod transfer;
mod usage;
