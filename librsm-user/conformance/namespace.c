/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Directories that a check sees differently; see namespace.h.  For Linux. */
#define _GNU_SOURCE 1
#include "namespace.h"

#include "harness.h"

#ifdef __linux__

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static void write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		skip("cannot set up a user namespace");
	close(fd);
}

/* Without privileges: root of a user namespace of our own, who may make files. */
static int own_user_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return -1;
	write_proc("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_proc("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_proc("/proc/self/gid_map", map);
	return 0;
}

void mount_empty(const char *path, const char *type)
{
	if (unshare(CLONE_NEWNS) && own_user_namespace())
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
