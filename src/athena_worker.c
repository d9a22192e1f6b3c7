/* SPDX-License-Identifier: PostgreSQL */
/* athena-worker: claims jobs of its families and has executors do them. */
#include <signal.h>

#include "base/hangup.h"
#include "cli/command_table.h"
#include "worker/executor.h"

int main(int argc, char **argv)
{
	hangup_hold();
	signal(SIGPIPE, SIG_IGN);
	if (executor_is_meant(argc, argv))
		return executor_main(argv);
	return command_program_main(argc, argv, &program_worker);
}
