#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Runs `make demo` and `make test` where there is nothing but git and make: fresh.sh [GOAL...]
#
# A minimal Debian is bootstrapped into a temporary folder (support/bootstrap.sh), and a fresh clone of
# the last commit is built there. Afterwards there must be the same database clusters, listening ports,
# processes and temporary files as before. Needs root.
set -euo pipefail

# shellcheck source=tests/support/bootstrap.sh
. "$(dirname "$0")/support/bootstrap.sh"

clusters()
{
	inside sh -c 'ls -d /etc/postgresql/*/* /var/lib/postgresql/*/* 2>/dev/null || :'
}

# Addresses on which processes of the new system listen; those of the host are not seen here.
listening()
{
	{
		find "$root"/proc/[0-9]*/fd -lname 'socket:*' -printf '%l\n' 2>/dev/null |
			tr -cd '0-9\n' | sed 's/^/own /'
		cat "$root"/proc/net/tcp "$root"/proc/net/tcp6
	} | awk '$1 == "own" { own[$2] } $4 == "0A" && $10 in own { print $2 }' | sort
}

processes()
{
	for status in "$root"/proc/[0-9]*/status; do
		awk '/^Name:/ { name = $2 } /^PPid:/ { print name }' "$status" 2>/dev/null
	done | grep -vxE 'fresh.sh|awk|sort|cat|unshare|bash' | sort
}

picture()
{
	echo "clusters: $(clusters | tr '\n' ' ')"
	echo "listening: $(listening | tr '\n' ' ')"
	echo "processes: $(processes | tr '\n' ' ')"
	echo "temporary files: $(find "$root/tmp" -mindepth 1 -printf '%P ')"
	echo "service policy: $(ls "$root/usr/sbin/policy-rc.d" 2>/dev/null)"
}

in_namespaces fresh "$@"
shift 2
[ $# -gt 0 ] || set -- demo test
bootstrap

say "installing git and make"
inside sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
	apt-get -qq -y --no-install-recommends install git make' >"$scratch/apt.log" 2>&1 ||
	{ tail -n 20 "$scratch/apt.log" && exit 1; }
git clone -q --no-hardlinks "$top" "$root/srv/athena"
picture >"$scratch/before"

say "make, without the right to install packages"
status=0
chroot --userspec=65534:65534 "$root" make -C /srv/athena >"$scratch/refused" 2>&1 || status=$?
if [ "$status" != 2 ] || ! grep -q 'apt-get install .*libpq-dev' "$scratch/refused"; then
	cat "$scratch/refused"
	say "status $status: expected 2 and the command to type" && exit 1
fi

for goal; do
	say "make $goal"
	started=$SECONDS
	inside make -C /srv/athena --no-print-directory "$goal"
	say "make $goal took $((SECONDS - started)) s"
	picture >"$scratch/after"
	diff "$scratch/before" "$scratch/after" || { say "make $goal left something behind" && exit 1; }
done
say "$*: done, and nothing left behind"
