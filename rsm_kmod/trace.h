/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: /sys/kernel/tracing/events/rsm/. A segment is told by its number,
 * which debugfs shows, too.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM rsm

#if !defined(_RSM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _RSM_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(rsm_create,
	TP_PROTO(u64 segment, u64 addr, u64 pages),
	TP_ARGS(segment, addr, pages),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u64, addr)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->addr = addr;
		__entry->pages = pages;
	),
	TP_printk("segment=%llu addr=%#llx pages=%llu",
		  __entry->segment, __entry->addr, __entry->pages)
);

TRACE_EVENT(rsm_publish,
	TP_PROTO(u64 segment, u32 id),
	TP_ARGS(segment, id),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u32, id)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->id = id;
	),
	TP_printk("segment=%llu id=%#x", __entry->segment, __entry->id)
);

TRACE_EVENT(rsm_connect,
	TP_PROTO(u64 segment, u32 id, u32 rights),
	TP_ARGS(segment, id, rights),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u32, id)
		__field(u32, rights)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->id = id;
		__entry->rights = rights;
	),
	TP_printk("segment=%llu id=%#x rights=%#o",
		  __entry->segment, __entry->id, __entry->rights)
);

TRACE_EVENT(rsm_map,
	TP_PROTO(u64 segment, u64 addr, u64 offset, u64 pages),
	TP_ARGS(segment, addr, offset, pages),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u64, addr)
		__field(u64, offset)
		__field(u64, pages)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->addr = addr;
		__entry->offset = offset;
		__entry->pages = pages;
	),
	TP_printk("segment=%llu addr=%#llx offset=%llu pages=%llu",
		  __entry->segment, __entry->addr, __entry->offset,
		  __entry->pages)
);

TRACE_EVENT(rsm_fault,
	TP_PROTO(u64 segment, u64 addr, u64 pages, bool live),
	TP_ARGS(segment, addr, pages, live),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u64, addr)
		__field(u64, pages)
		__field(bool, live)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->addr = addr;
		__entry->pages = pages;
		__entry->live = live;
	),
	TP_printk("segment=%llu addr=%#llx pages=%llu %s",
		  __entry->segment, __entry->addr, __entry->pages,
		  __entry->live ? "live" : "revoked")
);

TRACE_EVENT(rsm_rebind,
	TP_PROTO(u64 segment, u64 addr),
	TP_ARGS(segment, addr),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u64, addr)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->addr = addr;
	),
	TP_printk("segment=%llu addr=%#llx", __entry->segment, __entry->addr)
);

#define RSM_UNPUBLISH	0
#define RSM_DESTROY	1
#define RSM_LOSE	2

/* Importers have been cut off, for one of the reasons above. */
TRACE_EVENT(rsm_revoke,
	TP_PROTO(u64 segment, u32 reason, u64 imports, u64 nanoseconds),
	TP_ARGS(segment, reason, imports, nanoseconds),
	TP_STRUCT__entry(
		__field(u64, segment)
		__field(u32, reason)
		__field(u64, imports)
		__field(u64, nanoseconds)
	),
	TP_fast_assign(
		__entry->segment = segment;
		__entry->reason = reason;
		__entry->imports = imports;
		__entry->nanoseconds = nanoseconds;
	),
	TP_printk("segment=%llu %s imports=%llu ns=%llu", __entry->segment,
		  __print_symbolic(__entry->reason,
				   { RSM_UNPUBLISH, "unpublish" },
				   { RSM_DESTROY, "destroy" },
				   { RSM_LOSE, "lose" }),
		  __entry->imports, __entry->nanoseconds)
);

/* The memory has been given back. */
TRACE_EVENT(rsm_destroy,
	TP_PROTO(u64 segment),
	TP_ARGS(segment),
	TP_STRUCT__entry(
		__field(u64, segment)
	),
	TP_fast_assign(
		__entry->segment = segment;
	),
	TP_printk("segment=%llu", __entry->segment)
);

#endif /* _RSM_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
