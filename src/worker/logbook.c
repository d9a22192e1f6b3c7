/* SPDX-License-Identifier: PostgreSQL */
/* A page shared by an executor and its worker. */
#include "worker/logbook.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

bool logbook_join(int fd, struct logbook **ret_logbook, struct err *e)
{
	void *page = mmap(NULL, sizeof(struct logbook), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return err_errno(e, ERR_TRANSIENT, "mapping the logbook");
	*ret_logbook = page;
	return true;
}

bool logbook_new(struct logbook **ret_logbook, int *ret_fd, struct err *e)
{
	int fd CLEANUP(close_fd) = memfd_create("athena-logbook", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct logbook)) != 0)
		return err_errno(e, ERR_TRANSIENT, "making a logbook");
	if (!logbook_join(fd, ret_logbook, e))
		return false;
	*ret_fd = fd;
	fd = -1;
	return true;
}

void logbook_free(struct logbook *logbook)
{
	if (logbook)
		munmap(logbook, sizeof(*logbook));
}
