/* SPDX-License-Identifier: PostgreSQL */
/* The archive's table of contents, sorted into turns. */
#include "families/clone/restore.h"

#include <stdio.h>
#include <sys/mman.h>

#include "families/clone/tool.h"

enum turn { TURN_INDEXES, TURN_KEYS, TURN_REST, TURNS };

/* What pg_restore is to make in a turn, as lines for --use-list. */
struct list {
	int fd; /* memfd */
	char path[32];
	int count;
};

struct turns {
	struct list lists[TURNS];
	bool is_attached; /* there are indexes to attach */
};

static const struct {
	const char *word; /* of the archive */
	enum turn turn;
} kinds[] = {
	{"INDEX ATTACH ", TURN_KEYS},
	{"INDEX ", TURN_INDEXES},
	{"CONSTRAINT ", TURN_INDEXES},
	{"FK CONSTRAINT ", TURN_KEYS},
};

static void close_turns(struct turns *turns)
{
	for (int i = 0; i < TURNS; i++)
		close_fd(&turns->lists[i].fd);
}

/* Tools may open what this process has open, as long as it lives. */
static bool list_open(struct list *list, struct err *e)
{
	list->fd = memfd_create("list", MFD_CLOEXEC);
	if (list->fd < 0)
		return err_errno(e, ERR_TRANSIENT, "making a list for pg_restore");
	snprintf(list->path, sizeof(list->path), "/proc/%d/fd/%d", getpid(), list->fd);
	return true;
}

/* "4210; 2606 17432 FK CONSTRAINT public orders orders_customer_fkey shop" */
static enum turn turn_of(const char *line)
{
	int at = 0;

	if (sscanf(line, "%*d; %*u %*u %n", &at) < 0 || at == 0)
		return TURN_REST;
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (strncmp(line + at, kinds[i].word, strlen(kinds[i].word)) == 0)
			return kinds[i].turn;
	return TURN_REST;
}

static bool sort_line(struct turns *turns, const char *line, struct err *e)
{
	struct list *list = &turns->lists[turn_of(line)];

	if (line[0] == ';')
		return true;
	list->count++;
	turns->is_attached = turns->is_attached || strstr(line, " INDEX ATTACH ");
	return dprintf(list->fd, "%s", line) >= 0 ||
		err_errno(e, ERR_TRANSIENT, "writing a list for pg_restore");
}

static bool sort_lines(struct turns *turns, int contents, struct err *e)
{
	FILE *file CLEANUP(close_file) = fdopen(dup(contents), "r");
	char *line CLEANUP(free_ptr) = NULL;
	size_t size = 0;

	if (!file)
		return err_errno(e, ERR_TRANSIENT, "reading the archive's contents");
	rewind(file);
	while (getline(&line, &size, file) > 0)
		if (!sort_line(turns, line, e))
			return false;
	return true;
}

static bool make_turns(struct turns *turns, struct clone *clone, const char *path, struct err *e)
{
	int contents CLEANUP(close_fd) = memfd_create("contents", MFD_CLOEXEC);
	const char *const argv[] = {clone->pg_restore, "--list", "--section=post-data", path, NULL};

	if (contents < 0)
		return err_errno(e, ERR_TRANSIENT, "making a file for the archive's contents");
	for (int i = 0; i < TURNS; i++)
		if (!list_open(&turns->lists[i], e))
			return false;
	return tool_run(clone, argv, NULL, contents, e) && sort_lines(turns, contents, e);
}

bool restore_section(struct clone *clone, const char *path, const char *section, const char *list,
	int jobs, struct err *e)
{
	char *part CLEANUP(free_ptr) = xasprintf("--section=%s", section);
	char *at_once CLEANUP(free_ptr) = xasprintf("--jobs=%d", jobs);
	char *only CLEANUP(free_ptr) = xasprintf("--use-list=%s", list ? list : "");
	const char *argv[10] = {
		clone->pg_restore, "--exit-on-error", "--no-password", part, at_once};
	size_t count = 5;

	if (list)
		argv[count++] = only;
	if (clone->skips_owners)
		argv[count++] = "--no-owner";
	if (clone->skips_owners)
		argv[count++] = "--no-privileges";
	argv[count] = path;
	return tool_run(clone, argv,
		&(struct tool_target){&clone->target.conn, clone->staging, clone->application},
		PROC_NULL, e);
}

bool restore_after_rows(struct clone *clone, const char *path, struct err *e)
{
	struct turns turns CLEANUP(close_turns) = {.lists = {{.fd = -1}, {.fd = -1}, {.fd = -1}}};

	if (!make_turns(&turns, clone, path, e))
		return false;
	for (int turn = 0; turn < TURNS; turn++) {
		bool is_serial = turn == TURN_REST || (turn == TURN_KEYS && turns.is_attached);
		const struct list *list = &turns.lists[turn];

		if (list->count > 0 &&
			!restore_section(clone, path, "post-data", list->path,
				is_serial ? 1 : clone->jobs, e))
			return false;
	}
	return true;
}
