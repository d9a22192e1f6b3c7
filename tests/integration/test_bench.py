# SPDX-License-Identifier: PostgreSQL
"""The programs of bench/: is what they print to be believed, and do they print nothing else?

Sizes are tiny. No figure decides a test.
"""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import time

import pytest

from athena_test import ROOT, wait_until

BENCH = ROOT / "bench"
PATIENCE_S = 600 # what takes longer hangs
METRICS = ["claim_p50_ms", "claim_p95_ms", "claim_p99_ms", "enqueue_rate", "completion_rate", "queue_depth"]


def load(name):
    """A program of bench/ as a module; main() is not run."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_").removesuffix(".py"), str(BENCH / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    sys.path.insert(0, str(BENCH))
    try:
        loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCH))
        sys.dont_write_bytecode = before
    return module


# --- bench/athena-bench, by the contract of the public harness

@pytest.fixture
def adapter(empty_database, tmp_path):
    """Starts it; ended with the test."""
    started = []

    def start(**settings):
        with open(tmp_path / "stdout", "w") as out, open(tmp_path / "stderr", "w") as err:
            process = subprocess.Popen(
                [BENCH / "athena-bench"], stdout=out, stderr=err, env={
                    **os.environ, "DATABASE_URL": empty_database.url, "SCENARIO": "long_horizon",
                    **{name: str(value) for name, value in settings.items()}})
        started.append(process)
        return process
    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def said(tmp_path):
    """The lines of stdout so far."""
    return lambda: [json.loads(line) for line in (tmp_path / "stdout").read_text().splitlines(keepends=True)
                    if line.endswith("\n")]


@pytest.fixture
def ticks(said):
    """{time: {metric: value}} of those that are complete."""
    def ticks():
        found = {}
        for line in said()[1:]:
            found.setdefault(line["t"], {})[line["metric"]] = line["value"]
        return {at: values for at, values in found.items() if "queue_depth" in values}
    return ticks


def test_adapter_keeps_its_contract(adapter, said, ticks, empty_database):
    process = adapter(PRODUCER_MODE="fixed", PRODUCER_RATE=200, PRODUCER_BATCH_MAX=50, PRODUCER_BATCH_MS=20,
                      WORKER_COUNT=2, JOB_PAYLOAD_BYTES=100, JOB_WORK_MS=0, SAMPLE_EVERY_S=0.5)
    wait_until(lambda: sum(values["completion_rate"] > 0 for values in ticks().values()) >= 2)
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    descriptor, *samples = said()
    assert list(descriptor) == ["kind", "system", "event_tables", "extensions", "version", "schema_version",
                                "db_name", "started_at"]
    assert (descriptor["kind"], descriptor["system"]) == ("descriptor", "athena")
    assert descriptor["db_name"] == empty_database.name
    for table in descriptor["event_tables"]:
        assert empty_database.value("SELECT to_regclass(%s)", table), table
    for at, values in ticks().items():
        assert at[-5:] in (".000Z", ".500Z")
        # No wait is known before the first job has begun.
        assert list(values) == METRICS or list(values) == METRICS[3:] and values["completion_rate"] == 0
    for sample in samples:
        assert {key: sample[key] for key in sample if key not in ("t", "metric", "value")} == {
            "system": "athena", "kind": "adapter", "subject_kind": "adapter", "subject": "", "window_s": 30}
        assert sample["value"] >= 0
    assert all(list(ticks().values())[-1][metric] > 0 for metric in METRICS[:-1])
    assert empty_database.value("SELECT max(pg_column_size(payload)) FROM athena.jobs") in range(90, 130)
    assert empty_database.conservation() == []


def test_adapter_fills_up_to_a_depth(adapter, ticks, database):
    """And not beyond it: where nobody may claim, exactly so many jobs become ready."""
    database.query("SELECT athena.pause('noop')")
    adapter(DATABASE_URL=database.url, PRODUCER_MODE="depth-target", TARGET_DEPTH=130, PRODUCER_BATCH_MAX=50,
            WORKER_COUNT=1, SAMPLE_EVERY_S=0.5)
    wait_until(lambda: [values["queue_depth"] for values in ticks().values()][-2:] == [130, 130])
    assert database.value("SELECT count(*) FROM athena.jobs") == 130


@pytest.mark.parametrize("setting, value", [
    ("DATABASE_URL", "nothing of the kind"), ("SCENARIO", "drain"), ("PRODUCER_MODE", "fast"),
    ("PRODUCER_RATE", "-1"), ("PRODUCER_RATE", "nan"), ("TARGET_DEPTH", "many"), ("PRODUCER_BATCH_MAX", "0"),
    ("PRODUCER_BATCH_MS", "0"), ("WORKER_COUNT", "1.5"), ("JOB_PAYLOAD_BYTES", "1e3"), ("JOB_WORK_MS", ""),
    ("SAMPLE_EVERY_S", "0")])
def test_adapter_refuses_nonsense(setting, value):
    with pytest.raises(ValueError, match=f"^{setting} must be "):
        load("athena-bench").read_settings({"DATABASE_URL": "postgresql:///x", setting: value})


def test_adapter_ends_with_2_for_nonsense_and_1_for_a_lost_database(own_cluster, adapter, ticks, tmp_path):
    bad = subprocess.run([BENCH / "athena-bench"], capture_output=True, text=True,
                         env={**os.environ, "DATABASE_URL": "postgresql:///x", "WORKER_COUNT": "none"})
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "athena-bench: WORKER_COUNT must be a whole number from 1 to 1000, not 'none'\n"
    lost = adapter(DATABASE_URL=own_cluster.create_database("lost").url, SAMPLE_EVERY_S=0.5)
    wait_until(ticks)
    own_cluster.stop("immediate")
    assert lost.wait(PATIENCE_S) == 1
    assert (tmp_path / "stderr").read_text().splitlines()[-1].startswith("athena-bench: ")


def test_adapter_credits_what_was_owed_while_a_commit_took_long():
    program = load("athena-bench")
    producer = program.Producer(program.read_settings({"DATABASE_URL": "postgresql:///x", "PRODUCER_RATE": "100"}))
    producer.enqueued = 40
    assert producer._owed(None, time.monotonic() - 2) == 160


def test_adapter_interpolates_within_buckets():
    program = load("athena-bench")
    inf = float("inf")
    assert program.quantile_ms({0.001: 0, 0.002: 100, 0.005: 100, inf: 100}, 0.5) == pytest.approx(1.5)
    assert program.quantile_ms({0.001: 50, 0.002: 50, 0.005: 100, inf: 100}, 0.99) == pytest.approx(4.94)
    assert program.quantile_ms({0.001: 10, 0.002: 10, inf: 100}, 0.5) == pytest.approx(2.0)
    assert program.next_sample(5, 1000.1) == 1005
    assert program.next_sample(0.5, 1000.0) == 1000


# --- Questions

def test_no_figure_without_durability(cluster, database, capsys):
    """The servers of the tests run with fsync off, as no benchmark may."""
    stand = load("stand.py")
    bench = stand.Stand("any")
    bench.cluster, bench._about = cluster, {}
    with pytest.raises(SystemExit, match="fsync.* is no basis for a figure"):
        bench.emit(stand.Queue(cluster, database.name), "any", jobs_per_s=1)
    assert capsys.readouterr().out == ""


def test_no_figure_when_jobs_are_missing_or_failed(cluster, database, run):
    stand = load("stand.py")
    queue = stand.Queue(cluster, database.name)
    queue.fill(3)
    run("athena-worker", "--family=noop", "--once")
    queue.check(3)
    with pytest.raises(SystemExit, match="no figure"):
        queue.check(4)
    queue.enqueue("noop", {"fail": "permanent"})
    run("athena-worker", "--family=noop", "--once")
    with pytest.raises(SystemExit, match="no figure"):
        queue.check(4)
    queue.query("DELETE FROM athena.jobs WHERE id = (SELECT min(id) FROM athena.jobs)")
    with pytest.raises(SystemExit, match="no figure"):
        queue.check(3)


def bench(*args):
    done = subprocess.run([sys.executable, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_a_question_and_its_summary(tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text(bench(BENCH / "drain.py", "--jobs", 200, "--rounds", 1).stdout)
    answers = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [answer["variant"] for answer in answers] == ["workers=1", "workers=2"]
    for answer in answers:
        assert answer["jobs"] == 200 and answer["jobs_per_s"] > 0 and answer["wal_bytes_per_job"] > 0
        assert answer["postgres"]["fsync"] == "on" and answer["machine"]["cpus"] == os.cpu_count()
        assert answer["commit"]
    summary = bench(BENCH / "summary.py", lines).stdout
    assert "drain, workers=2" in summary and "fsync on" in summary


def test_what_is_answered_is_not_asked_again(tmp_path):
    """Nor is the answer believed that was being written when the run was broken off."""
    lines = tmp_path / "lines.jsonl"
    answer = {"question": "drain", "variant": "workers=1", "round": 2, "jobs_per_s": 3}
    lines.write_text(json.dumps(answer) + "\n" + json.dumps({**answer, "round": 3}))
    stand = load("stand.py").Stand("drain", lines)
    assert stand.answer("workers=1", 2) == answer
    assert stand.answer("workers=1", 3) is stand.answer("workers=2", 2) is None
    assert load("stand.py").Stand("steady", lines).answer("workers=1", 2) is None
