/* SPDX-License-Identifier: PostgreSQL */
/* The sections of config.yaml, and the variables that override them. */
#include <ctype.h>
#include <string.h>

#include "base/nearest.h"
#include "base/utf8.h"
#include "config/load.h"
#include "config/settings.h"

static const char clients_section[] = "postgres_clients";
static const char families_section[] = "families";

static const char *origin_of(const struct load *load, const char *section, const char *name)
{
	return json_string_value(json_object_get(json_object_get(load->origins, section), name));
}

static json_t *value_of(const struct load *load, const char *section, const char *name)
{
	return json_object_get(json_object_get(load->values, section), name);
}

/*
 * The file.
 */

static bool load_section(struct load *load, const struct settings_section *section,
	const struct tree *map, struct err *e)
{
	json_auto_t *values = NULL;
	const char *name;
	json_t *value;

	if (!load_rows(load, section->rows, section->name, map, &values, e))
		return false;
	json_object_foreach (values, name, value) {
		load_set(load, section->name, name, json_incref(value),
			load_where(load, tree_find(map, name)));
	}
	return true;
}

/*
 * Sections inside of sections: `s3` in `backup`.
 */

static const struct settings_section *find_inner(
	const struct load *load, const char *outer, const struct tree *member)
{
	return settings_find(arena_printf(load->arena, "%s.%s", outer, member->key));
}

/* The map without those of its members that are sections themselves. */
static const struct tree *own_members(
	const struct load *load, const char *name, const struct tree *map)
{
	struct tree *own = arena_alloc(load->arena, sizeof(*own));
	struct tree **end = &own->first;

	*own = *map;
	for (const struct tree *member = map->first; member; member = member->next) {
		if (find_inner(load, name, member))
			continue;
		*end = arena_alloc(load->arena, sizeof(**end));
		**end = *member;
		end = &(*end)->next;
	}
	*end = NULL;
	return own;
}

static bool load_inner(struct load *load, const char *outer, const struct tree *map, struct err *e)
{
	for (const struct tree *member = map->first; member; member = member->next) {
		const struct settings_section *section = find_inner(load, outer, member);

		if (section && !load_section(load, section, member, e))
			return false;
	}
	return true;
}

/* A section that has no scalars of its own. */
static bool load_outer(struct load *load, const struct tree *map, struct err *e)
{
	const struct tree *own = own_members(load, map->key, map);

	if (map->kind != TREE_MAP && map->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: \"%s\" must be a mapping, not %s", load->file,
			map->line, map->key, tree_kind_name(map));
	if (own->first)
		return err_set(e, ERR_CONFIG, "%s:%d: unknown key \"%.64s\" in \"%s\"", load->file,
			own->first->line, own->first->key, map->key);
	return load_inner(load, map->key, map, e);
}

static bool load_client(struct load *load, const struct tree *member, struct err *e)
{
	const char *where = load_where(load, member);
	const char *uri;

	if (!load_text(load, member, member->key, &uri, e) ||
		!load_check_uri(uri, where, member->key, e))
		return false;
	load_set(load, clients_section, member->key, json_string(uri), where);
	return true;
}

static bool load_clients(struct load *load, const struct tree *map, struct err *e)
{
	if (map->kind != TREE_MAP && map->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: \"%s\" must be a mapping of names to URIs",
			load->file, map->line, clients_section);
	for (const struct tree *member = map->first; member; member = member->next)
		if (!load_client(load, member, e))
			return false;
	return true;
}

static bool is_foreign(const char *name)
{
	for (size_t i = 0; settings_foreign[i]; i++)
		if (strcmp(settings_foreign[i], name) == 0)
			return true;
	return false;
}

static bool refuse_section(const struct load *load, const struct tree *member, struct err *e)
{
	struct nearest nearest = {.typed = member->key};
	struct buf hint CLEANUP(buf_clear) = {0};

	for (const struct settings_section *at = settings_sections; at->name; at++)
		nearest_try(&nearest, at->name);
	nearest_try(&nearest, clients_section);
	nearest_try(&nearest, families_section);
	nearest_hint(&nearest, &hint);
	return err_set(e, ERR_CONFIG, "%s:%d: unknown section \"%.64s\"%s", load->file,
		member->line, member->key, hint.bytes ? hint.bytes : "");
}

static bool load_member(
	struct load *load, const struct tree *member, struct buf *foreign, struct err *e)
{
	const struct settings_section *section = settings_find(member->key);

	if (strchr(member->key, '.'))
		return refuse_section(load, member, e);
	if (section)
		return load_section(load, section, own_members(load, member->key, member), e) &&
			load_inner(load, member->key, member, e);
	if (settings_has_inner(member->key))
		return load_outer(load, member, e);
	if (strcmp(member->key, clients_section) == 0)
		return load_clients(load, member, e);
	if (strcmp(member->key, families_section) == 0)
		return true;
	if (!is_foreign(member->key))
		return refuse_section(load, member, e);
	buf_printf(foreign, "%s%s (line %d)", foreign->length > 0 ? ", " : "", member->key,
		member->line);
	return true;
}

static bool load_file(struct load *load, const struct tree *root, struct err *e)
{
	struct buf foreign CLEANUP(buf_clear) = {0};

	if (root->kind != TREE_MAP && root->kind != TREE_NULL)
		return err_set(e, ERR_CONFIG, "%s:%d: must be a mapping of sections, not %s",
			load->file, root->line, tree_kind_name(root));
	for (const struct tree *member = root->first; member; member = member->next)
		if (!load_member(load, member, &foreign, e))
			return false;
	if (foreign.length > 0)
		buf_printf(&load->warnings, "%s: not used by this program: %s\n", load->file,
			foreign.bytes);
	return true;
}

/*
 * Variables.
 */

/* ATHENA_<SECTION>_<ROW>; a section in a section has a dot. */
static const char *variable_of(
	struct arena *arena, const struct settings_section *section, const struct option_row *row)
{
	char *name = arena_printf(arena, "ATHENA_%s_%s", section->name, row->name);

	for (char *at = name; *at; at++)
		*at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
	return name;
}

static bool override_row(struct load *load, const struct settings_section *section,
	const struct option_row *row, struct err *e)
{
	const char *variable = variable_of(load->arena, section, row);
	const char *text = vars_get(&load->vars, variable);
	const char *origin;
	json_t *value;

	if (!text)
		return true;
	origin = vars_is_from_dotenv(&load->vars, variable)
		? arena_printf(load->arena, "%s in .env", variable)
		: variable;
	if (!utf8_is_text(text))
		return err_set(e, ERR_CONFIG, "%s: is not UTF-8", origin);
	value = option_from_text(row, text);
	load_set(load, section->name, row->name, value, origin);
	if (option_check(row, value, origin, e))
		return true;
	e->kind = ERR_CONFIG;
	return false;
}

static bool override_all(struct load *load, struct err *e)
{
	for (const struct settings_section *section = settings_sections; section->name; section++)
		for (const struct option_row *row = section->rows; row->name; row++)
			if (!override_row(load, section, row, e))
				return false;
	return true;
}

static bool is_reserved(const char *variable)
{
	for (size_t i = 0; settings_reserved_variables[i]; i++)
		if (strncmp(variable, settings_reserved_variables[i],
			    strlen(settings_reserved_variables[i])) == 0)
			return true;
	return false;
}

static void try_variables(struct load *load, struct nearest *nearest)
{
	for (const struct settings_section *section = settings_sections; section->name; section++)
		for (const struct option_row *row = section->rows; row->name; row++)
			nearest_try(nearest, variable_of(load->arena, section, row));
}

/* A variable that no setting reads is more often a typing error than meant for somebody else. */
static void warn_if_unknown(void *context, const char *variable, bool is_from_dotenv)
{
	struct load *load = context;
	struct nearest nearest = {.typed = variable};

	try_variables(load, &nearest);
	if (is_reserved(variable) || (nearest.word[0] && nearest.distance == 0))
		return;
	buf_printf(&load->warnings, "%s%s: no such setting", variable,
		is_from_dotenv ? " in .env" : "");
	nearest_hint(&nearest, &load->warnings);
	buf_char(&load->warnings, '\n');
}

/*
 * What holds between settings.
 */

static bool check_uri_of(struct load *load, const char *name, struct err *e)
{
	const char *uri = json_string_value(value_of(load, "database", name));

	return !uri || load_check_uri(uri, origin_of(load, "database", name), name, e);
}

bool load_sections(struct load *load, const struct tree *root, struct err *e)
{
	if ((root && !load_file(load, root, e)) || !override_all(load, e))
		return false;
	vars_each(&load->vars, "ATHENA_", warn_if_unknown, load);
	return check_uri_of(load, "url", e) && check_uri_of(load, "direct_url", e);
}
