// SPDX-License-Identifier: GPL-2.0
/*
 * Does one thing wrong, named by the parameter fault=, so that the tests of the
 * guest runner can show that it notices.  Never part of the product.
 *
 * The fault happens while the module is loaded, by process 1, unless it says
 * otherwise.  fault=none does nothing wrong.
 */
#include <linux/atomic.h>
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/panic.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/preempt.h>
#include <linux/sched/user.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

static char *fault = "none";
module_param(fault, charp, 0444);

#define LEAKED_OBJECTS 2000

static struct dentry *directory;
static unsigned int living;
static bool crash_on_exit;

/* The compiler must not see through any of these. */
static int *volatile nowhere;
static volatile int big = 64;

static int fault_none(void)
{
	return 0;
}

static int fault_insmod(void)
{
	return -EINVAL;
}

static int fault_warn(void)
{
	WARN(1, "faulty: a warning\n");
	return 0;
}

static int fault_bug(void)
{
	BUG();
}

static int fault_oops(void)
{
	*nowhere = 1;
	return 0;
}

static int fault_panic(void)
{
	panic("faulty");
}

/* Two locks in both orders, one after the other: only lockdep can tell. */
static int fault_lockdep(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

static int fault_atomic_sleep(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
	return 0;
}

static int fault_kasan(void)
{
	char *volatile memory = kmalloc(64, GFP_KERNEL);
	char value;

	if (!memory)
		return -ENOMEM;
	kfree(memory);
	value = *(volatile char *)memory;
	(void)value;
	return 0;
}

/* A shift by more than the type has, which x86 computes all the same. */
static int fault_ubsan(void)
{
	volatile int one = 1;

	pr_info("faulty: 1 << %d is %d\n", big, one << big);
	return 0;
}

static int fault_hung(void)
{
	for (;;) {
		__set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	return 0;
}

/* As fault_hung, but as a process that waits for its user may: no detector of
 * the kernel minds.
 */
static int fault_hang(void)
{
	for (;;)
		msleep_interruptible(1000);
	return 0;
}

/* Only a processor that cannot schedule counts as locked up. */
static int fault_lockup(void)
{
	preempt_disable();
	for (;;)
		cpu_relax();
	return 0;
}

static int fault_rcu_stall(void)
{
	rcu_read_lock();
	/* Only a grace period that somebody waits for can stall. */
	start_poll_synchronize_rcu();
	for (;;)
		cpu_relax();
	return 0;
}

/* The guest ends although process 1 has not said so. */
static int fault_power_off(void)
{
	kernel_power_off();
	return 0;
}

static int fault_kmemleak(void)
{
	void *volatile memory;
	int i;

	/* Of one alone, a copy may lie about on some stack. */
	for (i = 0; i < LEAKED_OBJECTS; i++)
		memory = kmalloc(64, GFP_KERNEL);
	memory = NULL;
	return 0;
}

static int fault_slab(void)
{
	void *volatile memory;
	int i;

	for (i = 0; i < LEAKED_OBJECTS; i++)
		memory = kmalloc(64, GFP_KERNEL_ACCOUNT);
	memory = NULL;
	return 0;
}

static int fault_vmalloc(void)
{
	void *volatile memory = vmalloc(64 * PAGE_SIZE);

	memory = NULL;
	return 0;
}

static int fault_pin(void)
{
	struct page *page;
	int count = pin_user_pages_fast(current->mm->start_stack & PAGE_MASK, 1,
					FOLL_WRITE | FOLL_LONGTERM, &page);

	return count == 1 ? 0 : -EFAULT;
}

/* A charge to the user that no process owns. */
static int fault_locked(void)
{
	atomic_long_inc(&current_user()->locked_vm);
	return 0;
}

static int fault_descriptor(void)
{
	struct file *file = filp_open("/dev/null", O_RDONLY, 0);

	return PTR_ERR_OR_ZERO(file);
}

static int fault_live(void)
{
	living = 1;
	return 0;
}

static int fault_rmmod(void)
{
	__module_get(THIS_MODULE);
	return 0;
}

static int fault_rmmod_crash(void)
{
	crash_on_exit = true;
	return 0;
}

/* Whoever reads this file cannot be killed for 20 s. */
static int block_show(struct seq_file *seq, void *unused)
{
	msleep(20000);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(block);

static const struct {
	const char *name;
	int (*commit)(void);
} faults[] = {
	{ "none", fault_none },
	{ "insmod", fault_insmod },
	{ "warn", fault_warn },
	{ "bug", fault_bug },
	{ "oops", fault_oops },
	{ "panic", fault_panic },
	{ "lockdep", fault_lockdep },
	{ "atomic-sleep", fault_atomic_sleep },
	{ "kasan", fault_kasan },
	{ "ubsan", fault_ubsan },
	{ "hung", fault_hung },
	{ "hang", fault_hang },
	{ "lockup", fault_lockup },
	{ "rcu-stall", fault_rcu_stall },
	{ "power-off", fault_power_off },
	{ "kmemleak", fault_kmemleak },
	{ "slab", fault_slab },
	{ "vmalloc", fault_vmalloc },
	{ "pin", fault_pin },
	{ "locked", fault_locked },
	{ "descriptor", fault_descriptor },
	{ "live", fault_live },
	{ "rmmod", fault_rmmod },
	{ "rmmod-crash", fault_rmmod_crash },
};

static int __init faulty_init(void)
{
	int i, error;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		if (strcmp(faults[i].name, fault))
			continue;
		error = faults[i].commit();
		if (error)
			return error;
		directory = debugfs_create_dir("faulty", NULL);
		debugfs_create_u32("live_things", 0444, directory, &living);
		debugfs_create_file("block", 0444, directory, NULL, &block_fops);
		return 0;
	}
	pr_err("faulty: there is no fault named %s\n", fault);
	return -ENOENT;
}

static void __exit faulty_exit(void)
{
	debugfs_remove(directory);
	if (crash_on_exit)
		fault_oops();
}

module_init(faulty_init);
module_exit(faulty_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Faults for the tests of the guest runner");
