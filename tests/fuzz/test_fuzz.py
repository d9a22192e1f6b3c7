# SPDX-License-Identifier: PostgreSQL
"""Each fuzzer for a moment: its corpus, and so many inputs made of it, the same each time.

`make fuzz` runs them for long (tests/fuzz/run).
"""
import shutil
import subprocess

import pytest

from athena_test import FUZZ_BUILD, ROOT, patience

HERE = ROOT / "tests/fuzz"
FUZZERS = sorted(path.stem for path in HERE.glob("*.c"))

# Seconds each on a machine that does nothing else.
RUNS = {"config": 1500, "http": 10_000}
OTHERS = 20_000


@pytest.mark.parametrize("name", FUZZERS)
def test_fuzzer(tmp_path, name):
    corpus = tmp_path / "corpus"
    shutil.copytree(HERE / "corpus" / name, corpus)
    dictionary = HERE / f"{name}.dict"
    done = subprocess.run(
        [FUZZ_BUILD / "tests/fuzz" / name, f"-runs={RUNS.get(name, OTHERS)}", "-seed=1", f"-timeout={int(60 * patience())}",
         *([f"-dict={dictionary}"] if dictionary.exists() else []), corpus],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        timeout=280 * patience())
    assert done.returncode == 0, done.stdout[-8000:]
