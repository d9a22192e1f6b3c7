#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Finds what a compiler does not: lint.sh CHECK..., in a working copy.
#
# A check is a function below that prints its findings, one per line, and nothing when there are
# none; `quick` and `all` stand for several. ATHENA_BUILD and LINT_CFLAGS come from the Makefile.
# shellcheck disable=SC2317 # the checks are called by name
set -u

quick="format include_direction own_header_first banned_calls promises licence_lines places durable_steps"
all="$quick shell_scripts cpp_check tidy"

files()
{
	git ls-files --cached --others --exclude-standard -- "$@" 2>/dev/null |
		while read -r file; do [ ! -f "$file" ] || echo "$file"; done
}

format()
{
	files '*.[ch]' | xargs -r clang-format --dry-run -Werror
}

# base <- config <- store <- s3 <- db <- queue <- families <- worker, maintenance <- http <- cli <- the programs.
# Own folder and those further left may be included; the SQL and version headers have no folder.
include_direction()
{
	# shellcheck disable=SC2016 # these are awk's
	files 'src/*.[ch]' | xargs awk '
		BEGIN {
			split("base config store s3 db queue families worker http cli", order)
			for (i in order)
				rank[order[i]] = i + 0
			rank["maintenance"] = rank["worker"]
		}
		FNR == 1 { split(FILENAME, path, "/"); own = path[3] == "" ? "" : path[2] }
		/^#include "[a-z0-9]+\// {
			split($2, part, /["\/]/)
			if (!(part[2] in rank))
				print FILENAME ":" FNR ": " part[2] "/ has no place in the order"
			else if (own != "" && own != part[2] && rank[part[2]] >= rank[own])
				print FILENAME ":" FNR ": " own "/ may not include " part[2] "/"
		}'
}

# Own header first, so that each header is known to stand alone.
own_header_first()
{
	files 'src/*/*.c' | while read -r file; do
		header=${file#src/}
		header=${header%.c}.h
		[ -f "src/$header" ] || continue
		first=$(sed -n 's/^#include ["<]\(.*\)[">]$/\1/p' "$file" | head -n 1)
		[ "$first" = "$header" ] || echo "$file: includes $first before $header"
	done
}

# Unbounded copies, hidden state, the shell, and waiting by the clock.
banned_calls()
{
	files 'src/*.[ch]' | xargs grep -nE \
		'(^|[^[:alnum:]_])(strcpy|strcat|v?sprintf|strtok|gets|ato[ilf]|alloca|mktemp|tmpnam|system|popen|u?sleep) ?\(' \
		/dev/null
	return 0
}

# The first line of a statement says what it promises.
promises()
{
	files 'sql/statements/*.sql' | while read -r file; do
		head -n 1 "$file" | grep -qE '^-- .{15,}' || echo "$file: begins without its promise"
	done
}

licence_lines()
{
	files '*.[ch]' '*.py' '*.sh' '*.awk' Makefile |
		while read -r file; do
			head -n 2 "$file" | grep -q 'SPDX-License-Identifier: PostgreSQL' ||
				echo "$file: no SPDX line"
		done
}

# Nothing here may depend on one machine or on a host of the network; names set aside for examples
# (RFC 2606, RFC 6761) and links in documents may stand.
places()
{
	files ':!docs' ':!*.md' ':!LICENSE' ':!packaging/debian/copyright' ':!tools/lint.sh' ':!tests/cli/test_lint.py' | xargs grep -nIE \
		'(^|[^[:alnum:]_.$}-])/(root|work|home/[a-z]+)/|https?://[a-z0-9.-]+\.[a-z]+' /dev/null |
		grep -vE 'https?://([a-z0-9-]+\.)*(example(\.(com|org|net))?|test|invalid|localhost)([:/"'"'"' ]|$)'
	return 0
}

# Whatever changes something durable has a fault point, for the crash matrix.
durable_steps()
{
	[ -f src/base/fault_points.h ] || return 0
	# shellcheck disable=SC2046 # names of ours have no spaces
	awk -f tools/durable_steps.awk $(files 'sql/migrations/*.sql') src/base/fault_points.h \
		$(files 'sql/statements/*.sql') $(files 'src/*/*.c')
}

shell_scripts()
{
	files | while read -r file; do
		case $(head -c 40 "$file" | head -n 1) in
		'#!/bin/sh'* | '#!/bin/bash'* | '#!/usr/bin/env bash'*) echo "$file" ;;
		esac
	done | xargs -r shellcheck -x
}

tidy()
{
	export LINT_CFLAGS
	# shellcheck disable=SC2016 # the inner shell expands
	{
		files 'src/*.c' 'tests/unit/*.c' ':!src/base/err.c' | xargs -r -n 4 -P 2 sh -c \
			'clang-tidy --quiet "$@" -- $LINT_CFLAGS -include tools/clang-tidy.h' tidy
		# shellcheck disable=SC2086 # flags are words
		clang-tidy --quiet src/base/err.c -- $LINT_CFLAGS
	} 2>&1 | sed -n "s|^$PWD/||; /: \(error\|warning\): /p"
	return 0
}

# It does not know CLEANUP(), nor that attempt->state points into the frame of execute() on purpose;
# and what is not reentrant may be called, since we have no threads.
cpp_check()
{
	files 'src/*.c' | xargs -r cppcheck --quiet --enable=warning,performance,portability \
		--suppress=resourceLeak --suppress=memleak --suppress=autoVariables \
		--suppress=getpwnamCalled --suppress=getpwuidCalled --suppress=readdirCalled --error-exitcode=1 \
		--std=c11 --library=posix --library=gnu --include=tools/cppcheck.h \
		--template='{file}:{line}: {message} [{id}]' -D_GNU_SOURCE -Isrc -I"$ATHENA_BUILD/gen"
}

cd "$(dirname "$0")/.." || exit 2
status=0
case $* in
quick) checks=$quick ;;
all) checks=$all ;;
*) checks=$* ;;
esac
for check in $checks; do
	findings=$($check 2>&1)
	result=$?
	[ "$result" = 0 ] && [ -z "$findings" ] && continue
	printf '%s:\n%s\n' "$check" "$findings"
	status=1
done
exit $status
