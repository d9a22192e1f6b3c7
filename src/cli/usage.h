/* SPDX-License-Identifier: PostgreSQL */
/* --help, made from the rows of commands and options. */
#ifndef ATHENA_CLI_USAGE_H
#define ATHENA_CLI_USAGE_H

#include "cli/command.h"
#include "base/buf.h"
#include "cli/terminal.h"

/* All commands in one line each. */
void usage_print_all(const struct terminal *terminal);

/* The commands of a group such as "job". */
void usage_print_group(const struct terminal *terminal, const char *group);

void usage_print_command(const struct terminal *terminal, const struct command *command);

/* What stands for an option's value: its unit, its words, or one for its type. */
const char *usage_value_name(const struct option_row *row);

/* An option's help with its bounds and its default. */
void usage_option_help(const struct option_row *row, struct buf *out);

#endif
