#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Makes sure that the Debian packages for some purposes are there: packages.sh PURPOSE...
#
# Purposes are build, run (a private Postgres), test, chaos, fuzz, majors, model, bench, check, lint,
# deb, test-deb and fresh. What is missing is installed with apt-get, as root or through `sudo -n`; where neither is
# possible the command to type is printed and the status is 2. No service is started, no database
# cluster is made: a server package would do both, so while apt-get runs a policy-rc.d refuses every
# service action and a drop-in tells postgresql-common not to create its "main" cluster. Both are gone
# afterwards.
set -eu

# One requirement per word. `package=pattern` is also met by any file that matches the pattern,
# so that servers from elsewhere (another major, another packager) count.
packages_for()
{
	case $1 in
	build) echo gcc libc6-dev make pkg-config libpq-dev libuv1-dev libyaml-dev \
		libjansson-dev libmicrohttpd-dev libssl-dev libcurl4-openssl-dev libexpat1-dev \
		libsystemd-dev uthash-dev ;;
	run) echo 'postgresql=/usr/lib/postgresql/*/bin/initdb' \
		'postgresql-client=/usr/lib/postgresql/*/bin/pg_dump' ;;
	test) echo check groff-base pgbouncer prometheus systemd tmux python3 python3-pytest \
		python3-pytest-xdist python3-psycopg libfaketime openssl s3cmd \
		swift-account swift-container swift-object swift-proxy ;;
	chaos) echo libfaketime util-linux ;;
	fuzz) echo clang libclang-rt-dev ;;
	bench) echo python3 python3-psycopg python3-matplotlib ;;
	majors) echo npm=/usr/bin/npm ;;
	check) echo check clang-format git ;;
	model) echo spin gcc libc6-dev ;;
	lint) echo clang-tidy cppcheck shellcheck ;;
	deb) echo debhelper dpkg-dev ;;
	test-deb) echo lintian ;;
	fresh) echo debootstrap ;;
	*)
		echo "packages.sh: unknown purpose '$1'" >&2
		exit 2
		;;
	esac
}

is_there()
{
	package=${1%%=*}
	if [ "$package" != "$1" ]; then
		# shellcheck disable=SC2086 # the pattern is meant to expand
		ls ${1#*=} >/dev/null 2>&1 && return
	fi
	dpkg-query -W -f '${db:Status-Status} ${Provides}\n' "$package" 2>/dev/null |
		grep -q '^installed'
}

find_missing()
{
	for purpose; do
		# shellcheck disable=SC2046 # words are wanted
		set -f && set -- $(packages_for "$purpose") && set +f
		for requirement; do
			is_there "$requirement" || echo "${requirement%%=*}"
		done
	done | sort -u | tr '\n' ' '
}

policy=/usr/sbin/policy-rc.d
policy_saved=$policy.before-athena
cluster_dir=/etc/postgresql-common/createcluster.d
cluster_conf=$cluster_dir/athena.conf
dirs_made=

forbid_services()
{
	exec 9>/run/lock/athena-packages # one at a time, or one would save the other's policy
	flock 9
	if [ -e "$policy_saved" ] || [ -L "$policy_saved" ]; then
		rm -f "$policy" # ours, of a run that was killed
	elif [ -e "$policy" ] || [ -L "$policy" ]; then
		mv "$policy" "$policy_saved"
	fi
	trap allow_services EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	for dir in "${cluster_dir%/*}" "$cluster_dir"; do
		[ -d "$dir" ] || { mkdir "$dir" && dirs_made="$dir $dirs_made"; }
	done
	echo 'create_main_cluster = false' >"$cluster_conf"
}

allow_services()
{
	rm -f "$policy" "$cluster_conf"
	if [ -e "$policy_saved" ] || [ -L "$policy_saved" ]; then
		mv "$policy_saved" "$policy"
	fi
	for dir in $dirs_made; do
		rmdir "$dir" 2>/dev/null || : # in use by now
	done
}

install()
{
	export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
	forbid_services
	apt-get -q -o DPkg::Lock::Timeout=600 update ||
		echo "packages.sh: apt-get update failed, going on with the lists there are" >&2
	apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confold \
		install --no-install-recommends "$@"
}

if ! command -v dpkg-query >/dev/null; then
	echo "packages.sh: no dpkg here; taking for granted what Debian calls:" >&2
	for purpose; do packages_for "$purpose" >&2; done
	exit 0
fi

missing=$(find_missing "$@")
[ -n "${missing% }" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	# shellcheck disable=SC2086 # words are wanted
	install $missing
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	exec sudo -n sh "$0" "$@"
else
	echo "Missing packages, and no right to install them. As root:" >&2
	echo "    apt-get install --no-install-recommends $missing" >&2
	exit 2
fi
