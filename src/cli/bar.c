/* SPDX-License-Identifier: PostgreSQL */
/* Progress on one line. */
#include "cli/bar.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/when.h"

static const int64_t quiet_ms = 5000; /* without a terminal: a line at least this often */
static const int64_t sample_every_ms = 300;

static void add_bytes(struct buf *out, int64_t bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB"};
	double amount = (double)bytes / 1000;
	size_t unit = 0;

	if (bytes < 1000) {
		buf_printf(out, "%" PRId64 " bytes", bytes);
		return;
	}
	for (; amount >= 999.95 && unit < ARRAY_LENGTH(units) - 1; unit++)
		amount /= 1000;
	buf_printf(out, "%.*f %s", amount < 99.95 ? 1 : 0, amount, units[unit]);
}

void bar_number(struct buf *out, int64_t number)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRId64, number);

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
			buf_char(out, ',');
		buf_char(out, digits[i]);
	}
}

void bar_amount(struct buf *out, int64_t amount, const char *unit)
{
	if (strcmp(unit, "bytes") == 0) {
		add_bytes(out, amount);
		return;
	}
	bar_number(out, amount);
	buf_printf(out, " %s", unit);
}

static void forget_samples(struct bar *bar, const char *label)
{
	snprintf(bar->label, sizeof(bar->label), "%s", label);
	bar->samples = 0;
	bar->printed_percent = -1;
	bar->printed_ms = 0;
}

static void sample(struct bar *bar, int64_t done)
{
	int64_t now_ms = clock_boot_ms();
	unsigned last = (bar->samples + BAR_SAMPLES - 1) % BAR_SAMPLES;

	if (bar->samples > 0 && now_ms - bar->sample_ms[last] < sample_every_ms)
		return;
	bar->sample_ms[bar->samples % BAR_SAMPLES] = now_ms;
	bar->sample_done[bar->samples % BAR_SAMPLES] = done;
	bar->samples++;
}

/* Per second, over the samples there are; 0 while there are too few. */
static double speed(const struct bar *bar)
{
	unsigned oldest = bar->samples > BAR_SAMPLES ? bar->samples % BAR_SAMPLES : 0;
	unsigned newest = (bar->samples + BAR_SAMPLES - 1) % BAR_SAMPLES;
	int64_t ms = bar->samples > 1 ? bar->sample_ms[newest] - bar->sample_ms[oldest] : 0;

	if (ms < sample_every_ms)
		return 0;
	return (double)(bar->sample_done[newest] - bar->sample_done[oldest]) * 1000 / (double)ms;
}

static void add_figures(struct buf *out, const struct bar *bar, const struct bar_figures *figures)
{
	double per_second = speed(bar);
	char left[WHEN_TEXT];

	bar_amount(out, figures->done, figures->unit);
	if (figures->total >= 0) {
		buf_text(out, " of ");
		bar_amount(out, figures->total, figures->unit);
	}
	if (per_second >= 1) {
		buf_text(out, ", ");
		bar_amount(out, (int64_t)per_second, figures->unit);
		buf_text(out, "/s");
	}
	if (per_second >= 1 && figures->total > figures->done)
		buf_printf(out, ", %s left",
			when_length((int64_t)((double)(figures->total - figures->done) /
					    per_second * 1e6),
				left));
}

static int percent(const struct bar_figures *figures)
{
	if (!figures->unit || figures->total <= 0)
		return -1;
	if (figures->done >= figures->total)
		return 100;
	return (int)((double)figures->done * 100 / (double)figures->total);
}

int bar_cells(struct buf *out, bool has_unicode, double part, int columns)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	int filled = (int)((part > 1 ? 1 : part) * columns * 8);
	int column = 0;

	for (; column < filled / 8; column++)
		buf_text(out, has_unicode ? "█" : "#");
	if (has_unicode && filled % 8) {
		buf_text(out, eighths[filled % 8]);
		column++;
	}
	return column;
}

void bar_history(struct buf *out, bool has_unicode, const double *values, int count)
{
	static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char plain_levels[] = "_.:-=+*#";
	double most = 0;

	for (int i = 0; i < count; i++)
		if (values[i] > most)
			most = values[i];
	for (int i = 0; i < count; i++) {
		int level = most > 0 && values[i] > 0 ? (int)(values[i] / most * 7 + 0.5) : 0;

		if (isnan(values[i]))
			buf_char(out, ' ');
		else if (has_unicode)
			buf_text(out, levels[level]);
		else
			buf_char(out, plain_levels[level]);
	}
}

/* `columns` cells of which done/total is filled. */
static void add_cells(struct buf *out, const struct terminal *terminal,
	const struct bar_figures *figures, int columns)
{
	double part = figures->total > 0 ? (double)figures->done / (double)figures->total : 0;
	int column;

	buf_text(out, terminal_begin(terminal, STYLE_CYAN));
	column = bar_cells(out, terminal->has_unicode, part, columns);
	buf_text(out, terminal_end(terminal, STYLE_CYAN));
	buf_text(out, terminal_begin(terminal, STYLE_DIM));
	for (; column < columns; column++)
		buf_text(out, terminal->has_unicode ? "░" : "-");
	buf_text(out, terminal_end(terminal, STYLE_DIM));
}

enum { LABEL_COLUMNS = 16, CELL_COLUMNS = 24 };

static void draw_line(struct bar *bar, const struct bar_figures *figures)
{
	const struct terminal *terminal = bar->terminal;
	struct buf line CLEANUP(buf_clear) = {0};
	struct buf text CLEANUP(buf_clear) = {0};
	char elapsed[WHEN_TEXT];
	int done = percent(figures);
	size_t used = LABEL_COLUMNS + 4;

	buf_printf(&line, "  %-*s ", LABEL_COLUMNS, figures->label);
	if (done >= 0 && terminal->columns >= 72) {
		add_cells(&line, terminal, figures, CELL_COLUMNS);
		used += CELL_COLUMNS;
	}
	if (done >= 0) {
		buf_printf(&line, " %3d %%  ", done);
		used += 8;
	}
	if (figures->unit)
		add_figures(&text, bar, figures);
	else
		buf_text(&text, when_length(figures->elapsed_us, elapsed));
	text_cut(&text, terminal->columns > used ? terminal->columns - used : 1,
		terminal->has_unicode);
	fprintf(terminal->file, "\r\033[K%s%s", line.bytes, text.bytes ? text.bytes : "");
	fflush(terminal->file);
	bar->is_drawn = true;
}

static void print_line(struct bar *bar, const struct bar_figures *figures)
{
	struct buf text CLEANUP(buf_clear) = {0};
	int64_t now_ms = clock_boot_ms();
	int done = percent(figures);

	if (!figures->unit ||
		(done >= 0 && done < bar->printed_percent + 10 &&
			now_ms - bar->printed_ms < quiet_ms))
		return;
	if (done < 0 && now_ms - bar->printed_ms < quiet_ms)
		return;
	add_figures(&text, bar, figures);
	fprintf(bar->terminal->file, "  %-*s ", LABEL_COLUMNS, figures->label);
	if (done >= 0)
		fprintf(bar->terminal->file, "%3d %%  ", done);
	fprintf(bar->terminal->file, "%s\n", text.bytes);
	bar->printed_ms = now_ms;
	bar->printed_percent = done;
}

void bar_draw(struct bar *bar, const struct bar_figures *figures)
{
	if (strncmp(bar->label, figures->label, sizeof(bar->label) - 1) != 0)
		forget_samples(bar, figures->label);
	if (figures->unit)
		sample(bar, figures->done);
	if (bar->terminal->is_tty)
		draw_line(bar, figures);
	else
		print_line(bar, figures);
}

void bar_erase(struct bar *bar)
{
	if (bar->is_drawn) {
		fputs("\r\033[K", bar->terminal->file);
		fflush(bar->terminal->file);
	}
	bar->is_drawn = false;
}
