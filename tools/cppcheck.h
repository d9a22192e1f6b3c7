/* SPDX-License-Identifier: PostgreSQL */
/* For cppcheck, which reads no system headers: the macros without which it loses its way. */
#define json_array_foreach(array, index, value) \
	for (index = 0; (value = json_array_get(array, index)); index++)
#define json_object_foreach(object, key, value) \
	for (key = next_key(object), value = next_value(object); key; key = next_key(object))
#define DL_FOREACH(head, at) for (at = head; at; at = at->next)
#define DL_FOREACH_SAFE(head, at, after) for (at = head; at && (after = at->next, 1); at = after)
#define LL_FOREACH DL_FOREACH
#define LL_FOREACH_SAFE DL_FOREACH_SAFE
#define HASH_ITER(handle, head, at, after) DL_FOREACH_SAFE (head, at, after)

/* base/log.h and http/exposition.h are left out: __VA_OPT__ is unknown to it. */
#define ATHENA_HTTP_EXPOSITION_H
#define LABELS(...) 0
#define ATHENA_BASE_LOG_H
