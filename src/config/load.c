/* SPDX-License-Identifier: PostgreSQL */
/* Typed values out of the tree of a file and out of variables. */
#include "config/load.h"

#include <libpq-fe.h>
#include <string.h>

#include "base/nearest.h"
#include "base/redact.h"
#include "base/utf8.h"
#include "config/settings.h"

const char *load_where(const struct load *load, const struct tree *tree)
{
	return arena_printf(load->arena, "%s:%d", load->file, tree->line);
}

static json_t *section_of(json_t *sections, const char *name)
{
	json_t *section = json_object_get(sections, name);

	if (!section) {
		section = json_object();
		json_object_set_new(sections, name, section);
	}
	return section;
}

void load_set(const struct load *load, const char *section, const char *name, json_t *value,
	const char *origin)
{
	json_object_set_new(section_of(load->values, section), name, value);
	json_object_set_new(section_of(load->origins, section), name, json_string(origin));
}

/* Errors of option_check() say "permanent", as a payload's should; ours are about configuration. */
static bool check(
	const struct option_row *row, const json_t *value, const char *where, struct err *e)
{
	if (option_check(row, value, where, e))
		return true;
	e->kind = ERR_CONFIG;
	return false;
}

/* libpq ends the password of a URI at the first '@': the rest of p@ss lands in the host. */
static bool is_broken_host(const PQconninfoOption *option)
{
	return strcmp(option->keyword, "host") == 0 && *option->val != '/' &&
		strpbrk(option->val, "@ \t\r\n");
}

bool load_check_uri(const char *uri, const char *where, const char *name, struct err *e)
{
	PQconninfoOption *options = PQconninfoParse(uri, NULL);
	bool is_broken = false;

	/* libpq's own message may quote a password. */
	if (!options)
		return err_set(e, ERR_CONFIG,
			"%s: \"%s\" must be a connection URI or key=value string", where, name);
	for (PQconninfoOption *option = options; option->keyword; option++) {
		if (option->val && strchr(option->dispchar, '*'))
			redact_learn(option->val);
		if (option->val && is_broken_host(option))
			is_broken = true;
	}
	PQconninfoFree(options);
	if (is_broken)
		return err_set(e, ERR_CONFIG,
			"%s: \"%s\" has \"@\" or a blank in its host: in a URI, write such "
			"characters of a password as %%40, %%20",
			where, name);
	return true;
}

/*
 * The tree's side.
 */

static bool expand(
	const struct load *load, const struct tree *tree, const char **ret_text, struct err *e)
{
	if (!vars_expand(&load->vars, load->arena, tree->text, ret_text, e))
		return err_in(e, "%s:%d", load->file, tree->line);
	if (!utf8_is_text(*ret_text))
		return err_set(e, ERR_CONFIG, "%s:%d: a variable in this value is not UTF-8",
			load->file, tree->line);
	return true;
}

bool load_text(const struct load *load, const struct tree *tree, const char *what,
	const char **ret_text, struct err *e)
{
	if (tree->kind != TREE_TEXT)
		return err_set(e, ERR_CONFIG, "%s:%d: \"%s\" must be a string, not %s", load->file,
			tree->line, what, tree_kind_name(tree));
	return expand(load, tree, ret_text, e);
}

/* The row of one scalar in a list. */
static struct option_row item_row(const struct option_row *row)
{
	struct option_row item = *row;

	item.type = row->type == OPTION_INTS ? OPTION_INT : OPTION_TEXT;
	return item;
}

static bool value_of(const struct load *load, const struct option_row *row, const struct tree *tree,
	json_t **ret_value, struct err *e);

/* Items that are no scalars become null, which no row accepts. */
static bool list_of(const struct load *load, const struct option_row *row, const struct tree *tree,
	json_t **ret_value, struct err *e)
{
	struct option_row item = item_row(row);
	json_auto_t *list = json_array();

	for (const struct tree *at = tree->first; at; at = at->next) {
		json_t *value = NULL;

		if (at->kind != TREE_TEXT)
			value = json_null();
		else if (!value_of(load, &item, at, &value, e))
			return false;
		json_array_append_new(list, value);
	}
	*ret_value = json_incref(list);
	return true;
}

static bool map_of(
	const struct load *load, const struct tree *tree, json_t **ret_value, struct err *e)
{
	json_auto_t *map = json_object();

	for (const struct tree *at = tree->first; at; at = at->next) {
		const char *text = NULL;

		if (!load_text(load, at, at->key, &text, e))
			return false;
		json_object_set_new(map, at->key, json_string(text));
	}
	*ret_value = json_incref(map);
	return true;
}

/* What stands there, typed as far as it is what the row wants. */
static bool value_of(const struct load *load, const struct option_row *row, const struct tree *tree,
	json_t **ret_value, struct err *e)
{
	bool is_list = row->type == OPTION_LIST || row->type == OPTION_INTS;
	const char *text;

	switch (tree->kind) {
	case TREE_NULL:
		*ret_value = json_null();
		return true;
	case TREE_LIST:
		return list_of(load, row, tree, ret_value, e);
	case TREE_MAP:
		return map_of(load, tree, ret_value, e);
	case TREE_TEXT:
		break;
	}
	if (!expand(load, tree, &text, e))
		return false;
	*ret_value = is_list ? json_string(text) : option_from_text(row, text);
	return true;
}

/* Names what it may have been, and all that is known. */
static bool refuse_key(const struct load *load, const struct option_row *rows, const char *name,
	const struct tree *member, struct err *e)
{
	struct nearest nearest = {.typed = member->key};
	struct buf hint CLEANUP(buf_clear) = {0};
	struct buf known CLEANUP(buf_clear) = {0};

	for (const struct option_row *row = rows; row->name; row++) {
		nearest_try(&nearest, row->name);
		buf_printf(&known, "%s%s", row == rows ? "" : ", ", row->name);
	}
	nearest_hint(&nearest, &hint);
	return err_set(e, ERR_CONFIG, "%s:%d: unknown key \"%.64s\" in \"%s\"%s (known: %s)",
		load->file, member->line, member->key, name, hint.bytes ? hint.bytes : "",
		known.bytes);
}

static bool load_row(const struct load *load, const struct option_row *row,
	const struct tree *member, json_t *values, struct err *e)
{
	json_auto_t *value = NULL;

	/* `url:` with nothing behind it: not said. */
	if (member->kind == TREE_NULL)
		return true;
	if (!value_of(load, row, member, &value, e) ||
		!check(row, value, load_where(load, member), e))
		return false;
	json_object_set(values, row->name, value);
	return true;
}

bool load_rows(const struct load *load, const struct option_row *rows, const char *name,
	const struct tree *map, json_t **ret_values, struct err *e)
{
	json_auto_t *values = json_object();

	if (map->kind != TREE_MAP && map->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: \"%s\" must be a mapping, not %s", load->file,
			map->line, name, tree_kind_name(map));
	for (const struct tree *member = map->first; member; member = member->next) {
		const struct option_row *row = option_find(rows, member->key);

		if (!row)
			return refuse_key(load, rows, name, member, e);
		if (!load_row(load, row, member, values, e))
			return false;
	}
	*ret_values = json_incref(values);
	return true;
}
