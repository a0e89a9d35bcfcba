// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel offers only as a macro or an inline function, made callable
 * from Rust. As good as no logic. And the module's parameters, which are macros,
 * too.
 */
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/ipc_namespace.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/moduleparam.h>
#include <linux/nsproxy.h>
#include <linux/page_table_check.h>
#include <linux/pgtable.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>

#include <asm/pgalloc.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned long rsm_local_node;
module_param_named(local_node, rsm_local_node, ulong, 0444);
MODULE_PARM_DESC(local_node, "node id of this machine, 0 to 63");

unsigned long rsm_max_segments = 1048576;
module_param_named(max_segments, rsm_max_segments, ulong, 0644);
MODULE_PARM_DESC(max_segments, "most export segments, 0 for no limit");

unsigned long rsm_max_user_segments = 131072;
module_param_named(max_user_segments, rsm_max_user_segments, ulong, 0644);
MODULE_PARM_DESC(max_user_segments, "most export segments of a user");

unsigned long rsm_max_user_ids = 1UL << 27;
module_param_named(max_user_ids, rsm_max_user_ids, ulong, 0644);
MODULE_PARM_DESC(max_user_ids, "most assigned ids that a user may use up");

unsigned long rsm_max_exported_mem;
module_param_named(max_exported_mem, rsm_max_exported_mem, ulong, 0644);
MODULE_PARM_DESC(max_exported_mem, "most bytes exported, 0 for no limit");

unsigned long rsm_max_exported_percent;
module_param_named(max_exported_percent, rsm_max_exported_percent, ulong, 0644);
MODULE_PARM_DESC(max_exported_percent, "the same in percent of memory");

unsigned long rsm_max_imports = 1048576;
module_param_named(max_imports, rsm_max_imports, ulong, 0644);
MODULE_PARM_DESC(max_imports, "most imports, 0 for no limit");

unsigned long rsm_max_user_imports = 131072;
module_param_named(max_user_imports, rsm_max_user_imports, ulong, 0644);
MODULE_PARM_DESC(max_user_imports, "most imports of a user");

unsigned long rsm_max_segment_imports = 1048576;
module_param_named(max_segment_imports, rsm_max_segment_imports, ulong, 0644);
MODULE_PARM_DESC(max_segment_imports, "most live imports of a segment");

unsigned long rsm_max_import_mappings = 1024;
module_param_named(max_import_mappings, rsm_max_import_mappings, ulong, 0644);
MODULE_PARM_DESC(max_import_mappings, "most mappings of an import");

unsigned long rsm_max_user_mappings = 131072;
module_param_named(max_user_mappings, rsm_max_user_mappings, ulong, 0644);
MODULE_PARM_DESC(max_user_mappings, "most mappings of a user's imports");

int rsm_helper_current_umask(void)
{
	return current_umask();
}

u64 rsm_helper_ipc_namespace(void)
{
	return current->nsproxy->ipc_ns->ns.ns_id;
}

bool rsm_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

unsigned long rsm_helper_rlimit_memlock(void)
{
	return rlimit(RLIMIT_MEMLOCK);
}

void rsm_helper_vm_flags_mod(struct vm_area_struct *vma, vm_flags_t set,
			     vm_flags_t clear)
{
	vm_flags_mod(vma, set, clear);
}

spinlock_t *rsm_helper_pmd_lock(struct mm_struct *mm, pmd_t *pmd)
{
	return pmd_lock(mm, pmd);
}

bool rsm_helper_pmd_none(pmd_t *pmd)
{
	return pmd_none(pmdp_get_lockless(pmd));
}

bool rsm_helper_pmd_leaf(pmd_t *pmd)
{
	return pmd_leaf(pmdp_get_lockless(pmd));
}

void rsm_helper_pmd_populate(struct mm_struct *mm, pmd_t *pmd, pgtable_t pte)
{
	pmd_populate(mm, pmd, pte);
}

void rsm_helper_mm_inc_nr_ptes(struct mm_struct *mm)
{
	mm_inc_nr_ptes(mm);
}

void rsm_helper_cond_resched(void)
{
	cond_resched();
}

unsigned long rsm_helper_totalram_pages(void)
{
	return totalram_pages();
}

void rsm_helper_smp_wmb(void)
{
	/* Pairs as the caller's, Fault::install_table(), says. */
	smp_wmb();
}

bool rsm_helper_pte_none(pte_t *pte)
{
	return pte_none(ptep_get(pte));
}

void rsm_helper_set_special_pte(struct mm_struct *mm, unsigned long addr,
				pte_t *pte, unsigned long pfn, pgprot_t prot)
{
	set_pte_at(mm, addr, pte, pte_mkspecial(pfn_pte(pfn, prot)));
}

unsigned long rsm_helper_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

/*
 * Folios are locked to be marked dirty so that they keep the file whose business
 * that is. Anonymous ones have none: all there is to do is to set the flag.
 */
static inline void mark_dirty(struct folio *folio)
{
	if (folio_test_dirty(folio))
		return;
	if (likely(folio_test_anon(folio)))
		folio_set_dirty(folio);
	else
		folio_mark_dirty_lock(folio);
}

/* Unpins the page of a frame, marked dirty. May sleep. */
void rsm_helper_unpin_dirty_one(unsigned long pfn)
{
	struct folio *folio = pfn_folio(pfn);

	mark_dirty(folio);
	unpin_user_folio(folio, 1);
}

/* Unpins pages from that of a frame on, marked dirty. May sleep. */
void rsm_helper_unpin_dirty(unsigned long pfn, unsigned long pages)
{
	unsigned long end = pfn + pages;

	while (pfn < end) {
		struct folio *folio = pfn_folio(pfn);
		unsigned long some = 1;

		mark_dirty(folio);
		if (folio_test_large(folio))
			some = min(end - pfn, folio_nr_pages(folio) -
				   folio_page_idx(folio, pfn_to_page(pfn)));
		unpin_user_folio(folio, some);
		pfn += some;
	}
}

void *rsm_helper_page_address(struct page *page)
{
	return page_address(page);
}

void rsm_helper_get_page(struct page *page)
{
	get_page(page);
}

void rsm_helper_put_page(struct page *page)
{
	put_page(page);
}

bool rsm_helper_page_detached(unsigned long pfn)
{
	return !READ_ONCE(page_folio(pfn_to_page(pfn))->mapping);
}

void rsm_helper_mmu_interval_set_seq(struct mmu_interval_notifier *notifier,
				     unsigned long sequence)
{
	mmu_interval_set_seq(notifier, sequence);
}

bool rsm_helper_waitqueue_active(struct wait_queue_head *head)
{
	/* Ordered as the caller's, Events::post(), says. */
	return waitqueue_active(head);
}

void rsm_helper_poll_wait(struct file *file, struct wait_queue_head *head,
			  struct poll_table_struct *table)
{
	poll_wait(file, head, table);
}

void rsm_trace_create(u64 segment, u64 addr, u64 pages)
{
	trace_rsm_create(segment, addr, pages);
}

void rsm_trace_publish(u64 segment, u32 id)
{
	trace_rsm_publish(segment, id);
}

void rsm_trace_connect(u64 segment, u32 id, u32 rights)
{
	trace_rsm_connect(segment, id, rights);
}

void rsm_trace_map(u64 segment, u64 addr, u64 offset, u64 pages)
{
	trace_rsm_map(segment, addr, offset, pages);
}

void rsm_trace_fault(u64 segment, u64 addr, u64 pages, bool live)
{
	trace_rsm_fault(segment, addr, pages, live);
}

void rsm_trace_rebind(u64 segment, u64 addr)
{
	trace_rsm_rebind(segment, addr);
}

void rsm_trace_revoke(u64 segment, u32 reason, u64 imports, u64 nanoseconds)
{
	trace_rsm_revoke(segment, reason, imports, nanoseconds);
}

void rsm_trace_destroy(u64 segment)
{
	trace_rsm_destroy(segment);
}

#ifdef CONFIG_PAGE_TABLE_CHECK
bool rsm_helper_page_table_check_on(void)
{
	return !static_branch_likely(&page_table_check_disabled);
}
#endif
