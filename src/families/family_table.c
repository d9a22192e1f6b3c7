/* SPDX-License-Identifier: PostgreSQL */
/* Which families are built in; listed by hand, so that no order of registration matters. */
#include "families/family.h"

#include <stddef.h>

/* src/families/NAME.c defines NAME_family. */
#define FAMILIES(each) each(noop) each(command) each(clone) each(backup)

#define DECLARE(name) extern const struct family name##_family;
#define POINT_TO(name) &name##_family,

FAMILIES(DECLARE)

const struct family *const families[] = {FAMILIES(POINT_TO) NULL};
