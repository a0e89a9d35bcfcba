/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What all examples need: an end with a message when a call does not return
 * what it should, a number that travels between two processes, and a buffer.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rsmapi.h>

#define expect(code, call) expect_at(__LINE__, #call, (code), (call))
#define must(call) expect(RSM_SUCCESS, call)
#define check(condition) check_at(__LINE__, #condition, (condition) ? 1 : 0)

static inline void expect_at(int line, const char *call, int code, int got)
{
	if (got == code)
		return;
	fprintf(stderr, "line %d: %s: %d instead of %d\n", line, call, got, code);
	exit(1);
}

static inline void check_at(int line, const char *condition, int holds)
{
	if (holds)
		return;
	fprintf(stderr, "line %d: not so: %s\n", line, condition);
	exit(1);
}

/* The way out of band by which an importer learns what it has to connect to. */
struct out_of_band {
	int ends[2];
};

static inline void tell(struct out_of_band *way, unsigned number)
{
	check(write(way->ends[1], &number, sizeof(number)) == sizeof(number));
}

static inline unsigned hear(struct out_of_band *way)
{
	unsigned number;

	/* The other process may have given up. */
	alarm(600);
	check(read(way->ends[0], &number, sizeof(number)) == sizeof(number));
	alarm(0);
	return number;
}

/* Memory that can be exported: whole pages, readable and writable. */
static inline void *pages(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(memory != MAP_FAILED);
	return memory;
}

static inline rsm_node_id_t local_node(void)
{
	rsm_topology_t *topology;
	rsm_node_id_t node;

	must(rsm_get_interconnect_topology(&topology));
	node = topology->topology_hdr.local_nodeid;
	rsm_free_interconnect_topology(topology);
	return node;
}

static inline rsmapi_controller_handle_t loopback(void)
{
	static char name[] = "loopback";
	rsmapi_controller_handle_t controller;

	must(rsm_get_controller(name, &controller));
	return controller;
}

/* Waits for the other process, which must have been content. */
static inline void wait_for(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
