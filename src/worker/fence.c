/* SPDX-License-Identifier: PostgreSQL */
/* The shared page of heartbeats, and the timer that goes by it. */
#include "worker/fence.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

struct fence_page {
	_Atomic int64_t last_beat_ns;
};

/* What the signal handler of an executor needs; it can be reached in no other way. */
static struct {
	const struct fence_page *page;
	_Atomic int64_t *fenced_after_ns;
	timer_t timer;
	_Atomic int64_t limit_ns; /* 0: no attempt runs */
	_Atomic int64_t armed_ns; /* the limit that the timer was set for; 0: it is not set */
} guard;

static bool map_page(int fd, int protection, struct fence_page **ret_page, struct err *e)
{
	void *page = mmap(NULL, sizeof(struct fence_page), protection, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return err_errno(e, ERR_TRANSIENT, "mapping the fence page");
	*ret_page = page;
	return true;
}

bool fence_new(struct fence_page **ret_page, int *ret_fd, struct err *e)
{
	int fd CLEANUP(close_fd) = memfd_create("athena-fence", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct fence_page)) != 0)
		return err_errno(e, ERR_TRANSIENT, "making the fence page");
	if (!map_page(fd, PROT_READ | PROT_WRITE, ret_page, e))
		return false;
	*ret_fd = fd;
	fd = -1;
	return true;
}

void fence_free(struct fence_page *page, int fd)
{
	if (!page)
		return;
	munmap(page, sizeof(*page));
	close(fd);
}

void fence_beat(struct fence_page *page, int64_t sent_boot_ns)
{
	atomic_store(&page->last_beat_ns, sent_boot_ns);
}

int64_t fence_last_beat_ns(const struct fence_page *page)
{
	return atomic_load(&page->last_beat_ns);
}

static void kill_group(int number)
{
	(void)number;
	kill(0, SIGKILL);
}

static void arm(int64_t at_boot_ns)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = at_boot_ns / 1000000000, .tv_nsec = at_boot_ns % 1000000000},
	};

	timer_settime(guard.timer, TIMER_ABSTIME, &when, NULL);
}

/* Async-signal-safe: atomics, clock_gettime, timer_settime, kill. */
static void on_fence_timer(int number)
{
	int64_t limit_ns = FAULT_TAKES_AWAY("fence") ? 0 : atomic_load(&guard.limit_ns);
	int64_t last_ns = fence_last_beat_ns(guard.page);
	int64_t silent_ns = clock_boot_ns() - last_ns;

	if (limit_ns == 0) {
		atomic_store(&guard.armed_ns, 0);
		return;
	}
	if (silent_ns >= limit_ns) {
		atomic_store(guard.fenced_after_ns, silent_ns);
		kill_group(number);
	}
	arm(last_ns + limit_ns);
}

static void handle(int number, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

bool fence_join(int fd, int parent_pid, _Atomic int64_t *fenced_after_ns, struct err *e)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	struct fence_page *page = NULL;

	handle(SIGUSR1, kill_group);
	handle(SIGALRM, on_fence_timer);
	/* A group of its own, so that killing it takes the tools along and nobody else. */
	if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1) != 0)
		return err_errno(e, ERR_TRANSIENT, "tying an executor to its worker");
	if (getppid() != parent_pid)
		return err_set(e, ERR_TRANSIENT, "the worker is gone");
	if (!map_page(fd, PROT_READ, &page, e))
		return false;
	guard.page = page;
	guard.fenced_after_ns = fenced_after_ns;
	if (timer_create(CLOCK_BOOTTIME, &event, &guard.timer) != 0)
		return err_errno(e, ERR_TRANSIENT, "making the fence timer");
	return true;
}

/*
 * The timer is set anew only when the limit changes or it ran out while nothing ran; it finds out
 * about heartbeats by itself. Its handler may come in anywhere here: before the first store it says
 * that the timer is not set, after it it sets the timer again.
 */
void fence_guard(int64_t limit_ns)
{
	atomic_store(&guard.limit_ns, limit_ns);
	if (limit_ns != atomic_load(&guard.armed_ns)) {
		atomic_store(&guard.armed_ns, limit_ns);
		arm(fence_last_beat_ns(guard.page) + limit_ns);
	}
}

void fence_release(void)
{
	atomic_store(&guard.limit_ns, 0); /* the timer stays: most often the next attempt is near */
}
