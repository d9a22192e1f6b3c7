# SPDX-License-Identifier: PostgreSQL
"""Cron patterns by chance: good ones fire when the clock on the wall says so, nonsense is refused in our words.

ATHENA_SEEDS="4 5 6" tries others.
"""
import os
import random
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import psycopg
import pytest

from walls import Pattern, next_fire

SEEDS = os.environ.get("ATHENA_SEEDS", "1 2 3").split()
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo",
         "Africa/Cairo", "Asia/Kathmandu", "Pacific/Apia", "America/Caracas"]
FIELDS = {"minutes": (0, 59), "hours": (0, 23), "days": (1, 31), "months": (1, 12), "weekdays": (0, 6)}
NAMES = {"months": "jan feb mar apr may jun jul aug sep oct nov dec".split(), "weekdays": "sun mon tue wed thu fri sat".split()}
HORIZON = timedelta(days=800)


@pytest.fixture(scope="module")
def conn(cluster):
    database = cluster.migrated_database("cron_random")
    yield database.connect(options="-c jit=off")
    database.drop()


def spelt(rng, name, number):
    if name in NAMES and rng.random() < 0.4:
        word = NAMES[name][number - FIELDS[name][0]]
        return rng.choice([word, word.upper(), word.title()])
    return f"{number:02}" if rng.random() < 0.2 else str(number)


def item(rng, name):
    """One value of a list: as it is written, and the numbers that it stands for."""
    low, high = FIELDS[name]
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    step = rng.randint(1, high - low + 1)
    kind = rng.choice(["value", "value", "range", "stepped", "every"])
    if kind == "value":
        return spelt(rng, name, first), {first}
    if kind == "every":
        return f"*/{step}", set(range(low, high + 1, step))
    text = f"{first}-{last}" if kind == "range" else f"{first}-{last}/{step}"
    return text, set(range(first, last + 1, step if kind == "stepped" else 1))


def field(rng, name):
    if rng.random() < {"minutes": 0.15, "hours": 0.3}.get(name, 0.6):
        return rng.choice("**?"), None
    items = [item(rng, name) for _ in range(rng.choice([1, 1, 2, 3]))]
    return ",".join(text for text, _ in items), set().union(*(numbers for _, numbers in items))


def pattern(rng):
    fields = {name: field(rng, name) for name in FIELDS}
    clock = [fields["minutes"], fields["hours"]]
    is_once_a_day = all(not set("*?/") & set(text) and len(numbers) == 1 for text, numbers in clock)
    text = rng.choice([" ", "  ", "\t"]).join(text for text, _ in fields.values())
    return text, Pattern(*(numbers for _, numbers in fields.values()), is_once_a_day)


def moments(rng, zone):
    """Some day, and one on which the clock is set if it ever is: then more happens."""
    start = datetime(rng.randint(2008, 2021), 1, 1, tzinfo=timezone.utc)
    hours = [start + timedelta(hours=n) for n in range(24 * 400)]
    changes = [at for at, then in zip(hours, hours[1:]) if at.astimezone(zone).utcoffset() != then.astimezone(zone).utcoffset()]
    return [at + timedelta(seconds=rng.randint(-90000, 9000), microseconds=rng.choice([0, 0, 999999]))
            for at in [rng.choice(hours), *changes[:1]]]


@pytest.mark.parametrize("seed", SEEDS)
def test_patterns_fire_when_the_wall_says(conn, seed):
    rng = random.Random(seed)
    for _ in range(60):
        cron, meant = pattern(rng)
        name = rng.choice(ZONES)
        for after in moments(rng, ZoneInfo(name)):
            found = conn.execute("SELECT athena.next_fire(%s, %s, %s) AS at", [cron, name, after]).fetchone()["at"]
            expected = next_fire(meant, ZoneInfo(name), after, after + HORIZON)
            if expected is None:
                assert found is None or found > after + HORIZON, (cron, name, after)
            else:
                assert found == expected, (cron, name, after)


def nonsense(rng):
    """Half of it a good pattern with something done to it, half of it letters."""
    if rng.random() < 0.5:
        return "".join(rng.choice("*,-/#?lLwW+@0123456789 :\t\nmonfrijanlast°\\'") for _ in range(rng.randint(0, 30)))
    cron, _ = pattern(rng)
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(cron))
        cron = cron[:at] + rng.choice([*"*,-/#lw+?90", "99999999999", "mon", "jan", " "]) + cron[at + rng.randint(0, 2):]
    return cron


@pytest.mark.parametrize("seed", SEEDS)
def test_nonsense_is_refused_in_our_words(conn, seed):
    """Whatever it is: a time that lies ahead, never, or a sentence that says what is wrong."""
    rng = random.Random(f"nonsense {seed}")
    after = datetime(2019, 3, 30, 12, tzinfo=timezone.utc)
    refused = 0
    for _ in range(400):
        cron = nonsense(rng)
        try:
            found = conn.execute("SELECT athena.next_fire(%s, 'Europe/Berlin', %s) AS at", [cron, after]).fetchone()["at"]
            assert found is None or found > after, cron
        except psycopg.errors.InvalidParameterValue as error:
            assert error.diag.message_primary.startswith("bad cron: "), cron
            refused += 1
    assert 100 < refused < 400
