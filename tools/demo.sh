#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# `make demo`: a row inserted with psql becomes a cloned database, in a private Postgres.
#
# demo.sh [SCALE]: of tools/sample_shop.sql; the usual 20 makes 40 MB, large enough to watch.
#
# Everything happens in a scratch folder, through `athena dev`, and is gone afterwards. With
# INSIDE set this is the command that `athena dev` runs: PGHOST and the like are set, and a worker
# is at work.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$here/../${ATHENA_BUILD:-build}" && pwd)
scale=${1:-20}

bold='' dim='' green='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') green=$(printf '\033[32m')
	plain=$(printf '\033[0m')
fi

heading()
{
	printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"
}

# A command as one would type it, and what it prints.
shell()
{
	printf '%s$ %s%s\n' "$green" "$*" "$plain"
	"$@"
}

# A statement as one would type it in psql, in some database.
sql()
{
	printf '%s%s=>%s %s\n' "$green" "$1" "$plain" "$2"
	psql -X -d "$1" -c "$2"
}

inside()
{
	heading '1. A shop: foreign keys, views, triggers, partitions, large objects, odd names'
	printf '%sloading tools/sample_shop.sql%s\n\n' "$dim" "$plain"
	createdb shop
	psql -X -q -v "scale=$scale" -f "$here/sample_shop.sql" shop >/dev/null
	psql -X -q -d shop -P footer=off -c "SELECT count(*) FILTER (WHERE relkind IN ('r', 'p')) AS tables,
		count(*) FILTER (WHERE relkind IN ('v', 'm')) AS views,
		count(*) FILTER (WHERE relkind IN ('i', 'I')) AS indexes,
		pg_size_pretty(pg_database_size(current_database())) AS size
		FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace
			WHERE nspname LIKE 'pg\_%' OR nspname = 'information_schema')"

	heading '2. Somebody asks for a copy, by inserting a row'
	sql athena "INSERT INTO athena.jobs (family, payload) VALUES ('clone',
        '{\"source\": \"postgresql:///shop\", \"target\": \"postgresql:///shop_copy\"}');"
	job=$(psql -X -At -d athena -c 'SELECT max(job_id) FROM athena.job_status')

	heading '3. A worker has claimed it'
	shell athena job events "$job" --follow

	heading '4. The story of the job'
	shell athena job show "$job"

	heading '5. There it is'
	psql -X -q -P footer=off -d athena -c "SELECT datname AS database,
		pg_size_pretty(pg_database_size(oid)) AS size,
		shobj_description(oid, 'pg_database') AS comment
		FROM pg_database WHERE datname LIKE 'shop%' ORDER BY datname"
}

next_steps()
{
	heading 'What to try next'
	while read -r command what; do
		printf '  %-34s%s%s%s\n' "$(echo "$command" | tr _ ' ')" "$dim" "$what" "$plain"
	done <<-END
		build/athena_dev the same for you, kept in .athena, until ^C
		build/athena_enqueue_noop_--wait from another terminal, in the same folder
		build/athena_job_list --json for programs
		build/athena_--help all commands
	END
}

outside()
{
	scratch=$(mktemp -d "${TMPDIR:-/tmp}/athena-demo.XXXXXX")
	trap 'trap "" INT TERM HUP; rm -rf "$scratch"' EXIT # a closed terminal hangs up twice
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	chmod 755 "$scratch" # as root the server runs as somebody else
	cd "$scratch"
	unset ATHENA_CONFIG_PATH ATHENA_DATABASE_URL
	export PSQL_PAGER=cat
	printf '%sAthena: a private Postgres in %s, a worker beside it%s\n' "$dim" "$scratch" "$plain"
	status=0
	INSIDE=1 HOME=$scratch "$build/athena" dev -- "$here/demo.sh" "$scale" || status=$?
	if [ "$status" != 0 ]; then
		tail -n 20 .athena/worker.log .athena/postgres.log >&2 || :
		exit "$status"
	fi
	next_steps
}

if [ -n "${INSIDE:-}" ]; then
	inside
else
	outside
fi
