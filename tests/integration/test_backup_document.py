# SPDX-License-Identifier: PostgreSQL
"""The commands of docs/families/backup.md, in their order, by a reader who has a database `shop`."""
import re
import subprocess

from athena_test import BUILD, ROOT, program_environment
from backups import Store, quicken
from canary import sections
from clones import databases, load_shop


def commands():
    text = (ROOT / "docs/families/backup.md").read_text()
    return [re.sub(r"\s+# .*", "", line) for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
            for line in block.splitlines()]


def test_as_written(database, cluster, workers, tmp_path):
    shop = load_shop(cluster.new_database(label="shop"))
    again = f"{shop.name}_again"
    store = Store(tmp_path / "store")
    quicken(database)
    workers.start("backup", env=store.env, secrets={**sections(), "postgres_clients": {"shop": shop.url}})
    places = {"postgresql:///shop_again": f"'{cluster.url(again)}'", "postgresql:///shop --": f"'{shop.url}' --",
              "--replace shop": f"--replace {shop.name}", "/etc/athena/backup.key": str(tmp_path / "backup.key"),
              " -g athena": ""}
    environment = {**program_environment(tmp_path, database.url), "PATH": f"{BUILD}:/usr/bin:/bin"}
    for command in commands():
        for place, ours in places.items():
            command = command.replace(place, ours)
        command = re.sub(r" 17\b", f" {database.value('SELECT min(job_id) FROM athena.backups')}", command)
        done = subprocess.run(["bash", "-c", command], text=True, capture_output=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        for job in re.findall(r"\A(\d+)$", done.stdout, re.M):
            assert database.wait_for_state(int(job), "succeeded")["state"] == "succeeded"
    assert again in databases(cluster)
    assert re.fullmatch(r"[0-9a-f]{64}\n", (tmp_path / "backup.key").read_text())
    assert database.column("SELECT family FROM athena.schedules") == ["backup", "backup"]
    for name in databases(cluster):
        if name.startswith(shop.name):
            cluster.drop_database(name)
