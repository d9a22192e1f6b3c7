/* SPDX-License-Identifier: PostgreSQL */
/*
 * All transfers of a client at once: libcurl's sockets, waited for in the client's own waiter.
 *
 * Nothing moves but in loop_round(), which waits once and then lets libcurl do what it can. Whoever
 * has a transfer runs rounds until his callback has told him of its end.
 */
#ifndef ATHENA_S3_LOOP_H
#define ATHENA_S3_LOOP_H

#include <curl/curl.h>

#include "s3/s3.h"

struct loop {
	CURLM *multi;
	struct s3_waiter waiter;
	struct pollfd *fds; /* libcurl's sockets, with room for others in front */
	size_t count, room;
};

/* The callback for a transfer that has ended; CURLOPT_PRIVATE of its handle points to this. */
struct loop_end {
	void (*ended)(void *context, CURLcode code);
	void *context;
};

void loop_init(struct loop *loop, const struct s3_waiter *waiter);
void loop_clear(struct loop *loop);

void loop_add(struct loop *loop, CURL *easy);
void loop_remove(struct loop *loop, CURL *easy);

/*
 * Waits once: for `fds`, for sockets of transfers, for timeout_ms (< 0: no limit), or for a timer
 * of libcurl's. *ret_ready: how many of `fds` are ready. May call `ended` of any transfer, and its
 * callbacks. False when the waiter says so.
 */
MUSTCHECK bool loop_round(struct loop *loop, struct pollfd *fds, int count, int timeout_ms,
	int *ret_ready, struct err *e);

#endif
