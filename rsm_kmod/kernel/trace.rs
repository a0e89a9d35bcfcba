// SPDX-License-Identifier: GPL-2.0

//! Tracepoints, which are defined in `trace.h`. Each costs next to nothing while nobody traces.

use super::raw;

/// Why importers are cut off. The numbers are those of `trace.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The exporter unpublishes.
    Unpublish = 0,
    /// The exporter destroys the segment or closes its last descriptor.
    Destroy = 1,
    /// The exporter's memory goes away.
    Lose = 2,
}

macro_rules! tracepoints {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $raw:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) {
            // SAFETY: Plain numbers; may be called anywhere.
            unsafe { raw::$raw($($arg),*) };
        }
    )*};
}

tracepoints! {
    /// A segment was made.
    create(segment: u64, addr: u64, pages: u64) rsm_trace_create;
    /// A segment was published.
    publish(segment: u64, id: u32) rsm_trace_publish;
    /// An import was connected.
    connect(segment: u64, id: u32, rights: u32) rsm_trace_connect;
    /// An import was mapped.
    map(segment: u64, addr: u64, offset: u64, pages: u64) rsm_trace_map;
    /// A fault was served, with so many pages from an address on: of the segment, or of the process's
    /// own; none if the process gets a signal.
    fault(segment: u64, addr: u64, pages: u64, live: bool) rsm_trace_fault;
    /// A segment got other memory.
    rebind(segment: u64, addr: u64) rsm_trace_rebind;
    /// The memory of a segment was given back.
    destroy(segment: u64) rsm_trace_destroy;
}

/// Importers were cut off.
pub(crate) fn revoke(segment: u64, reason: Reason, imports: u64, nanoseconds: u64) {
    // SAFETY: Plain numbers; may be called anywhere.
    unsafe { raw::rsm_trace_revoke(segment, reason as u32, imports, nanoseconds) };
}
