// SPDX-License-Identifier: MIT OR Apache-2.0
//! What exporters and importers can do with a segment besides sharing it and taking it back:
//! publish it anew, put other memory behind it, signal each other; what ends it although
//! nobody asked for that; who may use it, and how much of it there can be.

#[path = "../common/mod.rs"]
mod common;

mod aborted;
mod alive;
mod attributes;
mod background;
mod deaths;
mod events;
mod exporter;
mod first_segment;
mod forced;
mod limits;
mod limits_of_users;
mod lives;
mod namespaces;
mod permissions;
mod prefault;
mod publication;
mod readiness;
mod readiness_of_many;
mod rebind;
mod rebind_errors;
mod rebind_readers;
mod replaced;
mod republish;
mod restless;
mod served;
mod short_of_memory;
mod sigbus;
mod tracepoints;
mod unanswered;
mod waiting;
mod zero_pages;

use common::pair::{map, Pair, Remote, Slot, NEW, OLD};
use common::raw::{failure, Failure};
use nix::errno::Errno;
use rsm_sys::*;

const ABORTED: Failure = failure(Errno::ECONNABORTED, RSM_STATUS_CONN_ABORTED);
const DEAD: Failure = failure(Errno::ESTALE, RSM_STATUS_BAD_SEG_HNDL);
const DENIED: Failure = failure(Errno::EACCES, RSM_STATUS_PERM_DENIED);
const NOT_CREATOR: Failure = failure(Errno::EPERM, RSM_STATUS_NOT_CREATOR);
const NOT_PUBLISHED: Failure = failure(Errno::ENOENT, RSM_STATUS_SEG_NOT_PUBLISHED);
const NO_MEMORY: Failure = failure(Errno::ENOMEM, RSM_STATUS_INSUFFICIENT_MEM);
const TIMEOUT: Failure = failure(Errno::ETIMEDOUT, RSM_STATUS_TIMEOUT);
const USED_UP: Failure = failure(Errno::EAGAIN, RSM_STATUS_INSUFFICIENT_RESOURCES);
