/* SPDX-License-Identifier: PostgreSQL */
/* Markdown out of option tables. */
#include "config/document.h"

#include <ctype.h>

#include "config/settings.h"

static void add_row(struct buf *out, const struct option_row *row)
{
	buf_printf(out, "| `%s` | ", row->name);
	option_expected(row, out);
	buf_text(out, " | ");
	if (row->fallback)
		buf_printf(out, "`%s`%s%s", row->fallback, row->unit ? " " : "",
			row->unit ? row->unit : "");
	buf_printf(out, " | %s%s |\n", row->help,
		row->flags & OPTION_RELOADABLE ? "; SIGHUP reloads it" : "");
}

static void add_rows(struct buf *out, const struct option_row *rows)
{
	buf_text(out, "\n| key | value | default | meaning |\n|---|---|---|---|\n");
	for (const struct option_row *row = rows; row->name; row++)
		add_row(out, row);
}

static void add_section(struct buf *out, const struct settings_section *section)
{
	buf_printf(out, "\n### `%s`: %s\n\nVariables: `ATHENA_", section->name, section->help);
	for (const char *at = section->name; *at; at++)
		buf_char(out, *at == '.' ? '_' : (char)toupper((unsigned char)*at));
	buf_text(out, "_<KEY>`.\n");
	add_rows(out, section->rows);
}

void document_markdown(struct buf *out)
{
	buf_text(out, "## Settings\n");
	for (const struct settings_section *section = settings_sections; section->name; section++)
		add_section(out, section);
	buf_text(out, "\n### `families`: one mapping per family, under its name\n");
	add_rows(out, settings_family);
	buf_text(out, "\n## Numbers that no setting changes\n");
	add_rows(out, settings_limits);
}
