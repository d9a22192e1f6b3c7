# SPDX-License-Identifier: PostgreSQL
"""make install: what is installed needs nothing of the folder that it was built in."""
import json
import os
import pathlib
import shutil
import subprocess

from athena_test import BUILD, ROOT, run_program

PROGRAMS = ["athena", "athena-worker", "athena-daemon"]


def install(destination, prefix="/opt/athena"):
    """The build folder's SAN names are joined by dashes, and by commas for make."""
    san = BUILD.name.removeprefix("build").removeprefix("-").replace("-", ",")
    subprocess.run(["make", "-C", ROOT, "install", f"DESTDIR={destination}", f"PREFIX={prefix}",
                    f"SAN={san}", "PACKAGES=skip"], check=True, capture_output=True)
    return pathlib.Path(f"{destination}{prefix}")


def test_programs_run_from_where_they_are_installed(tmp_path, run):
    prefix = install(tmp_path / "image")
    for program in PROGRAMS:
        if (BUILD / program).exists():
            moved = (prefix / "bin" / program).rename(tmp_path / program)
            assert run(str(moved), "--version", cwd="/").stdout.startswith("athena")
            assert str(ROOT).encode() not in moved.read_bytes() or "-" in BUILD.name


def test_installing_again_changes_nothing(tmp_path):
    def picture():
        return {path: (os.stat(path).st_mode, path.read_bytes())
                for path in sorted(tmp_path.rglob("*")) if path.is_file()}
    install(tmp_path)
    first = picture()
    install(tmp_path)
    assert picture() == first
    assert tmp_path / "opt/athena/share/doc/athena/LICENSE" in first


def test_man_pages_and_completion_are_installed(tmp_path):
    share = install(tmp_path) / "share"
    assert sorted(path.name for path in share.glob("man/man?/*")) == [
        "athena-config.5", "athena-daemon.1", "athena-worker.1", "athena.1"]
    for program in PROGRAMS:
        assert f" {program}" in (share / "bash-completion/completions" / program).read_text().splitlines()[-1]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    """It looks for the programs where the units say that they are, so these are installed for good."""
    installed = install("", str(tmp_path / "athena"))
    units = [shutil.copy(unit, tmp_path / unit.name.replace("@.", "@clone."))
             for unit in (installed / "lib/systemd/system").glob("*.service")]
    assert len(units) == 3
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], text=True, capture_output=True)
    assert [line for line in (done.stdout + done.stderr).splitlines() if "athena" in line] == []


def test_stopping_may_take_longer_than_draining():
    """TimeoutStopSec is above the defaults of worker.drain and worker.cancel_grace together."""
    told = {row["key"]: row["value"] for row in json.loads(run_program("athena", "config", "show", "--json").stdout)
            if row["section"] == "worker"}
    assert (told["drain"], told["cancel_grace"]) == ("30s", "10s")
    for name in ("athena-worker@.service.in", "athena-daemon.service.in"):
        text = (ROOT / "packaging/systemd" / name).read_text()
        assert int(text.partition("TimeoutStopSec=")[2].split()[0]) > 30 + 10
