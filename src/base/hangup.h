/* SPDX-License-Identifier: PostgreSQL */
/*
 * SIGHUP while a program starts.
 *
 * A program that reloads its configuration on SIGHUP would be ended by one that comes before it has
 * said so. So main() holds it back, first thing; whoever has a handler for it lets it come, and
 * what came meanwhile comes then. Programs that do not reload let it come at once, and end by it.
 * Children start with nothing held back (base/proc.h, libuv).
 */
#ifndef ATHENA_BASE_HANGUP_H
#define ATHENA_BASE_HANGUP_H

void hangup_hold(void);
void hangup_let(void);

#endif
