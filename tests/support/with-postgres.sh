#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Runs a command against a private Postgres: with-postgres.sh CMD ARG...
#
# The server lives in a fresh temporary folder, listens on a socket there and nowhere else, and is
# gone when the command ends, however it ends; if this script itself is killed, the server stops
# too. The command finds it through PGHOST, PGPORT, PGUSER and PGDATABASE. As root the server runs
# as `postgres`, or `nobody` where there is none. ATHENA_PG_OPTIONS ("-c fsync=on") overrides
# postgresql.conf beside this script, ATHENA_PG_BIN says which Postgres.
set -eu

support=$(dirname "$0")
bin=${ATHENA_PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}
dir=$(mktemp -d /tmp/athena-pg.XXXXXX)
chmod 755 "$dir"
server=

as_server='setpriv --pdeathsig INT'
if [ "$(id -u)" = 0 ]; then
	user=$(id -un postgres 2>/dev/null || echo nobody)
	chown "$user" "$dir"
	as_server="setpriv --reuid=$user --regid=$(id -g "$user") --clear-groups --pdeathsig INT"
fi

finish()
{
	status=$?
	trap - EXIT
	[ "$status" = 0 ] || tail -n 40 "$dir/log" >&2 || :
	if [ -n "$server" ]; then
		kill -INT "$server" 2>/dev/null || :
		wait "$server" || :
	fi
	rm -rf "$dir"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

cd "$dir" # a folder that the server's user may read
$as_server "$bin/initdb" -N -A trust -U postgres -E UTF8 --locale=C.UTF-8 -D data >initdb.log ||
	{ cat initdb.log >&2 && exit 1; }
cd - >/dev/null
$as_server tee -a "$dir/data/postgresql.conf" <"$support/postgresql.conf" >/dev/null

export PGHOST="$dir" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
unset PGDATA PGPASSWORD PGSERVICE PGSSLMODE ATHENA_DATABASE_URL
# shellcheck disable=SC2086 # options are words
$as_server "$bin/postgres" -D "$dir/data" -k "$dir" ${ATHENA_PG_OPTIONS:-} >"$dir/log" 2>&1 &
server=$!
until "$bin/pg_isready" -q; do
	kill -0 "$server" 2>/dev/null || exit 1
	sleep 0.05
done

"$@"
