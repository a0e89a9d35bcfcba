/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Settings of the machine that a check may change; see knobs.h. */
#include "knobs.h"

#include <stdio.h>
#include <string.h>

static char before[64];

static int read_knob(const char *knob, char *value, size_t size)
{
	FILE *file = fopen(knob, "r");
	int good = file && fgets(value, (int)size, file) != NULL;

	if (file)
		fclose(file);
	return good;
}

static int write_knob(const char *knob, const char *value)
{
	FILE *file = fopen(knob, "w");
	int good = file && fputs(value, file) >= 0;

	if (file && fclose(file) != 0)
		good = 0;
	return good;
}

int knob_set(const char *knob, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", value);
	return write_knob(knob, text);
}

void knobs_remember(void)
{
	if (!read_knob(KNOB_EXPORTED_MEMORY, before, sizeof(before)))
		before[0] = 0;
}

void knobs_restore(void)
{
	char now[64];

	if (before[0] && read_knob(KNOB_EXPORTED_MEMORY, now, sizeof(now)) && strcmp(before, now) != 0)
		write_knob(KNOB_EXPORTED_MEMORY, before);
}
