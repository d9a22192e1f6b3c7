# SPDX-License-Identifier: PostgreSQL
"""make deb: a package that installs, and of which nothing is left when it is purged.

Here it is installed over this system, below a layer that is thrown away; `make test-deb` does it in a
bare Debian, and uses it there.
"""
import re
import subprocess

import pytest

from athena_test import BUILD, ROOT


@pytest.fixture(scope="module")
def package():
    """The build folder's SAN names are joined by dashes, and by commas for make."""
    san = BUILD.name.removeprefix("build").removeprefix("-").replace("-", ",")
    done = subprocess.run(["make", "-C", ROOT, "deb", f"SAN={san}", "PACKAGES=skip"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (BUILD / "deb").glob("athena_*.deb")
    return path


def test_its_version_is_the_programs(package, run):
    assert package.name.split("_")[1] == run("athena", "--version").stdout.split()[1]
    log = (ROOT / "packaging/debian/changelog").read_text()
    assert re.match(r"athena \((\S+)\) ", log)[1] == package.name.split("_")[1]


def test_it_is_built_from_what_the_build_installs():
    script = (ROOT / "tools/packages.sh").read_text().replace("\\\n", "")
    installed = set(re.search(r"\tbuild\) echo (.*?) ;;", script)[1].split()) - {"gcc", "libc6-dev", "make"}
    control = (ROOT / "packaging/debian/control").read_text().partition("\nPackage:")[0]
    assert set(re.findall(r"^ ([a-z0-9-]+),$", control, re.M)) == installed


def test_install_use_remove_purge(package):
    done = subprocess.run([ROOT / "tests/deb", "--here", package], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("deb: installed, used, removed, purged: all good\n")
