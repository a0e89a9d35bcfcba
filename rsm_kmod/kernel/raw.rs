// SPDX-License-Identifier: GPL-2.0

//! C functions that are exported to modules but not in `bindings`, and those of `helpers.c`.

// As in `bindings` itself: with lockdep off some C structures are empty, which Rust finds unsafe to
// pass by pointer.
#![allow(improper_ctypes)]

use kernel::bindings;
use kernel::ffi::{c_char, c_int, c_ulong, c_void};

extern "C" {
    /// This module, for `owner` fields. A driver's own statics cannot name the one that the
    /// `module!` macro defines in all supported kernels, so it is declared here as there.
    pub(crate) static __this_module: kernel::types::Opaque<bindings::module>;

    // fs/anon_inodes.c
    pub(crate) fn anon_inode_create_getfile(
        name: *const c_char,
        fops: *const bindings::file_operations,
        data: *mut c_void,
        flags: c_int,
        context_inode: *const bindings::inode,
    ) -> *mut bindings::file;
    pub(crate) fn anon_inode_getfile(
        name: *const c_char,
        fops: *const bindings::file_operations,
        data: *mut c_void,
        flags: c_int,
    ) -> *mut bindings::file;

    // helpers.c: parameters
    pub(crate) static rsm_local_node: c_ulong;
    pub(crate) static rsm_max_segments: c_ulong;
    pub(crate) static rsm_max_user_segments: c_ulong;
    pub(crate) static rsm_max_exported_mem: c_ulong;
    pub(crate) static rsm_max_exported_percent: c_ulong;
    pub(crate) static rsm_max_imports: c_ulong;
    pub(crate) static rsm_max_user_imports: c_ulong;
    pub(crate) static rsm_max_segment_imports: c_ulong;
    pub(crate) static rsm_max_import_mappings: c_ulong;
    pub(crate) static rsm_max_user_mappings: c_ulong;
    pub(crate) static rsm_max_user_ids: c_ulong;

    // mm/shmem.c
    pub(crate) fn shmem_mapping(mapping: *mut bindings::address_space) -> bool;

    // helpers.c
    pub(crate) fn rsm_helper_current_umask() -> c_int;
    pub(crate) fn rsm_helper_ipc_namespace() -> u64;
    pub(crate) fn rsm_helper_fatal_signal_pending() -> bool;
    pub(crate) fn rsm_helper_rlimit_memlock() -> c_ulong;
    pub(crate) fn rsm_helper_vm_flags_mod(
        vma: *mut bindings::vm_area_struct,
        set: bindings::vm_flags_t,
        clear: bindings::vm_flags_t,
    );
    pub(crate) fn rsm_helper_pmd_lock(
        mm: *mut bindings::mm_struct,
        pmd: *mut bindings::pmd_t,
    ) -> *mut bindings::spinlock_t;
    pub(crate) fn rsm_helper_pmd_none(pmd: *mut bindings::pmd_t) -> bool;
    pub(crate) fn rsm_helper_pmd_leaf(pmd: *mut bindings::pmd_t) -> bool;
    pub(crate) fn rsm_helper_pmd_populate(
        mm: *mut bindings::mm_struct,
        pmd: *mut bindings::pmd_t,
        pte: bindings::pgtable_t,
    );
    pub(crate) fn rsm_helper_mm_inc_nr_ptes(mm: *mut bindings::mm_struct);
    pub(crate) fn rsm_helper_smp_wmb();
    pub(crate) fn rsm_helper_cond_resched();
    pub(crate) fn rsm_helper_totalram_pages() -> c_ulong;
    pub(crate) fn rsm_helper_pte_none(pte: *mut bindings::pte_t) -> bool;
    pub(crate) fn rsm_helper_set_special_pte(
        mm: *mut bindings::mm_struct,
        addr: c_ulong,
        pte: *mut bindings::pte_t,
        pfn: c_ulong,
        prot: bindings::pgprot_t,
    );
    pub(crate) fn rsm_helper_page_to_pfn(page: *mut bindings::page) -> c_ulong;
    pub(crate) fn rsm_helper_unpin_dirty_one(pfn: c_ulong);
    pub(crate) fn rsm_helper_unpin_dirty(pfn: c_ulong, pages: c_ulong);
    pub(crate) fn rsm_helper_page_address(page: *mut bindings::page) -> *mut c_void;
    pub(crate) fn rsm_helper_get_page(page: *mut bindings::page);
    pub(crate) fn rsm_helper_put_page(page: *mut bindings::page);
    pub(crate) fn rsm_helper_page_detached(pfn: c_ulong) -> bool;
    pub(crate) fn rsm_helper_mmu_interval_set_seq(
        notifier: *mut bindings::mmu_interval_notifier,
        sequence: c_ulong,
    );
    pub(crate) fn rsm_helper_waitqueue_active(head: *mut bindings::wait_queue_head) -> bool;
    pub(crate) fn rsm_helper_poll_wait(
        file: *mut bindings::file,
        head: *mut bindings::wait_queue_head,
        table: *mut bindings::poll_table_struct,
    );
    pub(crate) fn rsm_trace_create(segment: u64, addr: u64, pages: u64);
    pub(crate) fn rsm_trace_publish(segment: u64, id: u32);
    pub(crate) fn rsm_trace_connect(segment: u64, id: u32, rights: u32);
    pub(crate) fn rsm_trace_map(segment: u64, addr: u64, offset: u64, pages: u64);
    pub(crate) fn rsm_trace_fault(segment: u64, addr: u64, pages: u64, live: bool);
    pub(crate) fn rsm_trace_rebind(segment: u64, addr: u64);
    pub(crate) fn rsm_trace_revoke(segment: u64, reason: u32, imports: u64, nanoseconds: u64);
    pub(crate) fn rsm_trace_destroy(segment: u64);
    #[cfg(CONFIG_PAGE_TABLE_CHECK)]
    pub(crate) fn rsm_helper_page_table_check_on() -> bool;
}
