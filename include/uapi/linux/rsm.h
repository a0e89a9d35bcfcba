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
	RSM_CMD_EXPORT_CREATE = 0x10,
	RSM_CMD_IMPORT_CONNECT = 0x20,
	/* export descriptor */
	RSM_CMD_EXPORT_PUBLISH = 0x11,
	RSM_CMD_EXPORT_DESTROY = 0x12,
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
 * @RSM_STATUS_INSUFFICIENT_RESOURCES: descriptors, segment ids or status slots
 *	used up (EMFILE, ENFILE or EAGAIN)
 * @RSM_STATUS_INSUFFICIENT_MEM: out of memory or over the locked-memory limit
 *	(ENOMEM)
 * @RSM_STATUS_CONN_ABORTED: the connection was revoked (ECONNABORTED)
 * @RSM_STATUS_INTERRUPTED: a signal, or an unpublish during connect (EINTR)
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
	RSM_STATUS_INSUFFICIENT_RESOURCES = 31,
	RSM_STATUS_INSUFFICIENT_MEM = 32,
	RSM_STATUS_CONN_ABORTED = 40,
	RSM_STATUS_INTERRUPTED = 41,
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

/**
 * struct rsm_export_create - ioctl(RSM_EXPORT_CREATE), controller descriptor
 * @size: sizeof(struct rsm_export_create)
 * @status: Output &enum rsm_status
 * @addr: First byte of the range, a multiple of the page size
 * @length: Bytes, a positive multiple of the page size
 * @flags: Must be 0
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
 * Errors, in the order in which they are found: BAD_LENGTH (zero),
 * BAD_MEM_ALIGNMENT, BAD_LENGTH (wraps), INSUFFICIENT_MEM (locked-memory
 * limit), BAD_ADDR, PERM_DENIED, INSUFFICIENT_MEM, INTERRUPTED,
 * INSUFFICIENT_RESOURCES.
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
 * struct rsm_import_connect - ioctl(RSM_IMPORT_CONNECT), controller descriptor
 * @size: sizeof(struct rsm_import_connect)
 * @status: Output &enum rsm_status
 * @node: Node that exports the segment; the loopback controller reaches only
 *	the local node
 * @segment_id: Id under which the segment is published
 * @perm: Rights asked for: RSM_PERM_READ, RSM_PERM_WRITE, both, or 0 for a
 *	connection that cannot be mapped
 * @flags: Must be 0
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
 * on x86, a mapping with only RSM_PERM_WRITE can be read. On revocation it turns into zero-filled memory private to
 * the process; see struct rsm_export_destroy.
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

#endif /* _UAPI_LINUX_RSM_H */
