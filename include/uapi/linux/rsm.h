/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Revocable shared memory segments: the ioctl interface of /dev/rsm.
 *
 * This header is the only definition of the interface. The module and the
 * user library both generate their types from it.
 */
#ifndef _UAPI_LINUX_RSM_H
#define _UAPI_LINUX_RSM_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: Descriptors
 *
 * Three kinds of descriptor, each an object that the kernel cleans up when its
 * last reference goes away:
 *
 *  - controller: open("/dev/rsm"). Creates exports, connects imports, and maps
 *    (read-only, shared, at offset 0) the status table of the imports that were
 *    connected through it.
 *  - export: made by RSM_EXPORT_CREATE. Owns a pinned range of the caller's
 *    memory. Closing the last reference destroys the segment.
 *  - import: made by RSM_IMPORT_CONNECT. mmap() gives a window on the segment,
 *    file offset 0 being the first byte of the segment. Closing the last
 *    reference (descriptor and mappings) disconnects.
 *
 * Export and import descriptors are close-on-exec.
 */

/**
 * DOC: Events
 *
 * Every export and every import has a counter of pending events, which starts at
 * 0. RSM_EVENT_POST on an import adds one to the counter of the segment it is
 * connected to; on an export, one to that of each import that is connected.
 * RSM_EVENT_WAIT takes exactly one from the counter of its own descriptor, and
 * waits for it if need be. poll() reports EPOLLRDNORM while the counter is not 0
 * and nothing else, whatever becomes of the connection, except for imports
 * connected with RSM_IMPORT_WAKE_ON_ABORT. Counters survive unpublish, rebind and
 * abort, and stop at 2^32 - 1. What was stored before a post is visible after the
 * wait that takes it.
 */

/**
 * DOC: Names
 *
 * Segment ids belong to an IPC namespace: that in which the controller descriptor
 * was opened. Descriptors of other namespaces neither see nor occupy them. Ids
 * that the kernel assigns are never used twice on a machine until the module is
 * loaded anew. Knowing an id gives no right.
 */

/**
 * DOC: General ioctl format
 *
 * Every command takes a pointer to a structure whose first member is @size, the
 * size of the structure the caller was compiled with. The size encoded in the
 * command number must be the same. Structures only grow: a longer one than the
 * kernel knows is accepted when the unknown tail is zero, a shorter one (not
 * shorter than the first version) is taken as padded with zeroes. Members named
 * __reserved must be zero. 32-bit callers use the same layout.
 *
 * errno says what went wrong in Unix terms:
 *
 *  - ENOTTY: not a command of this kind of descriptor.
 *  - EINVAL: @size disagrees with the command number or is below the first
 *    version of the structure, or a known member has a bad value.
 *  - E2BIG: the part of the structure that the kernel does not know is not zero.
 *  - EOPNOTSUPP: an unknown flag, or a non-zero __reserved member.
 *  - EFAULT: the structure, or memory it points to, cannot be read or written.
 *
 * Once the structure itself has been accepted the kernel also stores @status,
 * an &enum rsm_status with the exact RSMAPI code, whether the command succeeds
 * or fails; the errno that goes with each code is given there. Before that
 * point @status is left alone. A command that fails changes nothing else.
 */

#define RSM_IOC_MAGIC	0xE8

enum {
	/* controller descriptor */
	RSM_CMD_QUERY = 0x00,
	RSM_CMD_ATTRIBUTES = 0x01,
	RSM_CMD_TOPOLOGY = 0x02,
	RSM_CMD_EXPORT_CREATE = 0x10,
	RSM_CMD_IMPORT_CONNECT = 0x20,
	/* export descriptor */
	RSM_CMD_EXPORT_PUBLISH = 0x11,
	RSM_CMD_EXPORT_DESTROY = 0x12,
	RSM_CMD_EXPORT_UNPUBLISH = 0x13,
	RSM_CMD_EXPORT_REPUBLISH = 0x14,
	RSM_CMD_EXPORT_REBIND = 0x15,
	/* import descriptor */
	RSM_CMD_IMPORT_PREFAULT = 0x21,
	/* export and import descriptor */
	RSM_CMD_EVENT_POST = 0x30,
	RSM_CMD_EVENT_WAIT = 0x31,
};

/* Version of the interface described here, see struct rsm_query. */
#define RSM_ABI_VERSION	1

/**
 * enum rsm_status - exact result of a command
 * @RSM_STATUS_SUCCESS: done
 * @RSM_STATUS_CTLR_NOT_PRESENT: node not reachable through this controller
 *	(ENODEV)
 * @RSM_STATUS_BAD_SEG_HNDL: the segment is dead (ESTALE)
 * @RSM_STATUS_SEG_ALREADY_PUBLISHED: the segment is published (EBUSY)
 * @RSM_STATUS_SEG_NOT_PUBLISHED: no such published segment (ENOENT)
 * @RSM_STATUS_SEG_NOT_PUBLISHED_TO_NODE: the access list does not name the
 *	importer's node (EACCES)
 * @RSM_STATUS_NOT_CREATOR: the caller's process did not create the segment
 *	(EPERM)
 * @RSM_STATUS_BAD_ADDR: memory not mapped, or of a kind that cannot be
 *	exported; access list unreadable (EFAULT)
 * @RSM_STATUS_BAD_MEM_ALIGNMENT: address or length not a multiple of the page
 *	size (EINVAL)
 * @RSM_STATUS_BAD_LENGTH: zero length, or the range wraps (EINVAL)
 * @RSM_STATUS_BAD_ACL: access list invalid (EINVAL)
 * @RSM_STATUS_RESERVED_SEGID: segment id in a reserved range (EINVAL)
 * @RSM_STATUS_SEGID_IN_USE: segment id already published (EADDRINUSE)
 * @RSM_STATUS_PERM_DENIED: access refused; memory not writable by the exporter
 *	(EACCES)
 * @RSM_STATUS_REBIND_NOT_ALLOWED: the segment was created without
 *	RSM_EXPORT_ALLOW_REBIND (EOPNOTSUPP)
 * @RSM_STATUS_INSUFFICIENT_RESOURCES: descriptors, segment ids, status slots, or
 *	what a module parameter limits used up (EMFILE, ENFILE or EAGAIN)
 * @RSM_STATUS_INSUFFICIENT_MEM: out of memory, or over the locked-memory limit or
 *	the limit of exported memory (ENOMEM)
 * @RSM_STATUS_CONN_ABORTED: the connection was revoked (ECONNABORTED)
 * @RSM_STATUS_INTERRUPTED: a signal (EINTR)
 * @RSM_STATUS_TIMEOUT: no event in time (ETIMEDOUT)
 *
 * The values are those of the RSMAPI (RSMERR_*).
 */
enum rsm_status {
	RSM_STATUS_SUCCESS = 0,
	RSM_STATUS_CTLR_NOT_PRESENT = 4,
	RSM_STATUS_BAD_SEG_HNDL = 5,
	RSM_STATUS_SEG_ALREADY_PUBLISHED = 6,
	RSM_STATUS_SEG_NOT_PUBLISHED = 7,
	RSM_STATUS_SEG_NOT_PUBLISHED_TO_NODE = 8,
	RSM_STATUS_NOT_CREATOR = 12,
	RSM_STATUS_BAD_ADDR = 16,
	RSM_STATUS_BAD_MEM_ALIGNMENT = 17,
	RSM_STATUS_BAD_LENGTH = 20,
	RSM_STATUS_BAD_ACL = 21,
	RSM_STATUS_RESERVED_SEGID = 23,
	RSM_STATUS_SEGID_IN_USE = 24,
	RSM_STATUS_PERM_DENIED = 27,
	RSM_STATUS_REBIND_NOT_ALLOWED = 30,
	RSM_STATUS_INSUFFICIENT_RESOURCES = 31,
	RSM_STATUS_INSUFFICIENT_MEM = 32,
	RSM_STATUS_CONN_ABORTED = 40,
	RSM_STATUS_INTERRUPTED = 41,
	RSM_STATUS_TIMEOUT = 42,
};

/* Rights of a connection, struct rsm_import_connect.perm. */
#define RSM_PERM_READ	0400
#define RSM_PERM_WRITE	0200

/**
 * struct rsm_query - ioctl(RSM_QUERY), controller descriptor
 * @size: sizeof(struct rsm_query)
 * @status: Output &enum rsm_status
 * @abi_version: Output RSM_ABI_VERSION of the kernel
 * @local_node: Output node id of this machine, 0 to 63
 * @features: Output feature bits; none defined yet
 * @page_size: Output unit, in bytes, of addresses, lengths and offsets
 * @status_slots: Output number of imports that one controller descriptor can
 *	have connected at a time; the status table is 8 bytes times this, rounded
 *	up to whole pages
 */
struct rsm_query {
	__u32 size;
	__u32 status;
	__u32 abi_version;
	__u32 local_node;
	__aligned_u64 features;
	__u32 page_size;
	__u32 status_slots;
};
#define RSM_QUERY _IOWR(RSM_IOC_MAGIC, RSM_CMD_QUERY, struct rsm_query)

/* Sizes of accesses, struct rsm_attributes: the values are bytes, too. */
#define RSM_ACCESS_SIZE_8	(1 << 0)
#define RSM_ACCESS_SIZE_16	(1 << 1)
#define RSM_ACCESS_SIZE_32	(1 << 2)
#define RSM_ACCESS_SIZE_64	(1 << 3)

/**
 * struct rsm_attributes - ioctl(RSM_ATTRIBUTES), controller descriptor
 * @size: sizeof(struct rsm_attributes)
 * @status: Output &enum rsm_status
 * @direct_access_sizes: Output RSM_ACCESS_SIZE_* that loads and stores may have
 * @atomic_sizes: Output RSM_ACCESS_SIZE_* that are never torn when aligned
 * @page_size: Output unit, in bytes, of addresses and lengths of exports
 * @max_export_segment_size: Output most bytes of one segment
 * @tot_export_segment_size: Output most bytes of all segments together
 * @max_export_segments: Output most segments
 * @max_import_map_size: Output most bytes of one mapping
 * @tot_import_map_size: Output most bytes that imports can have mapped together
 * @max_import_segments: Output most imports
 *
 * What the controller can do as the module's parameters stand now. 2^64 - 1 is
 * no limit. No errors.
 */
struct rsm_attributes {
	__u32 size;
	__u32 status;
	__u32 direct_access_sizes;
	__u32 atomic_sizes;
	__aligned_u64 page_size;
	__aligned_u64 max_export_segment_size;
	__aligned_u64 tot_export_segment_size;
	__aligned_u64 max_export_segments;
	__aligned_u64 max_import_map_size;
	__aligned_u64 tot_import_map_size;
	__aligned_u64 max_import_segments;
};
#define RSM_ATTRIBUTES \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_ATTRIBUTES, struct rsm_attributes)

/**
 * struct rsm_topology - ioctl(RSM_TOPOLOGY), controller descriptor
 * @size: sizeof(struct rsm_topology)
 * @status: Output &enum rsm_status
 * @local_node: Output node id of this machine
 * @controllers: Output number of controllers that reach other nodes: 0. The
 *	loopback controller is not counted.
 *
 * No errors.
 */
struct rsm_topology {
	__u32 size;
	__u32 status;
	__u32 local_node;
	__u32 controllers;
};
#define RSM_TOPOLOGY _IOWR(RSM_IOC_MAGIC, RSM_CMD_TOPOLOGY, struct rsm_topology)

/* The segment may be given other memory, struct rsm_export_create.flags. */
#define RSM_EXPORT_ALLOW_REBIND	(1 << 0)

/**
 * struct rsm_export_create - ioctl(RSM_EXPORT_CREATE), controller descriptor
 * @size: sizeof(struct rsm_export_create)
 * @status: Output &enum rsm_status
 * @addr: First byte of the range, a multiple of the page size
 * @length: Bytes, a positive multiple of the page size
 * @flags: 0 or RSM_EXPORT_ALLOW_REBIND
 * @fd: Output export descriptor, close-on-exec
 *
 * Pins the caller's memory in place for as long as the segment lives. The range
 * must be mapped readable and writable: private memory (anonymous, huge pages,
 * private file mappings), System V or POSIX shared memory, or memfd. Its bytes
 * are charged against RLIMIT_MEMLOCK of the caller's user (CAP_IPC_LOCK exempts)
 * until the segment is gone. The segment is not reachable by others until it is
 * published. The caller's effective user and group ids and its umask at this
 * moment are the segment's owner, group and default mode.
 *
 * The segment is destroyed, as by RSM_EXPORT_DESTROY, when any part of the range
 * is unmapped or moved, or loses read or write permission: before that system
 * call returns, no importer mapping reaches the memory. The same when the
 * caller's address space goes away (exit, exec, a crash) with its last user.
 * Memory that is replaced without being unmapped (MADV_DONTNEED of private
 * memory, a hole punched into a file, a guard region, a broken page) destroys the
 * segment soon after; until then importers see the memory as it was. A page of
 * shared memory whose faults user space serves (userfaultfd) may be replaced
 * unnoticed while the caller does not have it mapped.
 *
 * Errors, in the order in which they are found: BAD_LENGTH (zero),
 * BAD_MEM_ALIGNMENT, BAD_LENGTH (wraps), INSUFFICIENT_RESOURCES (segments),
 * INSUFFICIENT_MEM (limit of exported memory, then locked-memory limit),
 * BAD_ADDR, PERM_DENIED, INSUFFICIENT_MEM, INTERRUPTED, INSUFFICIENT_RESOURCES
 * (descriptors).
 */
struct rsm_export_create {
	__u32 size;
	__u32 status;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 flags;
	__s32 fd;
};
#define RSM_EXPORT_CREATE \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_CREATE, struct rsm_export_create)

/**
 * struct rsm_access_entry - one entry of an access list
 * @node: Node id, 0 to 64; the loopback controller takes only the local node
 * @perm: Owner, group and other digits of read (4) and write (2), at most 0666
 */
struct rsm_access_entry {
	__u32 node;
	__u32 perm;
};

/* Most entries an access list may have; the loopback controller takes one. */
#define RSM_MAX_ACL	64

/**
 * struct rsm_export_publish - ioctl(RSM_EXPORT_PUBLISH), export descriptor
 * @size: sizeof(struct rsm_export_publish)
 * @status: Output &enum rsm_status
 * @segment_id: Input the id to publish under, or 0 to have one assigned;
 *	output the id
 * @flags: Must be 0
 * @acl: Pointer to @acl_len entries of struct rsm_access_entry
 * @acl_len: Number of entries; 0 means every node, with the mode that the
 *	umask left at create time
 * @__reserved: Must be 0
 *
 * Explicit ids are 0x400000 to 0x7fffffff. Assigned ids start at 0x80000000 and
 * are never used twice.
 *
 * Errors, in the order in which they are found: SEG_ALREADY_PUBLISHED,
 * RESERVED_SEGID, NOT_CREATOR, BAD_ACL (too long), BAD_ADDR, BAD_ACL (an
 * entry), INSUFFICIENT_RESOURCES (ids used up), BAD_SEG_HNDL, SEGID_IN_USE,
 * INSUFFICIENT_MEM.
 */
struct rsm_export_publish {
	__u32 size;
	__u32 status;
	__u32 segment_id;
	__u32 flags;
	__aligned_u64 acl;
	__u32 acl_len;
	__u32 __reserved;
};
#define RSM_EXPORT_PUBLISH \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_PUBLISH, struct rsm_export_publish)

/**
 * struct rsm_export_destroy - ioctl(RSM_EXPORT_DESTROY), export descriptor
 * @size: sizeof(struct rsm_export_destroy)
 * @status: Output &enum rsm_status
 * @flags: Must be 0
 * @__reserved: Must be 0
 *
 * Takes the memory back. When the command returns no importer mapping in any
 * process, forked children included, reaches the memory, every import has been
 * marked as aborted, the segment id is free, the pages are unpinned and the
 * locked-memory charge is returned. The descriptor stays open and is good only
 * for close(). Destroying a segment that is destroyed already, or being
 * destroyed by another thread, succeeds once no importer reaches the memory; the
 * pages may then still be about to be unpinned.
 *
 * Errors: NOT_CREATOR.
 */
struct rsm_export_destroy {
	__u32 size;
	__u32 status;
	__u32 flags;
	__u32 __reserved;
};
#define RSM_EXPORT_DESTROY \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_DESTROY, struct rsm_export_destroy)

/**
 * struct rsm_export_unpublish - ioctl(RSM_EXPORT_UNPUBLISH), export descriptor
 * @size: sizeof(struct rsm_export_unpublish)
 * @status: Output &enum rsm_status
 * @flags: Must be 0
 * @__reserved: Must be 0
 *
 * Takes the segment back from its importers, and keeps the memory pinned. When
 * the command returns, all that RSM_EXPORT_DESTROY says of importers holds, and
 * the id is free. The segment can be published again; importers of the former
 * publication stay aborted.
 *
 * Errors, in the order in which they are found: SEG_NOT_PUBLISHED, NOT_CREATOR.
 */
struct rsm_export_unpublish {
	__u32 size;
	__u32 status;
	__u32 flags;
	__u32 __reserved;
};
#define RSM_EXPORT_UNPUBLISH \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_UNPUBLISH, struct rsm_export_unpublish)

/**
 * struct rsm_export_republish - ioctl(RSM_EXPORT_REPUBLISH), export descriptor
 * @size: sizeof(struct rsm_export_republish)
 * @status: Output &enum rsm_status
 * @acl: Pointer to @acl_len entries of struct rsm_access_entry
 * @acl_len: Number of entries, as in struct rsm_export_publish
 * @flags: Must be 0
 *
 * Replaces the access list for connections made from now on. Those there are
 * keep what they have.
 *
 * Errors, in the order in which they are found: BAD_SEG_HNDL (dead),
 * SEG_NOT_PUBLISHED, NOT_CREATOR, BAD_ACL (too long), BAD_ADDR, BAD_ACL (an
 * entry), BAD_SEG_HNDL or SEG_NOT_PUBLISHED (no more, meanwhile).
 */
struct rsm_export_republish {
	__u32 size;
	__u32 status;
	__aligned_u64 acl;
	__u32 acl_len;
	__u32 flags;
};
#define RSM_EXPORT_REPUBLISH \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_REPUBLISH, struct rsm_export_republish)

/**
 * struct rsm_export_rebind - ioctl(RSM_EXPORT_REBIND), export descriptor
 * @size: sizeof(struct rsm_export_rebind)
 * @status: Output &enum rsm_status
 * @addr: First byte of the new range, a multiple of the page size
 * @length: Bytes: the segment's length
 * @flags: Must be 0
 * @__reserved: Must be 0
 *
 * Puts other memory of the caller behind the segment. An importer that reads
 * meanwhile sees, page by page, the old memory or the new; when the command
 * returns every importer mapping shows the new. Nothing is copied, and what an
 * importer writes meanwhile may go to the old memory though its status slot does
 * not change: keep importers away, if that matters to them. Id, access
 * list, connections and events stay. Old and new memory are both charged until
 * the old is unpinned, before the command returns. On failure the segment keeps
 * the old memory. With @addr being where the memory is already nothing is done.
 *
 * Errors, in the order in which they are found: REBIND_NOT_ALLOWED, NOT_CREATOR,
 * BAD_LENGTH, BAD_SEG_HNDL, BAD_ADDR (alignment, or the range wraps), then as
 * RSM_EXPORT_CREATE from INSUFFICIENT_MEM on, and BAD_SEG_HNDL (destroyed
 * meanwhile).
 */
struct rsm_export_rebind {
	__u32 size;
	__u32 status;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 flags;
	__u32 __reserved;
};
#define RSM_EXPORT_REBIND \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EXPORT_REBIND, struct rsm_export_rebind)

/* Flags of struct rsm_import_connect. */
#define RSM_IMPORT_WAKE_ON_ABORT	(1 << 0)
#define RSM_IMPORT_SIGBUS		(1 << 1)

/**
 * struct rsm_import_connect - ioctl(RSM_IMPORT_CONNECT), controller descriptor
 * @size: sizeof(struct rsm_import_connect)
 * @status: Output &enum rsm_status
 * @node: Node that exports the segment; the loopback controller reaches only
 *	the local node
 * @segment_id: Id under which the segment is published
 * @perm: Rights asked for: RSM_PERM_READ, RSM_PERM_WRITE, both, or 0 for a
 *	connection that cannot be mapped
 * @flags: 0, or any of:
 *	RSM_IMPORT_WAKE_ON_ABORT: the end of the connection wakes those who wait for
 *	events; RSM_EVENT_WAIT then fails with CONN_ABORTED once no event is
 *	pending, and poll() reports EPOLLHUP, beside EPOLLRDNORM while one is;
 *	RSM_IMPORT_SIGBUS: access through a mapping of a revoked connection gives
 *	SIGBUS
 * @length: Output length of the segment in bytes
 * @generation: Output value that the connection's status slot holds while the
 *	connection is live
 * @status_slot: Output index into the controller descriptor's status table
 * @fd: Output import descriptor, close-on-exec
 *
 * The connection is live for as long as slot @status_slot of the status table
 * (an array of __u64, mapped from the controller descriptor) holds @generation.
 * The slot changes before the first translation of a mapping goes away, so data
 * written, then a full fence, then an unchanged slot means that the data reached
 * the segment.
 *
 * A mapping of the import descriptor must be MAP_SHARED, never executable, and
 * not beyond @perm. Where the processor cannot do writable without readable, as
 * on x86, a mapping with only RSM_PERM_WRITE can be read. On revocation it turns
 * into zero-filled memory private to the process (see struct rsm_export_destroy)
 * unless RSM_IMPORT_SIGBUS was asked for. mmap() fails with EINVAL (not shared, or
 * beyond the segment's end), EPERM (executable), ECONNABORTED (revoked), EACCES
 * (beyond @perm) or EAGAIN (the limit of mappings; also from mprotect() and
 * munmap() of a part, which split the mapping).
 *
 * Errors, in the order in which they are found: PERM_DENIED (bits other than
 * the two rights), CTLR_NOT_PRESENT, SEG_NOT_PUBLISHED,
 * SEG_NOT_PUBLISHED_TO_NODE, PERM_DENIED, INSUFFICIENT_RESOURCES,
 * INSUFFICIENT_MEM.
 */
struct rsm_import_connect {
	__u32 size;
	__u32 status;
	__u32 node;
	__u32 segment_id;
	__u32 perm;
	__u32 flags;
	__aligned_u64 length;
	__aligned_u64 generation;
	__u32 status_slot;
	__s32 fd;
};
#define RSM_IMPORT_CONNECT \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_IMPORT_CONNECT, struct rsm_import_connect)

/**
 * struct rsm_import_prefault - ioctl(RSM_IMPORT_PREFAULT), import descriptor
 * @size: sizeof(struct rsm_import_prefault)
 * @status: Output &enum rsm_status
 * @addr: First byte of a range of the caller's memory, a multiple of the page
 *	size
 * @length: Bytes, a positive multiple of the page size
 * @flags: Must be 0
 * @__reserved: Must be 0
 *
 * Makes the translations of a range that lies in mappings of this import, as
 * touching each page would: later accesses take no fault until the memory is
 * taken back or rebound, the process forks, or the mapping is moved.
 * MAP_POPULATE does nothing on such mappings.
 *
 * Errors, in the order in which they are found: BAD_LENGTH (zero),
 * BAD_MEM_ALIGNMENT, BAD_LENGTH (wraps), BAD_ADDR (not mapped, or mapped from
 * elsewhere), PERM_DENIED (mapped without access), CONN_ABORTED, INTERRUPTED
 * (a fatal signal), INSUFFICIENT_MEM.
 */
struct rsm_import_prefault {
	__u32 size;
	__u32 status;
	__aligned_u64 addr;
	__aligned_u64 length;
	__u32 flags;
	__u32 __reserved;
};
#define RSM_IMPORT_PREFAULT \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_IMPORT_PREFAULT, struct rsm_import_prefault)

/* Do not count an event where one is pending, struct rsm_event_post.flags. */
#define RSM_EVENT_NO_ACCUMULATE	(1 << 0)

/**
 * struct rsm_event_post - ioctl(RSM_EVENT_POST), export or import descriptor
 * @size: sizeof(struct rsm_event_post)
 * @status: Output &enum rsm_status
 * @flags: 0 or RSM_EVENT_NO_ACCUMULATE
 * @__reserved: Must be 0
 *
 * On an export always succeeds, be there anybody to signal or not, and whoever
 * asks. Imports that were aborted get nothing.
 *
 * Errors: CONN_ABORTED (import).
 */
struct rsm_event_post {
	__u32 size;
	__u32 status;
	__u32 flags;
	__u32 __reserved;
};
#define RSM_EVENT_POST \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EVENT_POST, struct rsm_event_post)

/**
 * struct rsm_event_wait - ioctl(RSM_EVENT_WAIT), export or import descriptor
 * @size: sizeof(struct rsm_event_wait)
 * @status: Output &enum rsm_status
 * @timeout_ms: Most milliseconds to wait: 0 for not at all, -1 (or any negative
 *	number) for as long as it takes
 * @flags: Must be 0
 *
 * Errors: CONN_ABORTED (import connected with RSM_IMPORT_WAKE_ON_ABORT),
 * INTERRUPTED (any signal; the call is not restarted), TIMEOUT.
 */
struct rsm_event_wait {
	__u32 size;
	__u32 status;
	__s32 timeout_ms;
	__u32 flags;
};
#define RSM_EVENT_WAIT \
	_IOWR(RSM_IOC_MAGIC, RSM_CMD_EVENT_WAIT, struct rsm_event_wait)

#endif /* _UAPI_LINUX_RSM_H */
