/* SPDX-License-Identifier: PostgreSQL */
/* libyaml's events made into a tree. */
#include "config/tree.h"

#include <string.h>
#include <yaml.h>

enum { DEEPEST = 32 };

struct reader {
	yaml_parser_t parser;
	struct arena *arena;
	const char *name;
	struct err *e;
	int depth;
};

static int line_of(const yaml_event_t *event)
{
	return (int)event->start_mark.line + 1;
}

static bool refuse(const struct reader *reader, int line, const char *what)
{
	return err_set(reader->e, ERR_CONFIG, "%s:%d: %s", reader->name, line, what);
}

/* libyaml says where in three ways, depending on how far it came. */
static bool refuse_syntax(const struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;
	size_t line = parser->problem_mark.line + 1;
	const char *problem = parser->problem ? parser->problem : "no YAML";

	if (parser->error == YAML_READER_ERROR)
		line = parser->mark.line + 1;
	if (!parser->context)
		return refuse(reader, (int)line, problem);
	return err_set(reader->e, ERR_CONFIG, "%s:%zu: %s %s (line %zu)", reader->name, line,
		problem, parser->context, parser->context_mark.line + 1);
}

/* The next event, to be released with yaml_event_delete() by its reader. */
static bool next(struct reader *reader, yaml_event_t *event)
{
	memset(event, 0, sizeof(*event));
	return yaml_parser_parse(&reader->parser, event) || refuse_syntax(reader);
}

static bool is_null(const yaml_event_t *scalar)
{
	const char *text = (const char *)scalar->data.scalar.value;

	if (scalar->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool has_extras(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor || event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor || event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor || event->data.mapping_start.tag;
	default:
		return false;
	}
}

static bool read_text(struct reader *reader, const yaml_event_t *event, const char **ret_text)
{
	const char *text = (const char *)event->data.scalar.value;

	if (strlen(text) != event->data.scalar.length)
		return refuse(reader, line_of(event), "a NUL character");
	*ret_text = arena_strdup(reader->arena, text);
	return true;
}

static bool read_node(struct reader *reader, const yaml_event_t *event, struct tree **ret_tree);

/* Items of a list until its end. */
static bool read_list(struct reader *reader, struct tree *list)
{
	struct tree **end = &list->first;

	for (;;) {
		yaml_event_t event CLEANUP(yaml_event_delete);

		if (!next(reader, &event))
			return false;
		if (event.type == YAML_SEQUENCE_END_EVENT)
			return true;
		if (!read_node(reader, &event, end))
			return false;
		end = &(*end)->next;
	}
}

static bool read_key(struct reader *reader, const yaml_event_t *event, const struct tree *map,
	const char **ret_key)
{
	const struct tree *other;

	if (event->type != YAML_SCALAR_EVENT || has_extras(event))
		return refuse(reader, line_of(event), "a key must be a plain string");
	if (!read_text(reader, event, ret_key))
		return false;
	if (strcmp(*ret_key, "<<") == 0)
		return refuse(reader, line_of(event), "merging with \"<<\" is not supported");
	other = tree_find(map, *ret_key);
	if (other)
		return err_set(reader->e, ERR_CONFIG, "%s:%d: \"%.64s\" is already set in line %d",
			reader->name, line_of(event), *ret_key, other->line);
	return true;
}

/* Members of a map until its end. */
static bool read_map(struct reader *reader, struct tree *map)
{
	struct tree **end = &map->first;

	for (;;) {
		yaml_event_t key_event CLEANUP(yaml_event_delete);
		yaml_event_t event CLEANUP(yaml_event_delete) = {0};
		const char *key = NULL;

		if (!next(reader, &key_event))
			return false;
		if (key_event.type == YAML_MAPPING_END_EVENT)
			return true;
		if (!read_key(reader, &key_event, map, &key) || !next(reader, &event) ||
			!read_node(reader, &event, end))
			return false;
		(*end)->key = key;
		(*end)->line = line_of(&key_event);
		end = &(*end)->next;
	}
}

static bool read_nested(
	struct reader *reader, struct tree *tree, bool (*read)(struct reader *, struct tree *))
{
	bool ok;

	if (++reader->depth > DEEPEST)
		return refuse(reader, tree->line, "nested too deeply");
	ok = read(reader, tree);
	reader->depth--;
	return ok;
}

static bool read_node(struct reader *reader, const yaml_event_t *event, struct tree **ret_tree)
{
	struct tree *tree = arena_alloc(reader->arena, sizeof(*tree));

	*tree = (struct tree){.kind = TREE_TEXT, .line = line_of(event)};
	if (has_extras(event))
		return refuse(reader, tree->line, "anchors, aliases and tags are not supported");
	*ret_tree = tree;
	switch (event->type) {
	case YAML_SEQUENCE_START_EVENT:
		tree->kind = TREE_LIST;
		return read_nested(reader, tree, read_list);
	case YAML_MAPPING_START_EVENT:
		tree->kind = TREE_MAP;
		return read_nested(reader, tree, read_map);
	default:
		if (is_null(event))
			tree->kind = TREE_NULL;
		return read_text(reader, event, &tree->text);
	}
}

/* A stream of no or one document. */
static bool read_stream(struct reader *reader, struct tree **ret_tree)
{
	int documents = 0;

	for (;;) {
		yaml_event_t event CLEANUP(yaml_event_delete);

		if (!next(reader, &event))
			return false;
		switch (event.type) {
		case YAML_STREAM_END_EVENT:
			return true;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (++documents > 1)
				return refuse(reader, line_of(&event), "a second document");
			break;
		default:
			if (!read_node(reader, &event, ret_tree))
				return false;
		}
	}
}

bool tree_parse(struct arena *arena, const char *name, const char *bytes, size_t length,
	struct tree **ret_tree, struct err *e)
{
	struct reader reader = {.arena = arena, .name = name, .e = e};
	struct tree *tree = arena_alloc(arena, sizeof(*tree));
	bool ok;

	*tree = (struct tree){.kind = TREE_NULL, .line = 1};
	if (!yaml_parser_initialize(&reader.parser))
		abort(); /* out of memory */
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, length);
	ok = read_stream(&reader, &tree);
	yaml_parser_delete(&reader.parser);
	if (ok)
		*ret_tree = tree;
	return ok;
}

const struct tree *tree_find(const struct tree *map, const char *key)
{
	for (const struct tree *member = map->first; member; member = member->next)
		if (member->key && strcmp(member->key, key) == 0)
			return member;
	return NULL;
}

const char *tree_kind_name(const struct tree *tree)
{
	static const char *const names[] = {
		[TREE_NULL] = "nothing",
		[TREE_TEXT] = "a string",
		[TREE_LIST] = "a list",
		[TREE_MAP] = "a mapping",
	};

	return names[tree->kind];
}
