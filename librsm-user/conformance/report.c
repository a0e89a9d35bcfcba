/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reports, and the names of codes in them. */
#include "report.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

void report(char kind, const char *text)
{
	char line[REPORT_MAX + 4];
	int length = snprintf(line, sizeof(line), "%c%s", kind, text);
	char *c;

	if (length < 0)
		return;
	if ((size_t)length > sizeof(line) - 2)
		length = (int)sizeof(line) - 2;
	for (c = line; c < line + length; c++)
		if (*c == '\n')
			*c = ' ';
	line[length++] = '\n';
	(void)!write(REPORT_FD, line, (size_t)length);
}

static const struct {
	int code;
	const char *name;
} codes[] = {
#define CODE(name) { RSMERR_##name, #name }
	{ RSM_SUCCESS, "SUCCESS" },
	CODE(BAD_LIBRARY_VERSION), CODE(BAD_TOPOLOGY_PTR), CODE(BAD_CTLR_HNDL),
	CODE(CTLR_NOT_PRESENT), CODE(BAD_SEG_HNDL), CODE(SEG_ALREADY_PUBLISHED),
	CODE(SEG_NOT_PUBLISHED), CODE(SEG_NOT_PUBLISHED_TO_NODE), CODE(SEG_ALREADY_MAPPED),
	CODE(SEG_STILL_MAPPED), CODE(SEG_NOT_MAPPED), CODE(NOT_CREATOR), CODE(BAD_BARRIER_PTR),
	CODE(BAD_SGIO), CODE(BAD_LOCALMEM_HNDL), CODE(BAD_ADDR), CODE(BAD_MEM_ALIGNMENT),
	CODE(BAD_OFFSET), CODE(BAD_LENGTH), CODE(BAD_ACL), CODE(BAD_SEGID), CODE(RESERVED_SEGID),
	CODE(SEGID_IN_USE), CODE(BAD_MODE), CODE(BAD_PERMS), CODE(PERM_DENIED),
	CODE(REBIND_NOT_ALLOWED), CODE(INSUFFICIENT_RESOURCES), CODE(INSUFFICIENT_MEM),
	CODE(MAP_FAILED), CODE(POLLFD_IN_USE), CODE(BARRIER_UNINITIALIZED),
	CODE(BARRIER_OPEN_FAILED), CODE(BARRIER_NOT_OPENED), CODE(BARRIER_FAILURE),
	CODE(REMOTE_NODE_UNREACHABLE), CODE(CONN_ABORTED), CODE(INTERRUPTED), CODE(TIMEOUT),
	CODE(BAD_APPID), CODE(BAD_CONF), CODE(INTERNAL_ERROR), CODE(BAD_ARGS_ERRORS),
#undef CODE
};

const char *code_name(int code)
{
	static char text[64];
	const char *name = "not an RSM code";
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			name = codes[i].name;
	snprintf(text, sizeof(text), "%s (%d)", name, code);
	return text;
}

int is_public_code(int code)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i].code == code)
			return 1;
	return 0;
}
