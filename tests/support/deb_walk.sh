# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2154
# What ../deb does with the installed package: docs/install.md, word by word, and then a life.
#
# There is no systemd to tell, so `systemctl` stands in for it: it runs what a unit says, as the user
# that it names. Everything else is Debian's own.

document=$top/docs/install.md
athena="sudo -u athena athena --config /etc/athena/config.yaml"

install_the_rest()
{
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	quietly inside env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y --no-install-recommends install sudo systemd postgresql
	cat >"$root/usr/local/bin/systemctl" <<'UNIT'
#!/bin/sh
# systemctl enable --now UNIT | stop UNIT | reload UNIT
for unit; do :; done
instance=${unit#*@}
file=/lib/systemd/system/$unit.service
[ "$instance" = "$unit" ] || file=/lib/systemd/system/${unit%@*}@.service
command=$(sed -n "s/^ExecStart=//p" "$file" | sed "s/%i/$instance/g")
pid=/tmp/$unit.pid
case $1 in
enable)
	cd /var/lib/athena || exit
	setsid setpriv --reuid=athena --regid=athena --init-groups $command >>"/var/log/$unit.log" 2>&1 &
	echo $! >"$pid"
	;;
stop)
	kill "$(cat "$pid")" && while kill -0 "$(cat "$pid")" 2>/dev/null; do sleep 0.1; done
	;;
reload) kill -HUP "$(cat "$pid")" ;;
esac
UNIT
	chmod 755 "$root/usr/local/bin/systemctl"
	inside pg_ctlcluster 15 main start
}

# The commands of the blocks between two headings, without their remarks.
commands_between()
{
	awk -v from="## $1" -v to="## $2" '
		$0 == to { exit }
		$0 == from { is_inside = 1 }
		/^```/ { is_block = is_inside && $0 == "```sh"; next }
		is_block && NF { sub(/ +# .*/, ""); print }' "$document"
}

# A line of a shell, in the new system.
line()
{
	inside bash -o pipefail -c "$1" >"$scratch/printed" 2>&1 && return
	cat "$scratch/printed"
	inside sh -c 'tail -n 20 /var/log/athena-*.log' || :
	fail "$1"
}

follow_the_document()
{
	commands_between 'A database' 'Services' >"$scratch/first"
	commands_between 'Services' 'Connections, and a pooler in between' >"$scratch/second"
	[ -s "$scratch/second" ] || fail "no commands in $document"
	while read -r command <&3; do
		say "  $command"
		case $command in
		*" doctor") line "$command || [ \$? = 1 ]" ;; # which says that nobody works yet
		*) line "$command" ;;
		esac
	done 3<"$scratch/first"
	while read -r command <&3; do
		say "  $command"
		line "$command"
	done 3<"$scratch/second"
}

# Until a command succeeds.
until_it()
{
	for _ in $(seq 600); do
		inside bash -c "$1" >"$scratch/printed" 2>&1 && return
		sleep 0.1
	done
	line "$1"
}

enqueue()
{
	inside sh -c "$athena enqueue $*"
}

# An executor that is killed, a family that fails, a restarted server: nothing is lost.
break_and_repair()
{
	local job
	say "an executor is killed, and the job runs again"
	job=$(enqueue "noop '{\"sleep_ms\": 3000}'")
	until_it "$athena job list --state running --json | grep -q '\"job_id\": $job,'"
	inside sh -c "kill -9 \$(grep -lz '^athena-executor' /proc/[0-9]*/cmdline | cut -d/ -f3)"
	until_it "$athena job list --state succeeded --json | grep -q '\"job_id\": $job,'"

	say "what failed for good is found, and run again"
	job=$(enqueue "noop '{\"fail\": \"permanent\"}'")
	until_it "$athena job list --state dead --json | grep -q '\"job_id\": $job,'"
	line "$athena job retry --state dead --family noop --since 1h"

	say "the server goes away and comes back"
	inside pg_ctlcluster 15 main stop -m immediate
	inside pg_ctlcluster 15 main start
	until_it "$athena enqueue noop --wait"
}

install_the_rest
check_units
say "following docs/install.md"
follow_the_document
break_and_repair
say "an update leaves what runs alone"
install_again
line "$athena enqueue noop --wait"
line "sudo systemctl reload athena-daemon"
until_it "grep ' reloaded ' /var/log/athena-daemon.log"
line "sudo systemctl stop athena-worker@clone && sudo systemctl stop athena-daemon"
inside pg_ctlcluster 15 main stop
