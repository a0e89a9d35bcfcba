/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Directories that a check sees differently from everybody else. */
#ifndef NAMESPACE_H
#define NAMESPACE_H

/*
 * Puts an empty file system of this type in place of a directory, for this
 * process and those it starts.  Skips the check where that cannot be done.
 */
void mount_empty(const char *path, const char *type);

/* The same, when the type does not matter. */
void hide_directory(const char *path);

#endif
