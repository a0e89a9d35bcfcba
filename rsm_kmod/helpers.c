// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel offers only as a macro or an inline function, made callable
 * from Rust. One line each; no logic.
 */
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/page_table_check.h>
#include <linux/pgtable.h>
#include <linux/sched/signal.h>

#include <asm/pgalloc.h>

int rsm_helper_current_umask(void)
{
	return current_umask();
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

struct page *rsm_helper_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

unsigned long rsm_helper_page_to_pfn(struct page *page)
{
	return page_to_pfn(page);
}

void *rsm_helper_page_address(struct page *page)
{
	return page_address(page);
}

void rsm_helper_get_page(struct page *page)
{
	get_page(page);
}

#ifdef CONFIG_PAGE_TABLE_CHECK
bool rsm_helper_page_table_check_on(void)
{
	return !static_branch_likely(&page_table_check_disabled);
}
#endif
