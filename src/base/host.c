/* SPDX-License-Identifier: PostgreSQL */
/* Identity and life of processes on this machine. */
#include "base/host.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static bool read_line(const char *path, char *line, int size)
{
	FILE *file CLEANUP(close_file) = fopen(path, "re");

	if (!file || !fgets(line, size, file))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses. */
static bool read_started(int pid, int64_t *ret_started)
{
	char path[64], line[1024];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_line(path, line, sizeof(line)))
		return false;
	at = strrchr(line, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, "%" SCNd64, ret_started) == 1;
}

void host_self(struct host_process *ret_process)
{
	struct host_process self = {.pid = getpid()};
	char boot[64] = "";
	struct stat namespace = {0};

	if (gethostname(self.host, sizeof(self.host) - 1) != 0)
		snprintf(self.host, sizeof(self.host), "unknown");
	if (read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) &&
		stat("/proc/self/ns/pid", &namespace) == 0)
		snprintf(self.boot_id, sizeof(self.boot_id), "%.40s/%" PRIu64, boot,
			(uint64_t) namespace.st_ino);
	if (!read_started(self.pid, &self.pid_started))
		self.pid_started = 0;
	*ret_process = self;
}

bool host_is_dead(
	const struct host_process *self, const char *boot_id, int pid, int64_t pid_started)
{
	int64_t started;

	if (!self->boot_id[0] || strcmp(self->boot_id, boot_id) != 0 || pid <= 0 ||
		pid_started == 0)
		return false;
	if (kill(pid, 0) != 0 && errno == ESRCH)
		return true;
	return read_started(pid, &started) && started != pid_started;
}
