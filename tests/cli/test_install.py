# SPDX-License-Identifier: PostgreSQL
"""make install: what is installed needs nothing of the folder that it was built in."""
import os
import subprocess

from athena_test import BUILD, ROOT

PROGRAMS = ["athena", "athena-worker", "athena-daemon"]


def install(destination):
    """The build folder's SAN names are joined by dashes, and by commas for make."""
    san = BUILD.name.removeprefix("build").removeprefix("-").replace("-", ",")
    subprocess.run(["make", "-C", ROOT, "install", f"DESTDIR={destination}", "PREFIX=/opt/athena",
                    f"SAN={san}", "PACKAGES=skip"], check=True, capture_output=True)
    return destination / "opt/athena"


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
