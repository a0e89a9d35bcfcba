/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Controllers: B1, and section 6.1. */
#include <string.h>
#include <unistd.h>

#include "namespace.h"
#include "segments.h"

static char loopback[] = "loopback";

static void t001(void)
{
	controller_t ctl = NULL;

	EXPECT(RSM_SUCCESS, rsm_get_controller(loopback, &ctl));
	CHECK(ctl != NULL);
}

static void t002(void)
{
	controller_t ctl = NULL, same = NULL;

	EXPECT(RSM_SUCCESS, rsm_get_controller(NULL, &ctl));
	EXPECT(RSM_SUCCESS, rsm_get_controller(loopback, &same));
	CHECK(ctl && ctl == same);
}

static void t003(void)
{
	char zero[] = "loopback0", seven[] = "loopback7";
	controller_t ctl = NULL, other[3] = { NULL, NULL, NULL };
	rsmapi_controller_attr_t attr;
	int i;

	REQUIRE(RSM_SUCCESS, rsm_get_controller(loopback, &ctl));
	EXPECT(RSM_SUCCESS, rsm_get_controller(loopback, &other[0]));
	EXPECT(RSM_SUCCESS, rsm_get_controller(zero, &other[1]));
	EXPECT(RSM_SUCCESS, rsm_get_controller(seven, &other[2]));
	for (i = 0; i < 3; i++)
		CHECK(other[i] == ctl);
	/* Four references: the handle is good until the last one is released. */
	for (i = 0; i < 3; i++) {
		EXPECT(RSM_SUCCESS, rsm_release_controller(ctl));
		EXPECT(RSM_SUCCESS, rsm_get_controller_attr(ctl, &attr));
	}
	EXPECT(RSM_SUCCESS, rsm_release_controller(ctl));
}

static void t004(void)
{
	char upper[] = "LOOPBACK", mixed[] = "LoopBack0";
	controller_t ctl = NULL, same = NULL;

	EXPECT(RSM_SUCCESS, rsm_get_controller(upper, &ctl));
	EXPECT(RSM_SUCCESS, rsm_get_controller(mixed, &same));
	CHECK(ctl && ctl == same);
}

static void t006(void)
{
	char empty[] = "", lengthy[301];
	controller_t ctl = NULL;

	memset(lengthy, 'x', 300);
	lengthy[300] = 0;
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(empty, &ctl));
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(lengthy, &ctl));
	memcpy(lengthy, loopback, 8);
	memset(lengthy + 8, '1', 292);
	EXPECT_EITHER(RSMERR_CTLR_NOT_PRESENT, RSM_SUCCESS, rsm_get_controller(lengthy, &ctl));
}

static void t007(void)
{
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller(loopback, NULL));
}

/* In a world without /dev/rsm, where the library has been loaded. */
static void without_driver(const char *unused)
{
	rsm_topology_t *topology = NULL;
	controller_t ctl = NULL;

	(void)unused;
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(loopback, &ctl));
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_interconnect_topology(&topology));
	CHECK(topology == NULL);
}

static void t008(void)
{
	hide_directory("/dev");
	run_again("without_driver", "");
}

static void t009(void)
{
	EXPECT(RSMERR_BAD_ADDR, rsm_get_controller_attr(controller(), NULL));
}

static void t011(void)
{
	struct {
		rsmapi_controller_attr_t attr;
		unsigned char beyond[64];
	} area;
	size_t i;

	memset(&area, 0xa5, sizeof(area));
	REQUIRE(RSM_SUCCESS, rsm_get_controller_attr(controller(), &area.attr));
	CHECK(sizeof(area.attr) == 64);
	CHECK(area.attr.attr_page_size == PS);
	for (i = 0; i < sizeof(area.beyond); i++)
		NEED(area.beyond[i] == 0xa5);
}

static void t012(void)
{
	rsmapi_controller_attr_t one, two;

	memset(&one, 1, sizeof(one));
	memset(&two, 2, sizeof(two));
	EXPECT(RSM_SUCCESS, rsm_get_controller_attr(controller(), &one));
	EXPECT(RSM_SUCCESS, rsm_get_controller_attr(controller(), &two));
	CHECK(memcmp(&one, &two, sizeof(one)) == 0);
}

static void t013(void)
{
	controller_t ctl = controller(), same = NULL;
	rsmapi_controller_attr_t attr;

	EXPECT(RSM_SUCCESS, rsm_get_controller(loopback, &same));
	EXPECT(RSM_SUCCESS, rsm_release_controller(same));
	EXPECT(RSM_SUCCESS, rsm_get_controller_attr(ctl, &attr));
}

static void t014(void)
{
	controller_t ctl = NULL;
	int i;

	for (i = 0; i < 3; i++) {
		REQUIRE(RSM_SUCCESS, rsm_get_controller(loopback, &ctl));
		EXPECT(RSM_SUCCESS, rsm_release_controller(ctl));
	}
}

static void t016(void)
{
	unsigned char *memory = new_memory(L);
	export_t segment = export_memory(memory, L, 0);
	rsm_memseg_id_t id = 0;

	EXPECT(RSM_SUCCESS, rsm_release_controller(controller()));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_publish(segment, &id, NULL, 0));
	EXPECT(RSM_SUCCESS, rsm_intr_signal_post(segment, 0));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_destroy(segment));
}

static void get_controller_5(void)
{
	char sci[] = "sci0", similar[] = "loopbacks";
	controller_t ctl = NULL;

	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(sci, &ctl));
	EXPECT(RSMERR_CTLR_NOT_PRESENT, rsm_get_controller(similar, &ctl));
}

static void get_controller_attr_1(void)
{
	rsmapi_controller_attr_t attr;

	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller_attr(NULL, &attr));
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_get_controller_attr(NULL, NULL));
}

static void get_controller_attr_values(void)
{
	uint_t sizes = RSM_DAS8 | RSM_DAS16 | RSM_DAS32 | RSM_DAS64;
	rsmapi_controller_attr_t attr;

	REQUIRE(RSM_SUCCESS, rsm_get_controller_attr(controller(), &attr));
	CHECK(attr.attr_direct_access_sizes == sizes);
	CHECK(attr.attr_atomic_sizes == sizes);
}

static void release_controller_1(void)
{
	EXPECT(RSMERR_BAD_CTLR_HNDL, rsm_release_controller(NULL));
}

const struct check controller_checks[] = {
	{ "T001", "get_controller: loopback", t001, 0 },
	{ "T002", "get_controller: no name is loopback", t002, 0 },
	{ "T003", "get_controller: the unit does not matter, references are counted", t003, 0 },
	{ "T004", "get_controller: upper case, in a fresh process", t004, 0 },
	{ "T006", "get_controller: empty and endless names", t006, 0 },
	{ "T007", "get_controller: no place for the handle", t007, 0 },
	{ "T008", "get_controller: without the driver", t008, 0 },
	{ "T009", "get_controller_attr: no place for the attributes", t009, 0 },
	{ "T011", "get_controller_attr: page size, and nothing written beyond", t011, 0 },
	{ "T012", "get_controller_attr: twice the same", t012, 0 },
	{ "T013", "release_controller: one of two references", t013, 0 },
	{ "T014", "release_controller: the last reference, and get again", t014, 0 },
	{ "T016", "release_controller: a segment goes on without", t016, 0 },
	{ "get_controller.5", "get_controller: a controller that is not there", get_controller_5, 0 },
	{ "get_controller_attr.1", "get_controller_attr: no handle", get_controller_attr_1, 0 },
	{ "D-06", "get_controller_attr: access sizes", get_controller_attr_values, 0 },
	{ "release_controller.1", "release_controller: no handle", release_controller_1, 0 },
	{ NULL, NULL, NULL, 0 },
};

const struct stage controller_stages[] = {
	{ "without_driver", without_driver },
	{ NULL, NULL },
};
