/* SPDX-License-Identifier: PostgreSQL */
/* --help, made from the rows of commands and options. */
#ifndef ATHENA_CLI_USAGE_H
#define ATHENA_CLI_USAGE_H

#include "cli/command.h"
#include "cli/terminal.h"

/* All commands in one line each. */
void usage_print_all(const struct terminal *terminal);

/* The commands of a group such as "job". */
void usage_print_group(const struct terminal *terminal, const char *group);

void usage_print_command(const struct terminal *terminal, const struct command *command);

#endif
