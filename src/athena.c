/* SPDX-License-Identifier: PostgreSQL */
/* athena: the command line. */
#include "cli/command.h"

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
