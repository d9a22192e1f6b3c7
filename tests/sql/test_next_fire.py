# SPDX-License-Identifier: PostgreSQL
"""athena.next_fire() says what croner (npm) says: ten years in twelve zones, and 4000 patterns, good and bad.

next_fire.json.gz is written by tests/support/croner.mjs; `make test-croner` writes it again and compares
all of it. Here it is every fire within a day of where a zone's clocks are set, and of the others one in
97, or all with ATHENA_EVERY_FIRE=1; each asked for from the fire before it and from in between.
"""
import gzip
import json
import os

import psycopg
import pytest

from athena_test import ROOT

FIXTURE = json.loads(gzip.decompress((ROOT / "tests/sql/next_fire.json.gz").read_bytes()))
ONE_IN = 1 if os.environ.get("ATHENA_EVERY_FIRE") else 97

DIFFERENCES = """
WITH fires AS (
	SELECT d.n, to_timestamp((%(start)s + sum(d.distance) OVER w - d.distance) * 60) AS after,
	       to_timestamp((%(start)s + sum(d.distance) OVER w) * 60) AS expected
	  FROM unnest(%(distances)s::integer[]) WITH ORDINALITY AS d (distance, n) WINDOW w AS (ORDER BY d.n)),
chosen AS (
	SELECT f.* FROM fires AS f
	 WHERE f.n %% %(one_in)s = 0
	    OR (f.after - interval '1 day') AT TIME ZONE %(zone)s - (f.after - interval '1 day') AT TIME ZONE 'UTC'
	       <> (f.expected + interval '1 day') AT TIME ZONE %(zone)s - (f.expected + interval '1 day') AT TIME ZONE 'UTC')
SELECT a.after, c.expected, athena.cron_next(athena.cron_parse(%(cron)s), %(zone)s, a.after) AS found
  FROM chosen AS c, LATERAL (VALUES (c.after), (c.after + (c.expected - c.after) * 0.37)) AS a (after)
 WHERE athena.cron_next(athena.cron_parse(%(cron)s), %(zone)s, a.after) IS DISTINCT FROM c.expected LIMIT 5"""


@pytest.fixture(scope="module")
def database(cluster):
    database = cluster.migrated_database("next_fire")
    yield database
    database.drop()


@pytest.mark.parametrize("zone", FIXTURE["zones"])
def test_ten_years(database, zone):
    conn = database.connect(options="-c jit=off")
    for cron, distances in FIXTURE["zones"][zone].items():
        assert conn.execute(DIFFERENCES, {"cron": cron, "zone": zone, "distances": distances, "start": FIXTURE["from"],
                                          "one_in": ONE_IN}).fetchall() == [], f"{cron} in {zone}"


@pytest.fixture(scope="module")
def read(database):
    """The first three fires of a pattern in minutes, or None and what it was refused for."""
    conn = database.connect()
    conn.execute("CREATE FUNCTION pg_temp.fires(cron text) RETURNS integer[] LANGUAGE plpgsql AS $$"
                 " DECLARE p athena.cron := athena.cron_parse(cron); at timestamptz := to_timestamp(%d * 60); found integer[] := '{}';"
                 " BEGIN WHILE cardinality(found) < 3 LOOP at := athena.cron_next(p, 'UTC', at); EXIT WHEN at IS NULL;"
                 " found := found || (extract(epoch FROM at) / 60)::integer; END LOOP; RETURN found; END $$" % FIXTURE["from"])

    def read(cron):
        try:
            return conn.execute("SELECT pg_temp.fires(%s) AS fires", [cron]).fetchone()["fires"], None
        except psycopg.errors.InvalidParameterValue as error:
            return None, error.diag.message_primary
    return read


def test_patterns_are_read_and_refused_alike(read):
    """Whatever is refused is refused in our words: the field, and what is wrong with it."""
    for cron, expected in FIXTURE["patterns"].items():
        found, problem = read(cron)
        assert found == expected, f"{cron!r}: {problem}"
        assert problem is None or problem.startswith("bad cron: "), problem
