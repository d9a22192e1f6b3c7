/* SPDX-License-Identifier: PostgreSQL */
/*
 * This process in athena.workers: registered, beating, and told what Postgres thinks of it.
 *
 * One heartbeat per process. It is sent on its own session, so that a slow claim does not delay
 * it, and never a second one before the first was answered. Its answer names our leases older than
 * 10 s: what we do not know of among them was left by a claim whose answer got lost, and is handed
 * back unrun; what we run without being named any more was rescued, and is stopped. Tickets to
 * cancel and paused families come with it too, in case a notification was lost.
 *
 * A worker that is not registered any more (it was silent for long, or the database is another
 * one after a failover) stops everything and registers anew under a new id. Who it was before may
 * stand in the database still, with leases: nobody else can know that nothing runs under them any
 * more, so they are its own to give up, as those of a dead process. Runs on the worker's loop,
 * never blocks.
 */
#ifndef ATHENA_QUEUE_REGISTRY_H
#define ATHENA_QUEUE_REGISTRY_H

#include "base/host.h"
#include "db/session.h"

enum { WORKER_ID_SIZE = 37 };

/* One row of a heartbeat's answer, or of own_leases. */
struct registry_events {
	void (*registered)(void *context); /* with a new id, or found to be registered still */
	void (*refused)(
		void *context, const struct err *e); /* may not work here: a copied database */
	void (*beaten)(void *context, int64_t sent_boot_ns); /* after the rows below */
	void (*leased)(void *context, int64_t job_id, int64_t ticket);
	void (*cancel)(void *context, int64_t job_id, int64_t ticket);
	void (*paused)(void *context, const char *family);
	void (*fenced)(void *context, const char *why); /* stop everything; registering follows */
};

struct registry {
	struct session *session;
	const char *kind;	     /* "worker", "maintenance" */
	const char *const *families; /* ended by NULL */
	const struct registry_events *events;
	void *context;

	char worker_id[WORKER_ID_SIZE]; /* random per registration, never a sequence */
	char system_id[64];		/* system identifier and timeline of the last connection */
	char queue_id[48];		/* which queue it is: system identifier and database */
	struct host_process process;
	bool was_tried; /* to register under this id */
	bool is_registered;
	bool is_asking;	  /* where we are, or to be registered */
	bool is_beating;  /* a heartbeat waits for its answer */
	bool was_another; /* under another id, of which the row may be there */
	int forgetting;	  /* requests about that which wait for their answers */
	int64_t asked_boot_ns;
	int64_t sent_boot_ns; /* the heartbeat */
};

#define REGISTRY_STATEMENTS                                                              \
	&sql_register, &sql_unregister, &sql_heartbeat, &sql_own_leases, &sql_system_id, \
		&sql_watch, &sql_rescue

void registry_init(struct registry *registry);

/* The session is up: finds out where we are, registers if need be, and beats. */
void registry_connected(struct registry *registry);

/*
 * Sends a heartbeat, unless one is under way or the session is down. Where registering has failed
 * for a reason that may pass, tries that again; where it was not answered for 10 s, drops the
 * connection.
 */
void registry_beat(struct registry *registry);

/*
 * Takes the leases of who this process was before it registered anew, and then its row away; to be
 * called after each heartbeat once nothing runs that was claimed under such an id. Asks nothing
 * where there is no such row.
 */
void registry_forget_former(struct registry *registry);

/* Asks for all our leases, whatever their age; `leased` is called for each, then `done`. */
void registry_reconcile(struct registry *registry, session_done *done, void *context);

/* The goodbye; `done` is called when it was answered. The session must be up. */
void registry_leave(struct registry *registry, session_done *done, void *context);

#endif
