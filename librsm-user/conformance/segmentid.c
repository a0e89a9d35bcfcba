/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ranges of segment ids: B3, and section 6.3. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "namespace.h"
#include "segments.h"

/* /etc/rsm/rsm.segmentid with this text, for this check only. */
static void write_file(const char *text)
{
	static int hidden;
	FILE *file;

	if (!hidden++) {
		hide_directory("/etc");
		NEED(mkdir("/etc/rsm", 0755) == 0);
	}
	file = fopen("/etc/rsm/rsm.segmentid", "w");
	NEED(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char usual[] =
	"# keyword\tapplication\tbase\tlength\n"
	"reserved SUNWfoo 0x600000 1000\n"
	"reserved\tSUNWbar\t700000\t50\n";

/* The range of an application is this, or the error is that. */
static void range_is(const char *appid, rsm_memseg_id_t wanted_base, uint32_t wanted_length)
{
	rsm_memseg_id_t base = 0;
	uint32_t length = 0;

	EXPECT(RSM_SUCCESS, rsm_get_segmentid_range(appid, &base, &length));
	CHECK(base == wanted_base);
	CHECK(length == wanted_length);
}

static void error_is(int code, const char *appid)
{
	rsm_memseg_id_t base = 0;
	uint32_t length = 0;

	EXPECT(code, rsm_get_segmentid_range(appid, &base, &length));
}

static void t023(void)
{
	rsm_memseg_id_t base;
	uint32_t length;

	hide_directory("/etc");
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range(NULL, &base, &length));
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range("SUNWfoo", NULL, &length));
	EXPECT(RSMERR_BAD_ADDR, rsm_get_segmentid_range("SUNWfoo", &base, NULL));
}

static void t024(void)
{
	hide_directory("/etc");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
}

static void t026(void)
{
	write_file(usual);
	range_is("SUNWfoo", 0x600000, 1000);
	range_is("sunwFOO", 0x600000, 1000);
}

static void t027(void)
{
	write_file(usual);
	range_is("SUNWbar", 0x700000, 50);
}

static void t028(void)
{
	rsm_memseg_id_t base = 77;
	uint32_t length = 88;

	write_file(usual);
	EXPECT(RSMERR_BAD_APPID, rsm_get_segmentid_range("SUNWbaz", &base, &length));
	CHECK(base == 77 && length == 88);
}

static void t029(void)
{
	write_file("reserved SUNWold 0x500000\nreserved SUNWfoo 0x600000 1000\n");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
}

static void t031(void)
{
	write_file("reserved SUNWfoo 0x600000 1000\nreserved SUNWold\n\nnonsense\n");
	range_is("SUNWfoo", 0x600000, 1000);
}

static void t032(void)
{
	write_file("foo SUNWfoo 0x600000 1000\n");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
}

static void t033(void)
{
	write_file("reserve SUNWfoo 0x600000 1000\nRESERVED SUNWbar 0x700000 5\n");
	range_is("SUNWfoo", 0x600000, 1000);
	range_is("SUNWbar", 0x700000, 5);
}

static void t034(void)
{
	write_file("# a comment\n  \t # another\n#\nreserved SUNWfoo 0x600000 1000\n");
	range_is("SUNWfoo", 0x600000, 1000);
}

static void range_3(void)
{
	write_file("\nreserved SUNWfoo 0x600000 1000\n");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
}

static void range_5(void)
{
	write_file("reserved SUNWfoo 0x1000000000000000000 1000\n");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
	write_file("reserved SUNWfoo 0x600000 99999999999999999999\n");
	error_is(RSMERR_BAD_CONF, "SUNWfoo");
}

static void range_grammar(void)
{
	write_file("foo SUNWother 0x500000 1\n"
		   "  reserved \t SUNWfoo  0x600000\t 1000 and more\n"
		   "reserved SUNWfoo 0x700000 5\n"
		   "reserved SUNWhex 6ABCDE 7");
	range_is("SUNWfoo", 0x600000, 1000);
	range_is("SUNWhex", 0x6abcde, 7);
	error_is(RSMERR_BAD_APPID, "SUNW");
}

const struct check segmentid_checks[] = {
	{ "T023", "get_segmentid_range: arguments are looked at before the file", t023, 0 },
	{ "T024", "get_segmentid_range: no file", t024, 0 },
	{ "T026", "get_segmentid_range: case of the application", t026, 0 },
	{ "T027", "get_segmentid_range: hexadecimal without 0x", t027, 0 },
	{ "T028", "get_segmentid_range: unknown application", t028, 0 },
	{ "T029", "get_segmentid_range: a short line before the match", t029, 0 },
	{ "T031", "get_segmentid_range: malformed lines after the match", t031, 0 },
	{ "T032", "get_segmentid_range: wrong keyword", t032, 0 },
	{ "T033", "get_segmentid_range: both keywords", t033, 0 },
	{ "T034", "get_segmentid_range: comments", t034, 0 },
	{ "get_segmentid_range.3", "get_segmentid_range: a blank line before the match", range_3, 0 },
	{ "get_segmentid_range.5", "get_segmentid_range: numbers out of range", range_5, 0 },
	{ "get_segmentid_range.grammar", "get_segmentid_range: blanks, first match, further text", range_grammar, 0 },
	{ NULL, NULL, NULL, 0 },
};
