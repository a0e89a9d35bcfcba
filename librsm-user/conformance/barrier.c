/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Barriers and modes: B14, and section 6.9. */
#include <string.h>

#include "segments.h"

typedef int (*barrier_call)(rsmapi_barrier_t *);

static const barrier_call calls[] = {
	rsm_memseg_import_open_barrier, rsm_memseg_import_order_barrier,
	rsm_memseg_import_close_barrier, rsm_memseg_import_destroy_barrier,
};
#define EACH(i) i = 0; i < 4; i++

static int open_it(struct pair *pair)
{
	return rsm_memseg_import_open_barrier(&pair->barrier);
}

static int order_it(struct pair *pair)
{
	return rsm_memseg_import_order_barrier(&pair->barrier);
}

static int close_it(struct pair *pair)
{
	return rsm_memseg_import_close_barrier(&pair->barrier);
}

static int put_byte(import_t import)
{
	uint8_t byte = 0;

	return rsm_memseg_import_put8(import, 0, &byte, 1);
}

static void t228(void)
{
	rsmapi_barrier_t barrier;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(NULL, RSM_BARRIER_NODE, &barrier));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_init_barrier(NULL, RSM_BARRIER_NODE, NULL));
}

static void t229(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSMERR_BAD_BARRIER_PTR, rsm_memseg_import_init_barrier(pair.import, RSM_BARRIER_NODE, NULL));
}

static void t231(void)
{
	int i;

	for (EACH(i))
		EXPECT(RSMERR_BAD_BARRIER_PTR, calls[i](NULL));
}

static void t232(void)
{
	rsmapi_barrier_t barrier;
	int i;

	for (EACH(i)) {
		memset(&barrier, 0, sizeof(barrier));
		EXPECT(RSMERR_BARRIER_UNINITIALIZED, calls[i](&barrier));
	}
}

static void t233(void)
{
	struct pair pair;
	unsigned char *window;

	make_pair(&pair);
	window = map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	window[0] = 1;
	EXPECT(RSM_SUCCESS, order_it(&pair));
	window[1] = 2;
	EXPECT(RSM_SUCCESS, close_it(&pair));
	CHECK(pair.memory[0] == 1 && pair.memory[1] == 2);
}

static void t234(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSMERR_BARRIER_NOT_OPENED, close_it(&pair));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, order_it(&pair));
	/* Close ends the scope. */
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, close_it(&pair));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, close_it(&pair));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, order_it(&pair));
}

static void t236(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, order_it(&pair));
	EXPECT(RSM_SUCCESS, order_it(&pair));
	EXPECT(RSM_SUCCESS, close_it(&pair));
}

static void t237(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, close_it(&pair));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, close_it(&pair));
}

static void t238(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, close_it(&pair));
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSMERR_CONN_ABORTED, close_it(&pair));
	/* A barrier of its own, too; whatever is published meanwhile. */
	publish(pair.segment);
	init_barrier(pair.import, &pair.barrier);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSMERR_CONN_ABORTED, close_it(&pair));
}

static void t239(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, order_it(&pair));
}

static void t241(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, close_it(&pair));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_disconnect(pair.import));
	pair.import = connect_to(publish(pair.segment), RSM_PERM_RDWR);
	init_barrier(pair.import, &pair.barrier);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, close_it(&pair));
}

static void t242(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, put_byte(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&pair.barrier));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, put_byte(pair.import));
}

static void t243(void)
{
	struct pair pair;
	int i;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&pair.barrier));
	for (EACH(i))
		EXPECT(RSMERR_BARRIER_UNINITIALIZED, calls[i](&pair.barrier));
}

static void t244(void)
{
	rsmapi_barrier_t second;
	struct pair pair;

	make_pair(&pair);
	init_barrier(pair.import, &second);
	/* The first one still works. */
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, close_it(&pair));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&pair.barrier));
	EXPECT(RSM_SUCCESS, put_byte(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&second));
	EXPECT(RSMERR_BARRIER_UNINITIALIZED, put_byte(pair.import));
}

static void t246(void)
{
	rsm_barrier_mode_t mode = RSM_BARRIER_MODE_IMPLICIT;
	struct pair pair;
	import_t other;

	make_pair(&pair);
	other = connect_to(pair.id, RSM_PERM_RDWR);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(pair.import, RSM_BARRIER_MODE_EXPLICIT));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(pair.import, &mode));
	CHECK(mode == RSM_BARRIER_MODE_EXPLICIT && mode == 0);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(other, &mode));
	CHECK(mode == RSM_BARRIER_MODE_IMPLICIT && mode == 1);
	/* It stays through map, unmap and abort. */
	map_all(pair.import, RSM_PERM_RDWR, L);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_unmap(pair.import));
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(pair.import, &mode));
	CHECK(mode == RSM_BARRIER_MODE_EXPLICIT);
	EXPECT(RSM_SUCCESS, rsm_memseg_import_set_mode(pair.import, RSM_BARRIER_MODE_IMPLICIT));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(pair.import, &mode));
	CHECK(mode == RSM_BARRIER_MODE_IMPLICIT);
}

static void t247(void)
{
	rsm_barrier_mode_t mode = RSM_BARRIER_MODE_EXPLICIT;
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSMERR_BAD_MODE, rsm_memseg_import_set_mode(pair.import, (rsm_barrier_mode_t)2));
	EXPECT(RSMERR_BAD_MODE, rsm_memseg_import_set_mode(pair.import, (rsm_barrier_mode_t)-1));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_get_mode(pair.import, &mode));
	CHECK(mode == RSM_BARRIER_MODE_IMPLICIT);
}

static void t248(void)
{
	rsm_barrier_mode_t mode;

	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_set_mode(NULL, RSM_BARRIER_MODE_IMPLICIT));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_set_mode(NULL, (rsm_barrier_mode_t)2));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get_mode(NULL, &mode));
	EXPECT(RSMERR_BAD_SEG_HNDL, rsm_memseg_import_get_mode(NULL, NULL));
}

static void t249(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSMERR_BAD_ADDR, rsm_memseg_import_get_mode(pair.import, NULL));
}

static void any_type(void)
{
	static const int types[] = {
		RSM_BARRIER_SEGMENT, RSM_BARRIER_NODE, RSM_BARRIER_SEGMENT_THREAD, RSM_BARRIER_NODE_THREAD,
		RSM_BAR_DEFAULT, 0, 99,
	};
	struct pair pair;
	size_t i;

	make_pair(&pair);
	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		memset(&pair.barrier, 0, sizeof(pair.barrier));
		EXPECT(RSM_SUCCESS,
		    rsm_memseg_import_init_barrier(pair.import, (rsm_barrier_type_t)types[i], &pair.barrier));
		EXPECT(RSM_SUCCESS, open_it(&pair));
		EXPECT(RSM_SUCCESS, close_it(&pair));
	}
}

static void any_state(void)
{
	struct pair pair;

	make_pair(&pair);
	map_all(pair.import, RSM_PERM_RDWR, L);
	init_barrier(pair.import, &pair.barrier);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	init_barrier(pair.import, &pair.barrier);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	/* Garbage in the object does not matter to init. */
	memset(&pair.barrier, 0xa5, sizeof(pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_init_barrier(pair.import, RSM_BARRIER_NODE, &pair.barrier));
	EXPECT(RSM_SUCCESS, rsm_memseg_import_destroy_barrier(&pair.barrier));
}

/* The connection before the scope. */
static void aborted_and_not_open(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, rsm_memseg_export_unpublish(pair.segment));
	EXPECT(RSMERR_CONN_ABORTED, order_it(&pair));
	EXPECT(RSMERR_CONN_ABORTED, close_it(&pair));
}

/* C1: an implicit transfer leaves an explicit scope open. */
static void implicit_in_explicit(void)
{
	struct pair pair;

	make_pair(&pair);
	EXPECT(RSM_SUCCESS, open_it(&pair));
	EXPECT(RSM_SUCCESS, put_byte(pair.import));
	EXPECT(RSM_SUCCESS, order_it(&pair));
	EXPECT(RSM_SUCCESS, put_byte(pair.import));
	EXPECT(RSM_SUCCESS, close_it(&pair));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, close_it(&pair));
	/* And it opens none. */
	EXPECT(RSM_SUCCESS, put_byte(pair.import));
	EXPECT(RSMERR_BARRIER_NOT_OPENED, close_it(&pair));
}

const struct check barrier_checks[] = {
	{ "T228", "init_barrier: no handle", t228, 0 },
	{ "T229", "init_barrier: no barrier", t229, 0 },
	{ "T231", "open, order, close, destroy: no barrier", t231, 0 },
	{ "T232", "open, order, close, destroy: never initialised", t232, 0 },
	{ "T233", "open, order, close: in sequence", t233, 0 },
	{ "T234", "close, order: not open", t234, 0 },
	{ "T236", "order: the scope stays open", t236, 0 },
	{ "T237", "open: twice", t237, 0 },
	{ "T238", "close: aborted, for ever", t238, 0 },
	{ "T239", "order: aborted", t239, 0 },
	{ "T241", "close: a new connection is a new start", t241, 0 },
	{ "T242", "destroy_barrier: transfers need another one", t242, 0 },
	{ "T243", "destroy_barrier: twice", t243, 0 },
	{ "T244", "destroy_barrier: of one that is not current", t244, 0 },
	{ "T246", "set_mode: one handle's, for good", t246, 0 },
	{ "T247", "set_mode: modes that are none", t247, 0 },
	{ "T248", "set_mode, get_mode: no handle", t248, 0 },
	{ "T249", "get_mode: no place for the mode", t249, 0 },
	{ "init_barrier.type", "init_barrier: any type", any_type, 0 },
	{ "1.8.barrier", "init_barrier, open: in any state", any_state, 0 },
	{ "barrier.3", "close, order: aborted and not open", aborted_and_not_open, 0 },
	{ "C1", "open: implicit transfers within", implicit_in_explicit, 0 },
	{ NULL, NULL, NULL, 0 },
};
