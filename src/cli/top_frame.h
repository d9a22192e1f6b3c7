/* SPDX-License-Identifier: PostgreSQL */
/*
 * The picture that `athena top` draws: a head with sums, and a pane each for families, workers and
 * lanes. Where lines are few, the chosen pane gets what the others can spare.
 */
#ifndef ATHENA_CLI_TOP_FRAME_H
#define ATHENA_CLI_TOP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/figures.h"
#include "cli/terminal.h"

enum top_pane { TOP_FAMILIES, TOP_WORKERS, TOP_LANES, TOP_PANES };

/* What the reader has chosen. */
struct top_view {
	enum top_pane pane;	/* that keys are about */
	size_t sort[TOP_PANES]; /* 0: as they came */
	bool is_reversed[TOP_PANES];
	size_t first[TOP_PANES]; /* the row at the top of the pane; the frame keeps it in bounds */
	bool is_held;		 /* no more looks */
	const char *database;	 /* for the head */
	const char *trouble;	 /* why there was no look lately, or NULL */
};

/* The next way to sort the chosen pane. */
void top_view_sort(struct top_view *view);

/*
 * Adds a frame of that many lines for a terminal like this one; 0 lines: as many as there are, and
 * no line about keys.
 */
void top_frame(struct buf *out, const struct figures *figures, struct top_view *view,
	const struct terminal *terminal, size_t lines);

#endif
