# SPDX-License-Identifier: PostgreSQL
"""docs/monitoring: alert rules and a dashboard, by Prometheus' own tools, and the pages that explain them."""
import json
import re
import subprocess

import pytest

from athena_test import ROOT, wait_until
from pages import Pages, Prometheus, documented

MONITORING = ROOT / "docs/monitoring"
RULES = MONITORING / "athena.rules.yaml"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def promtool(*args):
    done = subprocess.run(["promtool", *map(str, args)], text=True, capture_output=True, cwd=MONITORING)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts():
    return re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.M)


def metrics_in(text):
    """The documented name for each, without what a histogram or counter adds."""
    return {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bathena_\w+", text)}


def test_rules_are_rules():
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)
    assert len(alerts()) >= 8


def test_each_alert_fires_when_it_should():
    promtool("test", "rules", "athena.rules.test.yaml")
    cases = (MONITORING / "athena.rules.test.yaml").read_text()
    for alert in alerts():
        assert re.search(rf"alertname: {alert}\n +exp_alerts:", cases), f"{alert} never fires in a test"
        assert re.search(rf"alertname: {alert}\}}", cases), f"{alert} is never silent in a test"


def test_each_alert_is_explained():
    manual = (ROOT / "docs/operations.md").read_text()
    sections = re.findall(r"^### (\w+)\n(.*?)(?=^##)", manual, re.M | re.S)
    assert [name for name, _ in sections] == alerts()
    for name, text in sections:
        for part in ("**Means**", "**Look at**", "**Do**"):
            assert part in text, f"{name}: {part}"
        assert f"operations.md#{name.lower()}" in RULES.read_text()


def test_names_are_those_of_the_manual():
    known = set(documented())
    assert metrics_in(RULES.read_text()) <= known
    assert metrics_in("\n".join(QUERIES)) <= known


def test_panels_lie_beside_each_other():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in DASHBOARD["panels"]})


@pytest.fixture
def prometheus(database, workers, spawn, tmp_path):
    pages = Pages.of(workers.start("noop", "--http=:0"))
    return Prometheus(spawn, tmp_path, [pages])


def test_queries_of_the_dashboard_have_answers(database, prometheus):
    """Of a real Prometheus, after jobs that succeed and fail; a quiet panel would show nothing for ever."""
    database.query("UPDATE athena.families SET max_running = 1 WHERE name = 'noop'")
    database.query("INSERT INTO athena.schedules (name, cron, family) VALUES ('yearly', '@yearly', 'noop')")

    def unanswered():
        database.enqueue("noop")
        database.enqueue("noop", {"fail": "permanent"})
        return [query for query in QUERIES if not prometheus.query(
            query.replace('{family=~"$family"}', '{family="noop"}').replace('family=~"$family"', 'family="noop"')
            .replace("$__rate_interval", "10s"))]
    wait_until(lambda: not unanswered(), what="every query has an answer")
