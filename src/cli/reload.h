/* SPDX-License-Identifier: PostgreSQL */
/*
 * SIGHUP: a long-running program reads its configuration anew.
 *
 * What the option tables mark reloadable holds from now on, the log says what differs and what of
 * it needs a restart. A configuration that cannot be loaded as a whole changes nothing; the log
 * says what is wrong with it, and where.
 */
#ifndef ATHENA_CLI_RELOAD_H
#define ATHENA_CLI_RELOAD_H

#include "config/config.h"

/*
 * The configuration to go on with, for whoever then frees it; NULL: nothing changes. The log's
 * level and format hold already.
 */
struct config *reload_config(const struct config *config);

#endif
