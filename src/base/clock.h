/* SPDX-License-Identifier: PostgreSQL */
/*
 * Local clocks. They only decide how long to wait and when to fence; what is due or stale is
 * decided by Postgres' clock.
 *
 * CLOCK_BOOTTIME and not CLOCK_MONOTONIC, because the latter stands still while the machine is
 * suspended, and a lease does not.
 */
#ifndef ATHENA_BASE_CLOCK_H
#define ATHENA_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_boot_ns(void);
int64_t clock_boot_ms(void);

/* Milliseconds since 1970, UTC. For log lines only. */
int64_t clock_wall_ms(void);

/* Blocks this thread; a signal ends it early, and 0 or less is over at once. */
void clock_sleep_ms(int64_t ms);

/* 0 to most_ms, by chance: so that many processes do not do the same thing in the same moment. */
int64_t clock_jitter_ms(int64_t most_ms);

#endif
