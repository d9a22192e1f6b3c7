/* SPDX-License-Identifier: PostgreSQL */
/* libcurl's multi interface around poll(2), or what takes its place. */
#include "s3/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool wait_in_poll(
	void *context, struct pollfd *fds, int count, int timeout_ms, int *ret_ready, struct err *e)
{
	int ready = poll(fds, (nfds_t)count, timeout_ms);

	(void)context;
	if (ready < 0 && errno != EINTR)
		return err_errno(e, ERR_TRANSIENT, "poll");
	*ret_ready = ready < 0 ? 0 : ready;
	return true;
}

static size_t find_socket(const struct loop *loop, curl_socket_t socket)
{
	size_t i = 0;

	while (i < loop->count && loop->fds[i].fd != socket)
		i++;
	return i;
}

static void make_room(struct loop *loop, size_t count)
{
	if (count <= loop->room)
		return;
	loop->room = count + 8;
	loop->fds = xreallocarray(loop->fds, loop->room, sizeof(*loop->fds));
}

static short events_of(int what)
{
	return (short)((what & CURL_POLL_IN ? POLLIN : 0) | (what & CURL_POLL_OUT ? POLLOUT : 0));
}

/* libcurl wants to hear of a socket, or no longer. */
static int on_socket(CURL *easy, curl_socket_t socket, int what, void *context, void *own)
{
	struct loop *loop = context;
	size_t i = find_socket(loop, socket);

	(void)easy, (void)own;
	if (what == CURL_POLL_REMOVE) {
		if (i < loop->count)
			loop->fds[i] = loop->fds[--loop->count];
		return 0;
	}
	make_room(loop, i + 1);
	loop->fds[i] = (struct pollfd){.fd = socket, .events = events_of(what)};
	if (i == loop->count)
		loop->count++;
	return 0;
}

void loop_init(struct loop *loop, const struct s3_waiter *waiter)
{
	*loop = (struct loop){.multi = curl_multi_init()};
	if (!loop->multi)
		abort();
	if (waiter)
		loop->waiter = *waiter;
	if (!loop->waiter.wait)
		loop->waiter.wait = wait_in_poll;
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(loop->multi, CURLMOPT_SOCKETDATA, loop);
	curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, 4L);
}

void loop_clear(struct loop *loop)
{
	if (loop->multi)
		curl_multi_cleanup(loop->multi);
	free(loop->fds);
	*loop = (struct loop){0};
}

void loop_add(struct loop *loop, CURL *easy)
{
	curl_multi_add_handle(loop->multi, easy);
}

void loop_remove(struct loop *loop, CURL *easy)
{
	curl_multi_remove_handle(loop->multi, easy);
}

static void tell_ends(struct loop *loop)
{
	struct CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(loop->multi, &left))) {
		const struct loop_end *end = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &end);
		end->ended(end->context, code);
	}
}

static int shorter(int a, long b)
{
	if (b < 0)
		return a;
	if (b > 60000)
		b = 60000;
	return a < 0 || b < a ? (int)b : a;
}

static void act_on(struct loop *loop, const struct pollfd *ready, size_t count)
{
	int running;

	for (size_t i = 0; i < count; i++) {
		int what = (ready[i].revents & (POLLIN | POLLHUP) ? CURL_CSELECT_IN : 0) |
			(ready[i].revents & POLLOUT ? CURL_CSELECT_OUT : 0) |
			(ready[i].revents & (POLLERR | POLLNVAL) ? CURL_CSELECT_ERR : 0);

		/* An earlier one may have closed it. */
		if (what && find_socket(loop, ready[i].fd) < loop->count)
			curl_multi_socket_action(loop->multi, ready[i].fd, what, &running);
	}
	curl_multi_socket_action(loop->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

/* All that is waited for: the caller's own first, then a copy of libcurl's. */
static struct pollfd *join(const struct loop *loop, const struct pollfd *fds, int count)
{
	struct pollfd *all = xreallocarray(NULL, (size_t)count + loop->count, sizeof(*all));

	if (count > 0)
		memcpy(all, fds, (size_t)count * sizeof(*all));
	if (loop->count > 0)
		memcpy(all + count, loop->fds, loop->count * sizeof(*all));
	for (size_t i = 0; i < (size_t)count + loop->count; i++)
		all[i].revents = 0;
	return all;
}

bool loop_round(struct loop *loop, struct pollfd *fds, int count, int timeout_ms, int *ret_ready,
	struct err *e)
{
	struct pollfd *all CLEANUP(free_ptr) = NULL;
	size_t sockets;
	long timer_ms;
	int ready = 0;

	curl_multi_timeout(loop->multi, &timer_ms);
	all = join(loop, fds, count);
	sockets = loop->count;
	if (!loop->waiter.wait(loop->waiter.context, all, count + (int)sockets,
		    shorter(timeout_ms, timer_ms), &ready, e))
		return false;
	*ret_ready = 0;
	for (int i = 0; i < count; i++) {
		fds[i].revents = ready > 0 ? all[i].revents : 0;
		*ret_ready += fds[i].revents != 0;
	}
	act_on(loop, all + count, ready > 0 ? sockets : 0);
	tell_ends(loop);
	return true;
}
