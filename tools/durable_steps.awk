# SPDX-License-Identifier: PostgreSQL
# Finds steps that change something durable and have no fault point (src/base/fault_points.h):
# awk -f durable_steps.awk sql/migrations/*.sql src/base/fault_points.h sql/statements/*.sql src/*/*.c
#
# A statement writes if it says INSERT, COPY, UPDATE or DELETE, or calls a function of Athena's that is not
# declared STABLE or IMMUTABLE: then it must be a step. Commands that are built as text (DDL, mostly)
# stand in files with points in them. And a step has to be passed where it says it is.

BEGIN {
	# What writes nothing that outlives it, or is passed by somebody else's point.
	exempt["src/cli/doctor.c"] = "notifies itself, reads"
	exempt["src/cli/figures.c"] = "opens transactions that read"
	exempt["src/cli/job_explain.c"] = "reads, and rolls back"
	exempt["src/db/query.c"] = "runs what its callers name"
	exempt["src/families/attempt_query.c"] = "runs what its callers name"
	exempt["src/families/clone/ddl.c"] = "runs what its callers name"
	exempt["src/families/clone/endpoint.c"] = "locks, in transactions that read"
	exempt["src/families/clone/lanes.c"] = "opens transactions that read, and sets sessions up"
	exempt["src/families/clone/preflight.c"] = "opens transactions that read, and locks"
	exempt["src/families/clone/texts.c"] = "rolls back all that it does"
}

FNR == 1 {
	end_function()
	end_statement()
	kind = FILENAME ~ /migrations/ ? "migration" : FILENAME ~ /statements/ ? "statement" : FILENAME ~ /fault_points\.h$/ ? "points" : "source"
	stem = FILENAME
	sub(/.*\//, "", stem)
	sub(/\.sql$/, "", stem)
}

kind != "source" && kind != "points" { sub(/--.*/, "") }

# --- Functions: volatile unless they say otherwise before their body.

function end_function()
{
	if (in_head)
		volatile[in_head] = 1
	in_head = ""
}

kind == "migration" && match($0, /^CREATE( OR REPLACE)? FUNCTION athena\.[a-z_]+/) {
	end_function()
	in_head = substr($0, RSTART, RLENGTH)
	sub(/.*athena\./, "", in_head)
}

kind == "migration" && in_head && /(^|[^A-Z_])(STABLE|IMMUTABLE)([^A-Z_]|$)/ { in_head = "" }

kind == "migration" && /(\$\$|^BEGIN ATOMIC|^RETURN )/ { end_function() }

# --- Points

kind == "points" && /^STEP\(/ {
	row = $0
	while (row !~ /\)$/ && (getline line) > 0)
		row = row line
	split(row, quoted, "\"")
	step = quoted[2]
	steps[step] = 1
	count = split(row, part, "\"")
	where[step] = part[row ~ /STATEMENT|CALL/ ? 4 : 6]
	is_statement[step] = row ~ /STATEMENT|CALL/
}

# --- Statements

function end_statement(   call)
{
	if (!text)
		return
	writes = text ~ /(^|[^A-Za-z_])(INSERT INTO|COPY|DELETE FROM|UPDATE [a-z])/
	while (match(text, /athena\.[a-z_]+ *\(/)) {
		call = substr(text, RSTART + 7, RLENGTH - 7)
		sub(/ *\($/, "", call)
		writes = writes || call in volatile
		text = substr(text, RSTART + RLENGTH)
	}
	if (writes && !(statement in steps))
		print "sql/statements/" statement ".sql writes, and src/base/fault_points.h has no step of that name"
	text = ""
}

kind == "statement" {
	statement = stem
	text = text " " $0
}

# --- Sources

kind == "source" {
	file = FILENAME
	if ($0 ~ /(query_command|query_script|attempt_command|ddl_run)\(/ && $0 !~ /^[a-z].*[^;]$/ && !(file in commands))
		commands[file] = FNR
	if ($0 ~ /FAULT(_FAILS)?\(/)
		has_point[file] = 1
	while (match($0, /(FAULT(_FAILS)?\("[a-z_]+"|&sql_[a-z_]+)/)) {
		name = substr($0, RSTART, RLENGTH)
		gsub(/^(&sql_|FAULT[A-Z_]*\(")|"$/, "", name)
		passed[name] = passed[name] " " file
		$0 = substr($0, RSTART + RLENGTH)
	}
}

END {
	end_statement()
	for (file in commands)
		if (!(file in has_point) && !(file in exempt))
			print file ":" commands[file] ": runs a command, and has no fault point"
	for (step in steps)
		if (index(passed[step], " src/" where[step]) == 0)
			print "src/base/fault_points.h: " step " is not in src/" where[step]
}
