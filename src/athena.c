/* SPDX-License-Identifier: PostgreSQL */
/* athena: the command line. */
#include "base/hangup.h"
#include "cli/command.h"

int main(int argc, char **argv)
{
	hangup_hold();
	return command_main(argc, argv);
}
