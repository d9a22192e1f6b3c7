#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Runs `make demo` and `make test` where there is nothing but git and make: fresh.sh [GOAL...]
#
# A minimal Debian is bootstrapped into a temporary folder, from the mirror that this machine uses,
# and a fresh clone of the last commit is built there. Afterwards there must be the same database
# clusters, listening ports, processes and temporary files as before. Needs root; all of it happens
# in namespaces of its own, so that mounts and processes are gone with it, however it ends. The
# bootstrapped system is kept as a tar file in /tmp for a week. ATHENA_FRESH_SUITE (bookworm) and
# ATHENA_FRESH_MIRROR say what to bootstrap.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
suite=${ATHENA_FRESH_SUITE:-bookworm}
cached=/tmp/athena-fresh-$suite.tar

say()
{
	echo "fresh: $*"
}

# The first archive in apt's sources, in either of their formats.
find_mirror()
{
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
		2>/dev/null |
		sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] *)?([^ ]+).*/\2/p' | head -n 1
}

bootstrap()
{
	if [ -z "$(find "$cached" -mtime -7 2>/dev/null)" ]; then
		say "bootstrapping $suite"
		"$top/tools/packages.sh" fresh
		debootstrap --variant=minbase "$suite" "$root" "${ATHENA_FRESH_MIRROR:-$(find_mirror)}" \
			>"$scratch/bootstrap.log" || { tail -n 20 "$scratch/bootstrap.log" && exit 1; }
		cp -R /etc/apt/sources.list* "$root/etc/apt/"
		tar -C "$root" -cf "$cached.new" . && mv "$cached.new" "$cached"
	else
		tar -C "$root" -xf "$cached"
	fi
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# Runs in the new system with an environment as bare as the system.
inside()
{
	chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
		http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" "$@"
}

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

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" = 0 ] || { echo "fresh: needs root" >&2 && exit 2; }
	scratch=$(mktemp -d /tmp/athena-fresh.XXXXXX)
	trap 'rm -rf "$scratch"' EXIT
	status=0
	unshare --mount --pid --ipc --fork --kill-child "$0" --inside "$scratch" "$@" || status=$?
	exit "$status"
fi

scratch=$2
shift 2
[ $# -gt 0 ] || set -- demo test
root=$scratch/root
mkdir "$root"
bootstrap
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"

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
