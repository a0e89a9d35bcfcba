/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Access rights: the rest of B9, and section 1.4.  Alice exports, others ask.
 * Importers are started as root, before the exporter becomes Alice.
 */
#include <stdint.h>
#include <sys/stat.h>

#include "segments.h"

/* What Alice publishes: a mode, or no list if it is -1. */
static rsm_memseg_id_t alice_publishes(int mode)
{
	export_t segment;

	become(ALICE, ALICE, (gid_t)-1);
	segment = export_memory(new_memory(L), L, 0);
	return mode < 0 ? publish(segment) : publish_mode(segment, (rsm_permission_t)mode);
}

/* Asks for READ, WRITE and RDWR; tells what came of it. */
static void asking(int line)
{
	rsm_memseg_id_t id = (rsm_memseg_id_t)hear(line);

	tell(line, try_connect(id, RSM_PERM_READ));
	tell(line, try_connect(id, RSM_PERM_WRITE));
	tell(line, try_connect(id, RSM_PERM_RDWR));
}

static void answers(struct peer *importer, rsm_memseg_id_t id, int read, int write, int both)
{
	tell(importer->line, id);
	EXPECT(read, (int)hear(importer->line));
	EXPECT(write, (int)hear(importer->line));
	EXPECT(both, (int)hear(importer->line));
	finish(importer);
}

#define YES RSM_SUCCESS
#define NO RSMERR_PERM_DENIED
#define NONE ((gid_t)-1)

static void t131(void)
{
	struct peer bob = start_as(BOB, BOB, NONE, asking);

	answers(&bob, alice_publishes(0600), NO, NO, NO);
}

static void t132(void)
{
	struct peer by_group = start_as(BOB, ALICE, NONE, asking);
	struct peer by_other_group = start_as(CAROL, CAROL, ALICE, asking);
	struct peer stranger = start_as(DAVE, DAVE, NONE, asking);
	rsm_memseg_id_t id = alice_publishes(0640);

	answers(&by_group, id, YES, NO, NO);
	answers(&by_other_group, id, YES, NO, NO);
	answers(&stranger, id, NO, NO, NO);
}

static void t133(void)
{
	struct peer stranger = start_as(BOB, BOB, NONE, asking);
	struct peer member = start_as(CAROL, ALICE, NONE, asking);
	rsm_memseg_id_t id = alice_publishes(0604);

	answers(&stranger, id, YES, NO, NO);
	/* The group's digit counts for its members, not that of others. */
	answers(&member, id, NO, NO, NO);
}

static void t134(void)
{
	struct peer owner = start_as(ALICE, BOB, ALICE, asking);

	answers(&owner, alice_publishes(0060), NO, NO, NO);
}

static void t136(void)
{
	struct peer bob = start_as(BOB, BOB, NONE, asking);
	struct peer owner = start_as(ALICE, BOB, NONE, asking);
	rsm_memseg_id_t id;

	umask(077);
	id = alice_publishes(-1);
	answers(&bob, id, NO, NO, NO);
	answers(&owner, id, YES, YES, YES);
}

static void t137(void)
{
	struct peer bob = start_as(BOB, BOB, NONE, asking);
	struct peer carol = start_as(CAROL, CAROL, NONE, asking);
	export_t open, closed;
	rsm_memseg_id_t id;

	become(ALICE, ALICE, NONE);
	umask(0);
	open = export_memory(new_memory(L), L, 0);
	umask(077);
	closed = export_memory(new_memory(L), L, 0);
	id = publish(open);
	umask(0);
	answers(&bob, id, YES, YES, YES);
	answers(&carol, publish(closed), NO, NO, NO);
}

static void signalling_stranger(int line)
{
	import_t import = connect_to((rsm_memseg_id_t)hear(line), RSM_PERM_NONE);
	void *address = NULL;
	rsmapi_barrier_t barrier;
	uint8_t byte = 0;

	EXPECT(RSMERR_BAD_PERMS, rsm_memseg_import_map(import, &address, RSM_MAP_NONE, RSM_PERM_READ, 0, PS));
	init_barrier(import, &barrier);
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_get8(import, 0, &byte, 1));
	EXPECT(RSMERR_PERM_DENIED, rsm_memseg_import_put8(import, 0, &byte, 1));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(import, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(import, -1));
}

static void t138(void)
{
	struct peer bob = start_as(BOB, BOB, NONE, signalling_stranger);
	export_t segment;

	become(ALICE, ALICE, NONE);
	segment = export_memory(new_memory(L), L, 0);
	tell(bob.line, publish_mode(segment, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_wait(segment, -1));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	finish(&bob);
}

static void mapping_stranger(int line)
{
	rsm_memseg_id_t id = (rsm_memseg_id_t)hear(line);
	unsigned char *window = map_all(connect_to(id, RSM_PERM_READ), RSM_PERM_READ, L);

	CHECK(is_filled(window, L, 0));
	window = map_all(connect_to(id, RSM_PERM_RDWR), RSM_PERM_RDWR, L);
	fill(window, L, 4);
}

static void t139(void)
{
	struct peer bob = start_as(BOB, BOB, NONE, mapping_stranger);
	unsigned char *memory = new_memory(L);

	become(ALICE, ALICE, NONE);
	tell(bob.line, publish_mode(export_memory(memory, L, 0), 0006));
	finish(&bob);
	CHECK(is_filled(memory, L, 4));
}

/* Publishes under one mode after another, as told. */
static void publishing(int line)
{
	export_t segment = export_memory(new_memory(L), L, 0);

	for (;;) {
		long long mode = hear(line);

		if (mode < 0)
			break;
		tell(line, publish_mode(segment, (rsm_permission_t)mode));
		hear(line);
		EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	}
}

/* One digit, alone, and the class of importer that it is for. */
static void every_digit(void)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		int shift;
	} classes[] = { { ALICE, BOB, 6 }, { BOB, ALICE, 3 }, { CAROL, CAROL, 0 } };
	struct peer exporter = start_as(ALICE, ALICE, NONE, publishing);
	size_t i;
	int digit;

	for (i = 0; i < 3; i++)
		for (digit = 0; digit <= 6; digit += 2) {
			struct peer importer = start_as(classes[i].uid, classes[i].gid, NONE, asking);

			tell(exporter.line, digit << classes[i].shift);
			answers(&importer, (rsm_memseg_id_t)hear(exporter.line),
			    digit & 4 ? YES : NO, digit & 2 ? YES : NO, digit == 6 ? YES : NO);
			tell(exporter.line, 0);
		}
	tell(exporter.line, -1);
	finish(&exporter);
}

/* Root may do anything, where it has the capability. */
static void privileged(void)
{
	struct peer exporter = start_as(ALICE, ALICE, NONE, publishing);

	tell(exporter.line, 0);
	EXPECT(RSM_SUCCESS, try_connect((rsm_memseg_id_t)hear(exporter.line), RSM_PERM_RDWR));
	tell(exporter.line, 0);
	tell(exporter.line, -1);
	finish(&exporter);
}

const struct check permission_checks[] = {
	{ "T131", "rights: 0600, another user", t131, AS_ROOT },
	{ "T132", "rights: 0640, members of the group", t132, AS_ROOT },
	{ "T133", "rights: 0604, others", t133, AS_ROOT },
	{ "T134", "rights: 0060, the owner", t134, AS_ROOT },
	{ "T136", "rights: the umask, another user", t136, AS_ROOT },
	{ "T137", "rights: the umask at the time of create", t137, AS_ROOT },
	{ "T138", "rights: none, for signals only", t138, AS_ROOT },
	{ "T139", "rights: 0006, mapping", t139, AS_ROOT },
	{ "1.4.5", "rights: every digit, every class of importer", every_digit, AS_ROOT },
	{ "1.4.6", "rights: a privileged importer", privileged, AS_ROOT },
	{ NULL, NULL, NULL, 0 },
};
