/* SPDX-License-Identifier: PostgreSQL */
/* What the commands about backups share. */
#ifndef ATHENA_CLI_BACKUP_H
#define ATHENA_CLI_BACKUP_H

#include <jansson.h>
#include <stdbool.h>

struct cli;

/* What is to be kept, in the words of the payload. */
#define BACKUP_KEEP_ROWS                                                                          \
	{"keep_last", OPTION_INT, .max = 100000, .help = "how many of the newest stay"},          \
		{"keep_hourly", OPTION_INT, .max = 100000,                                        \
			.help = "for how many hours one stays"},                                  \
		{"keep_daily", OPTION_INT, .max = 100000, .help = "for how many days one stays"}, \
		{"keep_weekly", OPTION_INT, .max = 100000,                                        \
			.help = "for how many weeks one stays"},                                  \
		{"keep_monthly", OPTION_INT, .max = 100000,                                       \
			.help = "for how many months one stays"},                                 \
		{"keep_yearly", OPTION_INT, .max = 100000,                                        \
			.help = "for how many years one stays"},                                  \
	{                                                                                         \
		"min_age", OPTION_DURATION, .max = 315360000000,                                  \
					    .help = "what is younger stays in any case"           \
	}

/* Adds those options that were given; returns whether there was any. */
bool backup_add_keeps(struct cli *cli, json_t *payload);

/* Whose job it is, for limits per key: the database's name; NULL for a connection string. */
const char *backup_key_of(const char *database);

#endif
