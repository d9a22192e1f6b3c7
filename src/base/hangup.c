/* SPDX-License-Identifier: PostgreSQL */
/* One signal in the mask of this process. */
#include "base/hangup.h"

#include <signal.h>
#include <stddef.h>

static void change_mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(how, &set, NULL);
}

void hangup_hold(void)
{
	change_mask(SIG_BLOCK);
}

void hangup_let(void)
{
	change_mask(SIG_UNBLOCK);
}
