# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash
# A bare Debian in a folder, for scripts that `source` this: see ../fresh.sh and ../deb.
#
# in_namespaces NAME "$@" runs the script again in mounts and processes of its own, which are gone
# when it ends, however it ends; after that bootstrap makes $root, below $scratch, from the mirror that
# this machine uses. The bootstrapped system is kept as a tar file in /tmp for a week. Needs root.
# ATHENA_FRESH_SUITE (bookworm) and ATHENA_FRESH_MIRROR say what to bootstrap.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
suite=${ATHENA_FRESH_SUITE:-bookworm}
cached=/tmp/athena-fresh-$suite.tar

say()
{
	echo "$name: $*"
}

in_namespaces()
{
	name=$1
	shift
	if [ "${1:-}" = --inside ]; then
		scratch=$2
		root=$scratch/root
		return
	fi
	[ "$(id -u)" = 0 ] || { echo "$name: needs root" >&2 && exit 2; }
	scratch=$(mktemp -d "/tmp/athena-$name.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	status=0
	unshare --mount --pid --ipc --fork --kill-child "$0" --inside "$scratch" "$@" || status=$?
	exit "$status"
}

# The first archive in apt's sources, in either of their formats.
find_mirror()
{
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list \
		2>/dev/null |
		sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] *)?([^ ]+).*/\2/p' | head -n 1
}

make_system()
{
	say "bootstrapping $suite"
	"$top/tools/packages.sh" fresh
	if ! debootstrap --variant=minbase "$suite" "$root" "${ATHENA_FRESH_MIRROR:-$(find_mirror)}" \
		>"$scratch/bootstrap.log"; then
		tail -n 20 "$scratch/bootstrap.log"
		say "debootstrap failed: is there a mirror that can be reached? (ATHENA_FRESH_MIRROR)"
		exit 1
	fi
	cp -R /etc/apt/sources.list* "$root/etc/apt/"
	tar -C "$root" -cf "$cached.new" . && mv "$cached.new" "$cached"
}

bootstrap()
{
	mkdir "$root"
	if [ -z "$(find "$cached" -mtime -7 2>/dev/null)" ]; then
		make_system
	else
		tar -C "$root" -xf "$cached"
	fi
	cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
	mount -t proc proc "$root/proc"
	mkdir -p "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
}

# Runs in the new system with an environment as bare as the system.
inside()
{
	chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LANG=C.UTF-8 \
		http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" "$@"
}
