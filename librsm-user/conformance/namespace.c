/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Directories that a check sees differently; see namespace.h.  For Linux. */
#define _GNU_SOURCE 1
#include "namespace.h"

#include "harness.h"

#ifdef __linux__

#include <sched.h>
#include <sys/mount.h>

void mount_empty(const char *path, const char *type)
{
	/* Without privileges, in a user namespace of our own. */
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		skip("needs mount namespaces");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", path, type, 0, NULL))
		skip("cannot mount");
}

#else

void mount_empty(const char *path, const char *type)
{
	(void)path;
	(void)type;
	skip("needs mount namespaces");
}

#endif

void hide_directory(const char *path)
{
	mount_empty(path, "tmpfs");
}
