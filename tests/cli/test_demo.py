# SPDX-License-Identifier: PostgreSQL
"""make demo: the whole way from an INSERT to a cloned database, and nothing left of it."""
import os
import re
import signal

from athena_test import BUILD, ROOT, processes, run_program, wait_until

DEMO = str(ROOT / "tools/demo.sh")


def test_demo(tmp_path, folder):
    done = run_program(DEMO, 1, cwd=tmp_path, env={"ATHENA_BUILD": BUILD.name, "TMPDIR": str(folder)})
    text = done.stdout
    assert re.findall(r"^(\d)\. ", text, re.M) == ["1", "2", "3", "4", "5"]
    assert ("\nathena=> INSERT INTO athena.jobs (family, payload) VALUES ('clone',\n"
            '        \'{"source": "postgresql:///shop", "target": "postgresql:///shop_copy"}\');\n'
            "INSERT 0 1\n") in text
    assert re.search(r"verify_target +the clone equals its source: \d+ definitions, \d+ tables", text)
    assert "\njob 1, clone: succeeded\n" in text
    assert re.findall(r"^ (shop\w*) +\| \d+ MB \| A shop that sells", text, re.M) == ["shop", "shop_copy"]
    assert "\033" not in text
    assert list(folder.iterdir()) == []


def test_an_interrupted_demo_leaves_nothing(spawn, folder):
    demo = spawn(DEMO, 100, env={"ATHENA_BUILD": BUILD.name, "TMPDIR": str(folder)})
    wait_until(lambda: "loading" in demo.stdout(), what="it has begun")
    (made,) = folder.iterdir()
    server = int((made / ".athena/data/postmaster.pid").read_text().split()[0])
    os.killpg(demo.pid, signal.SIGINT)
    assert demo.wait() == 130
    assert server not in processes()
    assert demo.session_pids() == []
    assert list(folder.iterdir()) == []
