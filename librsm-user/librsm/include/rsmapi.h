/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Remote shared memory: the C interface of librsm, source compatible with
 * section 3RSM of Solaris.
 *
 * All functions but one return RSM_SUCCESS or a positive RSMERR_* code; errno
 * is not part of the interface.  Each is described in its manual page.
 *
 * Names that a program may define before it includes this:
 *  RSM_NO_SOLARIS_TYPES  it has uchar_t, uint_t, ulong_t, offset_t, caddr_t
 *                        and boolean_t from elsewhere
 *  RSM_GUIDE_NAMES       it calls rsmapi_access_entry_t rsm_access_entry_t, as
 *                        the Programming Interfaces Guide does
 *
 * off_t must have 64 bits: -D_FILE_OFFSET_BITS=64 where it has not.
 */
#ifndef _RSMAPI_H
#define _RSMAPI_H

#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <sys/param.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------
 * What Solaris has in <sys/types.h> and <sys/param.h>
 */
#if !defined(__sun) && !defined(RSM_NO_SOLARIS_TYPES)

typedef unsigned char uchar_t;
typedef unsigned int uint_t;
typedef unsigned long ulong_t;
#ifdef __GNUC__
__extension__
#endif
typedef long long offset_t;
typedef enum { B_FALSE = 0, B_TRUE = 1 } boolean_t;

/* glibc and musl leave it out when they are asked for nothing but a standard. */
#if defined(__GLIBC__)
#if !defined(__daddr_t_defined)
typedef char *caddr_t;
#endif
#elif !defined(_GNU_SOURCE) && !defined(_BSD_SOURCE)
typedef char *caddr_t;
#endif

#endif

#ifndef MAXNAMELEN
#define MAXNAMELEN 256
#endif

/* An array of this type cannot be, unless off_t has 64 bits. */
typedef char _rsm_off_t_has_64_bits[sizeof(off_t) == 8 ? 1 : -1];

/* ------------------------------------------------------------------------
 * Scalars and handles
 */
#define RSM_VERSION 5

typedef uint64_t rsm_addr_t;
typedef uint32_t rsm_node_id_t;
typedef uint32_t rsm_memseg_id_t;
typedef uint32_t rsm_permission_t;

typedef struct __rsmapi_controller_handle *rsmapi_controller_handle_t;
typedef struct __rsm_memseg_export_handle *rsm_memseg_export_handle_t;
typedef struct __rsm_memseg_import_handle *rsm_memseg_import_handle_t;
typedef struct __rsm_localmemory_handle *rsm_localmemory_handle_t;

/* Rights of a connection and of a mapping. */
#define RSM_PERM_NONE 0
#define RSM_PERM_READ 0400
#define RSM_PERM_WRITE 0200
#define RSM_PERM_RDWR (RSM_PERM_READ|RSM_PERM_WRITE)

/* Flags of rsm_memseg_export_create(); other bits are ignored. */
#define RSM_ALLOW_REBIND 0x01
#define RSM_CREATE_SEG_DONTWAIT 0x02
#define RSM_LOCK_OPS 0x04	/* documented on Solaris, never had an effect */

/* Attributes of rsm_memseg_import_map(). */
typedef enum {
	RSM_MAP_NONE = 0x0,
	RSM_MAP_FIXED = 0x1,
	RSM_MAP_RESERVED = 0x2
} rsm_attribute_t;

typedef rsm_attribute_t rsm_map_attr_t;	/* the Guide's name */

/* Sizes of accesses, as bits and as bytes. */
typedef enum {
	RSM_DAS8 = 1,
	RSM_DAS16 = 2,
	RSM_DAS32 = 4,
	RSM_DAS64 = 8
} rsm_access_size_t;

/* Types of barriers; all of them do the same. */
typedef enum {
	RSM_BARRIER_SEGMENT = 0x01,
	RSM_BARRIER_NODE = 0x02,
	RSM_BARRIER_SEGMENT_THREAD = 0x11,
	RSM_BARRIER_NODE_THREAD = 0x12
} rsm_barrier_type_t;

#define RSM_BAR_DEFAULT RSM_BARRIER_NODE

typedef enum {
	RSM_BARRIER_MODE_EXPLICIT = 0,
	RSM_BARRIER_MODE_IMPLICIT = 1	/* the mode of a new import */
} rsm_barrier_mode_t;

/* Types of rsm_iovec_t. */
#define RSM_HANDLE_TYPE 0x01
#define RSM_VA_TYPE 0x02

/* Flags of rsm_scat_gath_t; the second one of rsm_intr_signal_post(), too. */
#define RSM_IMPLICIT_SIGPOST 0x01
#define RSM_SIGPOST_NO_ACCUMULATE 0x02
#define RSM_SIG_POST_NO_ACCUMULATE RSM_SIGPOST_NO_ACCUMULATE

#define RSM_MAX_SGIOREQS 16

/* State of a connection to a remote controller that can be used. */
#define RSM_CONNECTION_ACTIVE 3

/*
 * Ranges of segment ids.  Programs may name 0x400000 to 0x7fffffff, and should
 * take theirs from 0x600000 on.
 */
#define RSM_DRIVER_PRIVATE_ID_BASE 0x0
#define RSM_DRIVER_PRIVATE_ID_END 0x0FFFFF
#define RSM_CLUSTER_TRANSPORT_ID_BASE 0x100000
#define RSM_CLUSTER_TRANSPORT_ID_END 0x1FFFFF
#define RSM_RSMLIB_ID_BASE 0x200000
#define RSM_RSMLIB_ID_END 0x2FFFFF
#define RSM_DLPI_ID_BASE 0x300000
#define RSM_DLPI_ID_END 0x3FFFFF
#define RSM_HPC_ID_BASE 0x400000
#define RSM_HPC_ID_END 0x4FFFFF
#define RSM_OPS_ID_BASE 0x500000
#define RSM_OPS_ID_END 0x5FFFFF
#define RSM_USER_APP_ID_BASE 0x80000000U	/* assigned by the system */
#define RSM_USER_APP_ID_END 0xFFFFFFFFU

/* ------------------------------------------------------------------------
 * Structures
 */

/* What a controller can do.  Sizes are in bytes; 0 means unspecified. */
typedef struct {
	uint_t attr_direct_access_sizes;	/* RSM_DAS* */
	uint_t attr_atomic_sizes;		/* RSM_DAS* */
	size_t attr_page_size;
	size_t attr_max_export_segment_size;
	size_t attr_tot_export_segment_size;
	ulong_t attr_max_export_segments;
	size_t attr_max_import_map_size;
	size_t attr_tot_import_map_size;
	ulong_t attr_max_import_segments;
} rsmapi_controller_attr_t;

/* Entry of an access list: digits of read (4) and write (2), at most 0666. */
typedef struct {
	rsm_node_id_t ae_node;
	rsm_permission_t ae_permission;
} rsmapi_access_entry_t;

#ifdef RSM_GUIDE_NAMES
typedef rsmapi_access_entry_t rsm_access_entry_t;
#endif

/* The caller's memory, the library's content; must not be moved or copied. */
typedef struct {
	void *seg;
	uint16_t gnum;
	void *privdata;
} rsmapi_barrier_t;

typedef struct {
	int io_type;			/* RSM_HANDLE_TYPE or RSM_VA_TYPE */
	union {
		rsm_localmemory_handle_t handle;
		caddr_t vaddr;
	} local;
	size_t local_offset;
	size_t remote_offset;		/* from the start of the segment */
	size_t transfer_length;
} rsm_iovec_t;

typedef struct {
	rsm_node_id_t local_nodeid;	/* ignored */
	ulong_t io_request_count;	/* 1 to RSM_MAX_SGIOREQS */
	ulong_t io_residual_count;	/* output: entries not completed */
	uint_t flags;
	rsm_memseg_import_handle_t remote_handle;
	rsm_iovec_t *iovec;
} rsm_scat_gath_t;

typedef struct {
	rsm_node_id_t local_nodeid;
	uint_t local_cntlr_count;
} rsm_topology_hdr_t;

typedef struct {
	char cntlr_name[256];
	rsm_addr_t local_hwaddr;
	int remote_cntlr_count;
} rsm_connections_hdr_t;

typedef struct {
	rsm_node_id_t remote_nodeid;
	char remote_cntlrname[256];
	rsm_addr_t remote_hwaddr;
	uint_t connection_state;
} rsm_remote_cntlr_t;

typedef struct {
	rsm_connections_hdr_t hdr;
	rsm_remote_cntlr_t remote_cntlr[1];	/* hdr.remote_cntlr_count of them */
} rsm_connections_t;

typedef struct {
	rsm_topology_hdr_t topology_hdr;
	rsm_connections_t *connections[1];	/* local_cntlr_count of them */
} rsm_topology_t;

/* Public on Solaris, used by no function. */
typedef union {
	uint64_t u64;
	int64_t i64;
	uint32_t u32[2];
	int32_t i32[2];
	uint16_t u16[4];
	int16_t i16[4];
	uint8_t u8[8];
	int8_t i8[8];
	uchar_t uc[8];
	char c[8];
	void *vp;
} rsm_barrier_component_t;

typedef struct {
	rsm_barrier_component_t comp[4];
} rsm_barrier_t;

/* ------------------------------------------------------------------------
 * Results
 */
#define RSM_SUCCESS 0
#define RSMERR_BAD_LIBRARY_VERSION 1
#define RSMERR_BAD_TOPOLOGY_PTR 2
#define RSMERR_BAD_CTLR_HNDL 3
#define RSMERR_CTLR_NOT_PRESENT 4
#define RSMERR_BAD_SEG_HNDL 5
#define RSMERR_SEG_ALREADY_PUBLISHED 6
#define RSMERR_SEG_NOT_PUBLISHED 7
#define RSMERR_SEG_NOT_PUBLISHED_TO_NODE 8
#define RSMERR_SEG_ALREADY_MAPPED 9
#define RSMERR_SEG_STILL_MAPPED 10
#define RSMERR_SEG_NOT_MAPPED 11
#define RSMERR_NOT_CREATOR 12
#define RSMERR_BAD_BARRIER_PTR 13
#define RSMERR_BAD_SGIO 14
#define RSMERR_BAD_LOCALMEM_HNDL 15
#define RSMERR_BAD_ADDR 16
#define RSMERR_BAD_MEM_ALIGNMENT 17
#define RSMERR_BAD_OFFSET 18
#define RSMERR_MISALIGNED_OFFSET 19
#define RSMERR_BAD_LENGTH 20
#define RSMERR_BAD_ACL 21
#define RSMERR_BAD_SEGID 22
#define RSMERR_RESERVED_SEGID 23
#define RSMERR_SEGID_IN_USE 24
#define RSMERR_BAD_MODE 25
#define RSMERR_BAD_PERMS 26
#define RSMERR_PERM_DENIED 27
#define RSMERR_LOCKS_NOT_SUPPORTED 28
#define RSMERR_LOCKS_NOT_ENABLED 29
#define RSMERR_REBIND_NOT_ALLOWED 30
#define RSMERR_INSUFFICIENT_RESOURCES 31
#define RSMERR_INSUFFICIENT_MEM 32
#define RSMERR_MAP_FAILED 33
#define RSMERR_POLLFD_IN_USE 34
#define RSMERR_BARRIER_UNINITIALIZED 35
#define RSMERR_BARRIER_OPEN_FAILED 36
#define RSMERR_BARRIER_NOT_OPENED 37
#define RSMERR_BARRIER_FAILURE 38
#define RSMERR_REMOTE_NODE_UNREACHABLE 39
#define RSMERR_CONN_ABORTED 40
#define RSMERR_INTERRUPTED 41
#define RSMERR_TIMEOUT 42
#define RSMERR_BAD_APPID 43
#define RSMERR_BAD_CONF 44
#define RSMERR_SEG_NOT_CONNECTED 45
#define RSMERR_INTERNAL_ERROR 100

/* Of drivers of interconnects; of these the library returns only the ones it documents. */
#define RSMERR_BAD_DRIVER_VERSION 101
#define RSMERR_UNSUPPORTED_VERSION 102
#define RSMERR_DRIVER_NAME_IN_USE 103
#define RSMERR_DRIVER_NOT_REGISTERED 104
#define RSMERR_DRIVER_THREAD_RUNNING 105
#define RSMERR_NEED_THREAD_INIT 106
#define RSMERR_THREAD_NOT_INITED 107
#define RSMERR_CTLRS_REGISTERED 108
#define RSMERR_CTLR_NOT_REGISTERED 109
#define RSMERR_CTLR_ALREADY_REGISTERED 110
#define RSMERR_CTLR_IN_USE 111
#define RSMERR_NAME_TOO_LONG 112
#define RSMERR_SEG_PUBLISHED 113
#define RSMERR_SEG_NOT_PUBLISHED_TO_RSM_ADDR 114
#define RSMERR_SEG_IN_USE 115
#define RSMERR_BAD_SENDQ_HNDL 116
#define RSMERR_BAD_ARGS_ERRORS 117
#define RSMERR_BAD_MSTYPE 118
#define RSMERR_NO_BACKING_MEM 119
#define RSMERR_NOT_MEM 120
#define RSMERR_MEM_ALREADY_BOUND 121
#define RSMERR_MEM_NOT_BOUND 122
#define RSMERR_HANDLER_NOT_REGISTERED 123
#define RSMERR_NO_HANDLER 124
#define RSMERR_UNBIND_REBIND_NOT_ALLOWED 125
#define RSMERR_CALLBACKS_NOT_SUPPORTED 126
#define RSMERR_UNSUPPORTED_OPERATION 127
#define RSMERR_RSM_ADDR_UNREACHABLE 128
#define RSMERR_UNKNOWN_RSM_ADDR 129
#define RSMERR_BAD_BARRIER_HNDL 130
#define RSMERR_COMM_ERR_MAYBE_DELIVERED 131
#define RSMERR_COMM_ERR_NOT_DELIVERED 132
#define RSMERR_QUEUE_FENCE_UP 133
#define RSMERR_QUEUE_FULL 134

/* ------------------------------------------------------------------------
 * Controllers, topology, ranges of ids
 */
extern int rsm_get_controller(char *name, rsmapi_controller_handle_t *controller);
extern int rsm_get_controller_attr(rsmapi_controller_handle_t controller,
    rsmapi_controller_attr_t *attr);
extern int rsm_release_controller(rsmapi_controller_handle_t controller);

extern int rsm_get_interconnect_topology(rsm_topology_t **topology_data);
extern void rsm_free_interconnect_topology(rsm_topology_t *topology_data);

extern int rsm_get_segmentid_range(const char *appid, rsm_memseg_id_t *baseid,
    uint32_t *length);

/* ------------------------------------------------------------------------
 * Exporters
 */
extern int rsm_memseg_export_create(rsmapi_controller_handle_t controller,
    rsm_memseg_export_handle_t *memseg, void *vaddr, size_t length,
    uint_t flags);
extern int rsm_memseg_export_destroy(rsm_memseg_export_handle_t memseg);
extern int rsm_memseg_export_rebind(rsm_memseg_export_handle_t memseg,
    void *vaddr, offset_t off, size_t length);
extern int rsm_memseg_export_publish(rsm_memseg_export_handle_t memseg,
    rsm_memseg_id_t *segment_id, rsmapi_access_entry_t access_list[],
    uint_t access_list_length);
extern int rsm_memseg_export_unpublish(rsm_memseg_export_handle_t memseg);
extern int rsm_memseg_export_republish(rsm_memseg_export_handle_t memseg,
    rsmapi_access_entry_t access_list[], uint_t access_list_length);

/* ------------------------------------------------------------------------
 * Importers: connections and mappings
 */
extern int rsm_memseg_import_connect(rsmapi_controller_handle_t controller,
    rsm_node_id_t node_id, rsm_memseg_id_t segment_id, rsm_permission_t perm,
    rsm_memseg_import_handle_t *im_memseg);
extern int rsm_memseg_import_disconnect(rsm_memseg_import_handle_t im_memseg);
extern int rsm_memseg_import_map(rsm_memseg_import_handle_t im_memseg,
    void **address, rsm_attribute_t attr, rsm_permission_t perm, off_t offset,
    size_t length);
extern int rsm_memseg_import_unmap(rsm_memseg_import_handle_t im_memseg);

/* ------------------------------------------------------------------------
 * Importers: transfers
 */
extern int rsm_memseg_import_get(rsm_memseg_import_handle_t im_memseg,
    off_t offset, void *dst_addr, size_t length);
extern int rsm_memseg_import_get8(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint8_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_get16(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint16_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_get32(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint32_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_get64(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint64_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_put(rsm_memseg_import_handle_t im_memseg,
    off_t offset, void *src_addr, size_t length);
extern int rsm_memseg_import_put8(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint8_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_put16(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint16_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_put32(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint32_t *datap, ulong_t rep_cnt);
extern int rsm_memseg_import_put64(rsm_memseg_import_handle_t im_memseg,
    off_t offset, uint64_t *datap, ulong_t rep_cnt);

extern int rsm_memseg_import_putv(rsm_scat_gath_t *sg_io);
extern int rsm_memseg_import_getv(rsm_scat_gath_t *sg_io);
extern int rsm_create_localmemory_handle(rsmapi_controller_handle_t controller,
    rsm_localmemory_handle_t *l_handle, caddr_t local_vaddr, size_t length);
extern int rsm_free_localmemory_handle(rsmapi_controller_handle_t controller,
    rsm_localmemory_handle_t l_handle);

/* ------------------------------------------------------------------------
 * Importers: barriers
 */
extern int rsm_memseg_import_init_barrier(rsm_memseg_import_handle_t im_memseg,
    rsm_barrier_type_t type, rsmapi_barrier_t *barrier);
extern int rsm_memseg_import_open_barrier(rsmapi_barrier_t *barrier);
extern int rsm_memseg_import_order_barrier(rsmapi_barrier_t *barrier);
extern int rsm_memseg_import_close_barrier(rsmapi_barrier_t *barrier);
extern int rsm_memseg_import_destroy_barrier(rsmapi_barrier_t *barrier);
extern int rsm_memseg_import_set_mode(rsm_memseg_import_handle_t im_memseg,
    rsm_barrier_mode_t mode);
extern int rsm_memseg_import_get_mode(rsm_memseg_import_handle_t im_memseg,
    rsm_barrier_mode_t *mode);

/* ------------------------------------------------------------------------
 * Signals; memseg is an export or an import handle
 */
extern int rsm_intr_signal_post(void *memseg, uint_t flags);
extern int rsm_intr_signal_wait(void *memseg, int timeout);
extern int rsm_intr_signal_wait_pollfd(struct pollfd fds[], nfds_t nfds,
    int timeout, int *numfdsp);
extern int rsm_memseg_get_pollfd(void *memseg, struct pollfd *poll_fd);
extern int rsm_memseg_release_pollfd(void *memseg);

#ifdef __cplusplus
}
#endif

#endif /* _RSMAPI_H */
