/* SPDX-License-Identifier: PostgreSQL */
/* Finding a family, and asking whether a payload suits it. */
#include "families/family.h"

#include <string.h>

#include "config/config.h"

const struct family *family_find(const char *name)
{
	for (const struct family *const *family = families; *family; family++)
		if (strcmp((*family)->name, name) == 0)
			return *family;
	return NULL;
}

const struct option_row *family_payload(const struct family *family, const char *job_family)
{
	return family->is_frame && strcmp(family->name, job_family) != 0 ? NULL : family->payload;
}

bool family_check(
	const struct family *family, const char *job_family, const json_t *payload, struct err *e)
{
	const struct option_row *rows = family_payload(family, job_family);

	if (!json_is_object(payload))
		return err_code(e, ERR_PERMANENT, "bad_payload", "payload: not a JSON object");
	if (rows && !option_check_object(rows, payload, "payload", e))
		return false;
	return !family->check || family->check(payload, e);
}

bool family_check_entry(const struct config_family *entry, struct err *e)
{
	const struct family *family = family_find(entry->run);

	if (!family)
		return err_set(e, ERR_CONFIG,
			"%s: family \"%s\" must say under \"run\" which built-in family does its "
			"work, and \"%.64s\" is none",
			entry->where, entry->name, entry->run);
	return !family->check_entry || family->check_entry(entry, e);
}
