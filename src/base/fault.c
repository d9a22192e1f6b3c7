/* SPDX-License-Identifier: PostgreSQL */
/* The armed point, what happens there, and the ledger of executions. */
#include "base/fault.h"

#ifdef FAULTS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

struct step {
	const char *name, *moments;
};

static const struct step steps[] = {
#define STEP(name, moments, where, before, after) {name, moments},
#include "base/fault_points.h"
#undef STEP
};

static struct {
	bool is_read;
	char step[64], subject[64], moment[32], effect[32];
	int at; /* the hit that counts */
	int hits;
} armed;

static void die(const char *why, const char *what)
{
	fprintf(stderr, "ATHENA_FAULT: %s: %s\n", why, what);
	_exit(99);
}

static bool has_word(const char *words, const char *word)
{
	size_t length = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += length)
		if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
			return true;
	return false;
}

static bool is_known(const char *step, const char *moment)
{
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
		if (strcmp(steps[i].name, step) == 0)
			return has_word(steps[i].moments, moment);
	return false;
}

/* STEP[(SUBJECT)].MOMENT=EFFECT[@N] */
static void arm(const char *text)
{
	armed.is_read = true;
	armed.at = 1;
	if (!text || strcmp(text, "fence=off") == 0)
		return;
	if (sscanf(text, "%63[a-z_](%63[^)]).%31[a-z]=%31[a-zA-Z0-9:]@%d", armed.step,
		    armed.subject, armed.moment, armed.effect, &armed.at) < 4) {
		armed.subject[0] = '\0';
		if (sscanf(text, "%63[a-z_].%31[a-z]=%31[a-zA-Z0-9:]@%d", armed.step, armed.moment,
			    armed.effect, &armed.at) < 3)
			die("not STEP.MOMENT=EFFECT", text);
	}
	if (!is_known(armed.step, armed.moment))
		die("no such point", text);
}

/* One process among all that are armed with it. */
static bool make_mark(void)
{
	const char *path = getenv("ATHENA_FAULT_MARK");
	int fd CLEANUP(close_fd) = -1;

	if (!path)
		die("no ATHENA_FAULT_MARK", armed.step);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	if (fd < 0 && errno == EEXIST)
		return false;
	if (fd < 0 ||
		dprintf(fd, "%s.%s %s %d\n", armed.step, armed.moment, armed.effect,
			(int)getpid()) < 0)
		die("cannot be marked", path);
	return true;
}

static bool is_hit(const char *step, const char *subject, const char *moment)
{
	if (!armed.is_read)
		arm(getenv("ATHENA_FAULT"));
	if (strcmp(armed.step, step) != 0 || strcmp(armed.moment, moment) != 0)
		return false;
	if (armed.subject[0] && (!subject || strcmp(armed.subject, subject) != 0))
		return false;
	return ++armed.hits == armed.at && make_mark();
}

enum fault_effect fault_at(const char *step, const char *subject, const char *moment)
{
	if (!is_hit(step, subject, moment))
		return FAULT_NONE;
	if (strcmp(armed.effect, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(armed.effect, "stop") == 0)
		raise(SIGSTOP);
	else if (strncmp(armed.effect, "error", 5) == 0)
		return FAULT_ERROR;
	else if (strcmp(armed.effect, "drop") == 0)
		return FAULT_DROP;
	else
		die("no such effect", armed.effect);
	return FAULT_NONE;
}

const char *fault_sqlstate(void)
{
	const char *colon = strchr(armed.effect, ':');

	return colon ? colon + 1 : "53100";
}

bool fault_fails(const char *step, const char *moment, int socket, struct err *e)
{
	enum fault_effect effect = fault_at(step, NULL, moment);

	if (effect == FAULT_NONE)
		return false;
	if (effect == FAULT_DROP && socket >= 0)
		shutdown(socket, SHUT_RDWR);
	err_code(e, ERR_TRANSIENT, "fault_injected", "a fault was injected at %s.%s", step, moment);
	if (effect == FAULT_ERROR)
		snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", fault_sqlstate());
	return true;
}

bool fault_takes_away(const char *what)
{
	const char *text = getenv("ATHENA_FAULT");
	size_t length = strlen(what);

	return text && strncmp(text, what, length) == 0 && strcmp(text + length, "=off") == 0;
}

/* --- The ledger */

/* One write, so that lines of several processes do not mix; durable before the caller goes on. */
static void ledger_write(const char *folder, const char *line)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/ledger", folder);
	int fd CLEANUP(close_fd) = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
	size_t length = strlen(line);

	if (fd < 0 || write(fd, line, length) != (ssize_t)length || fdatasync(fd) != 0)
		die("cannot write the ledger", path);
}

static int ledger_lock = -1; /* of the execution that is under way */

/* Who holds the job's file, from what it wrote into it: "TICKET PID". NULL: we do, from now on. */
static char *lock_job(const char *folder, int64_t job_id)
{
	char *path CLEANUP(free_ptr) = xasprintf("%s/job-%lld", folder, (long long)job_id);
	char holder[64] = "";
	ssize_t length;

	ledger_lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
	if (ledger_lock < 0)
		die("cannot open the file of a job", path);
	if (flock(ledger_lock, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	length = pread(ledger_lock, holder, sizeof(holder) - 1, 0);
	return xstrndup(holder, length > 0 ? strcspn(holder, "\n") : 0);
}

void fault_ledger_begin(int64_t job_id, int64_t ticket, int attempt)
{
	const char *folder = getenv("ATHENA_FAULT_LEDGER");
	char *holder CLEANUP(free_ptr) = NULL;
	char *line CLEANUP(free_ptr) = NULL;

	if (!folder)
		return;
	holder = lock_job(folder, job_id);
	if (!holder &&
		(ftruncate(ledger_lock, 0) != 0 ||
			dprintf(ledger_lock, "%lld %d\n", (long long)ticket, (int)getpid()) < 0))
		die("cannot lock the file of a job", folder);
	line = xasprintf("begin %lld %lld %d %lld %d %s%s\n", (long long)job_id, (long long)ticket,
		attempt, (long long)clock_boot_ns(), (int)getpid(), holder ? "beside " : "",
		holder ? holder : "");
	ledger_write(folder, line);
}

void fault_ledger_end(int64_t job_id, int64_t ticket, bool ok, bool is_parked)
{
	const char *folder = getenv("ATHENA_FAULT_LEDGER");
	const char *how = is_parked ? "parked" : "ok";
	char *line CLEANUP(free_ptr) = NULL;

	if (!folder)
		return;
	line = xasprintf("end %lld %lld %s %lld %d\n", (long long)job_id, (long long)ticket,
		ok ? how : "failed", (long long)clock_boot_ns(), (int)getpid());
	ledger_write(folder, line);
	close(ledger_lock);
	ledger_lock = -1;
}

#endif
