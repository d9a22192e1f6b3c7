/* SPDX-License-Identifier: PostgreSQL */
/*
 * Transaction ids and snapshots, as far as wake.pml and cursor.pml need them.
 *
 * A transaction draws its id when it first writes, and is invisible until it has ended. Its commit
 * is not one moment (the flush is) but two, so that another transaction may draw an id in between.
 * A snapshot sees all that has ended. Its xmax is one past the highest id that has *completed*, its
 * xmin the lowest id that still runs.
 */
byte given = 1;	    /* the next transaction id */
byte completed = 0; /* the highest id that has ended */
short open = 0;	    /* bits: ids that were given and have not ended */

#define BIT(n) (1 << (n))
#define HAS_ENDED(id) ((id) <= completed && !(open & BIT(id)))
#define IS_SEEN(id) ((id) != 0 && HAS_ENDED(id))

/* pg_snapshot_xmax(), and pg_snapshot_xmin(pg_current_snapshot()) >= mark */
#define XMAX (completed + 1)
#define HAS_PASSED(mark) (XMAX >= (mark) && !(open & (BIT(mark) - 1)))

inline begin(id)
{
	atomic {
		id = given;
		given++;
		open = open | BIT(id);
		printf("transaction %d has its id\n", id)
	}
}

/* The moment in which a commit, or a rollback, becomes known; the flush came before. */
#define ENDED(id)                           \
	open = open & ~BIT(id);             \
	printf("transaction %d has ended\n", id);    \
	completed = (id > completed -> id : completed)
