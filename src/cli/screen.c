/* SPDX-License-Identifier: PostgreSQL */
/* Taking a terminal, and giving it back in any case. */
#include "cli/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

/* The other page, no cursor, no wrapping; and back. ESC also ends a sequence cut off half way. */
static const char take[] = "\033[?1049h\033[?25l\033[?7l";
static const char give_back[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

/* Signals that end a process, and those that screen_wait() tells of. */
static const int deadly[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGABRT, SIGSEGV, SIGBUS};
static const int told[] = {SIGWINCH, SIGCONT, SIGTSTP};

static struct termios before;
static bool has_keys; /* standard input is a terminal, and was set */
static volatile sig_atomic_t is_taken, has_changed, is_to_stop;
static sigset_t waiting_mask; /* of signals while we wait: those told of come in */

/* Nothing but what a signal handler may do. */
static void restore(void)
{
	ssize_t ignored;

	if (!is_taken)
		return;
	is_taken = 0;
	ignored = write(STDOUT_FILENO, give_back, sizeof(give_back) - 1);
	(void)ignored;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* The default action is in place again, and comes when this returns. */
static void on_deadly(int number)
{
	restore();
	raise(number);
}

static void on_told(int number)
{
	if (number == SIGTSTP)
		is_to_stop = 1;
	else
		has_changed = 1;
}

static void acquire(void)
{
	struct termios keys = before;

	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	is_taken = 1;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
	fputs(take, stdout);
	fflush(stdout);
}

/* One of these that is ignored stays so, as under nohup. */
static void catch_deadly(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(deadly); i++) {
		struct sigaction action = {.sa_handler = on_deadly, .sa_flags = (int)SA_RESETHAND};
		struct sigaction old;

		if (sigaction(deadly[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(deadly[i], &action, NULL);
	}
}

static void catch_told(void)
{
	sigset_t blocked;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_LENGTH(told); i++) {
		struct sigaction action = {.sa_handler = on_told};

		sigaction(told[i], &action, NULL);
		sigaddset(&blocked, told[i]);
	}
	sigprocmask(SIG_BLOCK, &blocked, &waiting_mask);
}

bool screen_open(struct err *e)
{
	if (!isatty(STDOUT_FILENO))
		return err_set(e, ERR_CONFIG, "standard output is no terminal");
	has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
	catch_deadly();
	catch_told();
	atexit(restore);
	acquire();
	return true;
}

void screen_close(void)
{
	restore();
}

void screen_size(size_t *ret_columns, size_t *ret_lines)
{
	struct winsize size;
	bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

	*ret_columns = is_known && size.ws_col > 0 ? size.ws_col : 80;
	*ret_lines = is_known && size.ws_row > 0 ? size.ws_row : 24;
}

/* One write, so that no half of a frame is ever seen; no newline after the last line, or it
 * scrolls. */
void screen_draw(const char *lines)
{
	struct buf frame CLEANUP(buf_clear) = {0};

	buf_text(&frame, "\033[0m\033[H");
	while (*lines) {
		size_t length = strcspn(lines, "\n");

		buf_text(&frame, "\033[K"); /* not after it: a full line's last column would go */
		buf_add(&frame, lines, length);
		lines += length + (lines[length] == '\n');
		if (*lines)
			buf_text(&frame, "\r\n");
	}
	fwrite(frame.bytes, 1, frame.length, stdout);
	fflush(stdout);
}

/* The shell has the terminal meanwhile; what wakes us is SIGCONT, which is told of. */
static void stop(void)
{
	is_to_stop = 0;
	restore();
	raise(SIGSTOP);
}

/* What was typed and not yet heard. */
static char typed[64];
static size_t typed_length;

static const struct {
	const char *bytes;
	enum screen_key key;
} sequences[] = {
	{"\033[A", SCREEN_UP},
	{"\033OA", SCREEN_UP},
	{"\033[B", SCREEN_DOWN},
	{"\033OB", SCREEN_DOWN},
	{"\033[5~", SCREEN_PAGE_UP},
	{"\033[6~", SCREEN_PAGE_DOWN},
};

/* Of a sequence that we do not know: to its last letter. */
static size_t unknown_length(void)
{
	size_t length = 1;

	if (typed[0] != '\033' || typed_length < 2 || (typed[1] != '[' && typed[1] != 'O'))
		return 1;
	for (length = 2; length < typed_length; length++)
		if (typed[length] >= '@')
			return length + 1;
	return typed_length;
}

static int next_key(void)
{
	size_t length = unknown_length();
	int key = SCREEN_NOTHING;

	for (size_t i = 0; i < ARRAY_LENGTH(sequences); i++)
		if (length == strlen(sequences[i].bytes) &&
			memcmp(typed, sequences[i].bytes, length) == 0)
			key = sequences[i].key;
	if (length == 1 && (typed[0] == '\t' || (typed[0] >= ' ' && typed[0] < 127)))
		key = (unsigned char)typed[0];
	typed_length -= length;
	memmove(typed, typed + length, typed_length);
	return key;
}

/* A sequence's bytes come together. */
static int read_key(void)
{
	ssize_t length = read(STDIN_FILENO, typed, sizeof(typed));

	if (length < 0 && (errno == EINTR || errno == EAGAIN))
		return SCREEN_NOTHING;
	if (length <= 0)
		return SCREEN_GONE;
	typed_length = (size_t)length;
	return next_key();
}

int screen_wait(int64_t wait_ms)
{
	struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
	struct timespec wait = {wait_ms / 1000, wait_ms % 1000 * 1000000};
	int count;

	if (typed_length > 0)
		return next_key();
	count = ppoll(&keys, 1, &wait, &waiting_mask);
	if (ferror(stdout))
		return SCREEN_GONE;
	if (is_to_stop)
		stop();
	if (has_changed) {
		has_changed = 0;
		if (!is_taken)
			acquire();
		return SCREEN_CHANGED;
	}
	return count > 0 ? read_key() : SCREEN_NOTHING;
}
