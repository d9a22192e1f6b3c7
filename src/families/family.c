/* SPDX-License-Identifier: PostgreSQL */
/* Finding a family, and asking whether a payload suits it. */
#include "families/family.h"

#include <string.h>

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
