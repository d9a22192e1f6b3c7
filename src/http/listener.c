/* SPDX-License-Identifier: PostgreSQL */
/* Addresses turned into listening sockets. */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

enum { BACKLOG = 64, PORT_MAX = 65535 };

static int socket_new(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* --- Unix sockets */

/* The file of a socket stays when its process is killed; then nobody answers there. */
static bool is_abandoned(const struct sockaddr_un *address)
{
	int fd CLEANUP(close_fd) = socket_new(AF_UNIX);
	struct stat status;

	return fd >= 0 && lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
		connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED;
}

static bool bind_unix(int fd, const struct sockaddr_un *address)
{
	const struct sockaddr *generic = (const struct sockaddr *)address;

	if (bind(fd, generic, sizeof(*address)) == 0)
		return true;
	if (errno != EADDRINUSE)
		return false;
	if (is_abandoned(address) && unlink(address->sun_path) == 0)
		return bind(fd, generic, sizeof(*address)) == 0;
	errno = EADDRINUSE;
	return false;
}

static bool open_unix(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd CLEANUP(close_fd) = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, ERR_CONFIG, "the path of a Unix socket has at most %zu bytes: %s",
			sizeof(address.sun_path) - 1, path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket_new(AF_UNIX);
	if (fd < 0 || !bind_unix(fd, &address) || listen(fd, BACKLOG) != 0)
		return err_errno(e, ERR_TRANSIENT, "cannot listen on %s", path);
	*ret_fd = fd;
	fd = -1;
	return true;
}

/* --- Host and port */

static bool is_port(const char *text)
{
	return text[0] && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text) &&
		strtol(text, NULL, 10) <= PORT_MAX;
}

/* Splits in place. False for what has no port, or more colons than sense. */
static bool split(char *address, const char **ret_host, const char **ret_port)
{
	char *colon = strrchr(address, ':');

	*ret_port = colon ? colon + 1 : address;
	*ret_host = colon ? address : "";
	if (colon)
		*colon = '\0';
	if (address[0] == '[' && colon && colon[-1] == ']') {
		colon[-1] = '\0';
		*ret_host = address + 1;
	} else if (strpbrk(*ret_host, ":[]")) {
		return false;
	}
	if (!(*ret_host)[0])
		*ret_host = "127.0.0.1";
	return is_port(*ret_port);
}

static void free_addresses(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

/* The port of a process that has just ended may be had again at once. */
static int listen_at(const struct addrinfo *address)
{
	int fd = socket_new(address->ai_family);
	int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close_fd(&fd);
	return -1;
}

static bool open_host(const char *address, int *ret_fd, struct err *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	struct addrinfo *found CLEANUP(free_addresses) = NULL;
	char *text CLEANUP(free_ptr) = xstrdup(address);
	const char *host, *port;
	int error;

	if (!split(text, &host, &port))
		return err_set(e, ERR_CONFIG,
			"not an address to listen on: \"%s\"; write HOST:PORT, [IPV6]:PORT, :PORT "
			"or the path of a Unix socket",
			address);
	error = getaddrinfo(host, port, &hints, &found);
	if (error != 0)
		return err_set(e, error == EAI_AGAIN ? ERR_TRANSIENT : ERR_CONFIG,
			"cannot listen on %s: %s", address, gai_strerror(error));
	errno = 0;
	for (const struct addrinfo *at = found; at; at = at->ai_next) {
		*ret_fd = listen_at(at);
		if (*ret_fd >= 0)
			return true;
	}
	return err_errno(e, ERR_TRANSIENT, "cannot listen on %s", address);
}

static void name_host(int fd, char *name, size_t size)
{
	struct sockaddr_storage address = {0};
	socklen_t length = sizeof(address);
	char host[64] = "?", port[8] = "?";

	getsockname(fd, (struct sockaddr *)&address, &length);
	getnameinfo((const struct sockaddr *)&address, length, host, sizeof(host), port,
		sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(name, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

/* --- Both */

bool listener_open(struct listener *ret_listener, const char *address, struct err *e)
{
	struct listener listener = {.fd = -1};

	if (address[0] == '/') {
		if (!open_unix(address, &listener.fd, e))
			return false;
		listener.path = address;
		snprintf(listener.name, sizeof(listener.name), "%s", address);
	} else {
		if (!open_host(address, &listener.fd, e))
			return false;
		name_host(listener.fd, listener.name, sizeof(listener.name));
	}
	*ret_listener = listener;
	return true;
}

void listener_close(struct listener *listener)
{
	close_fd(&listener->fd);
	if (listener->path)
		unlink(listener->path);
	*listener = (struct listener){.fd = -1};
}
