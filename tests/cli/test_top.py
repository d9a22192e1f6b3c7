# SPDX-License-Identifier: PostgreSQL
"""athena top: what it shows, on a real terminal (tmux) and where there is none, and that it gives the
terminal back whatever ends it."""
import json
import re
import shlex
import signal
import subprocess

import pytest

from athena_test import BUILD, program_environment, wait_until

LOOK = "--interval=100ms"


class Screen:
    """A shell in a terminal of tmux's, whose server is a child of the test."""

    def __init__(self, spawn, folder, url, **env):
        self._folder = folder
        self._socket = folder / "tmux"
        self._server = spawn("tmux", "-f", "/dev/null", "-S", self._socket, "-D")
        env = {"PATH": f"{BUILD}:/usr/bin:/bin", "TZ": "Asia/Tokyo", "ATHENA_DATABASE_URL": url, **env}
        (folder / "rc").write_text("PS1='prompt> '\n" + "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in env.items()))
        wait_until(self._socket.exists)
        self.tmux("new-session", "-d", "-x", "120", "-y", "40", "-c", folder, f"bash --noprofile --rcfile {folder / 'rc'}")
        self.wait("^prompt> ?$")

    def tmux(self, *args):
        done = subprocess.run(["tmux", "-S", self._socket, *args], text=True, capture_output=True,
                              env=program_environment(self._folder))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def text(self, *args):
        return self.tmux("capture-pane", "-p", *args).rstrip("\n")

    def wait(self, pattern):
        """Waits until it is on the screen; the match."""
        try:
            return wait_until(lambda: re.search(pattern, self.text(), re.M), what=repr(pattern))
        except AssertionError as error:
            raise AssertionError(f"{error}, on:\n{self.text()}") from None

    def type(self, *keys):
        self.tmux("send-keys", *keys)

    def enter(self, command):
        self.tmux("send-keys", "-l", command)
        self.type("Enter")

    def show(self, name):
        return self.tmux("display-message", "-p", f"#{{{name}}}").strip()

    def top(self, *args):
        self.enter("stty -g > before; clear")
        self.wait(r"\Aprompt> ?\Z")
        self.enter(" ".join(["athena top", LOOK, *args]))
        self.wait("^athena top  .*\n(.*\n)+.* families ")
        assert (self.show("alternate_on"), self.show("cursor_flag")) == ("1", "0")

    def ended(self, status):
        """It has ended so, and the terminal is as it was before."""
        self.wait("^prompt> athena top .*\n(.*\n)*prompt> ?$")
        assert (self.show("alternate_on"), self.show("cursor_flag"), self.show("wrap_flag")) == ("0", "1", "1")
        assert " families " not in self.text()
        self.enter("echo status $?; stty -g > after; echo written")
        self.wait(rf"^status {status}\nwritten$")
        assert (self._folder / "before").read_text() == (self._folder / "after").read_text()

@pytest.fixture
def screen(spawn, folder, request):
    def screen(url, **env):
        return Screen(spawn, folder, url, **env)
    return screen


def row(screen, family):
    return screen.wait(rf"^{family} .*")[0].split()


def test_one_frame_where_no_terminal_is(run, database, workers):
    workers.start("noop")
    database.query("SELECT athena.pause('clone')")
    database.query("INSERT INTO athena.jobs (family, payload) SELECT 'clone', '{\"source\": \"a\", \"target\": \"b\"}' FROM generate_series(1, 1234)")
    done = run("athena", "top", LOOK)
    assert "\033" not in done.stdout
    assert re.match(r"athena top  \S+ on \S+ as postgres +\d\d:\d\d:\d\d\njobs +1,234 ready  0 scheduled  0 running"
                    r"  0 waiting  0 dead\nper s +0 in  0 done  0 dead\nworkers  1 alive\nlanes    ", done.stdout)
    assert re.search(r"^FAMILY +READY +SCHED +RUN +WAIT +DEAD +IN/S +DONE/S +DEAD/S +OLDEST +PAUSED$", done.stdout, re.M)
    assert re.search(r"^clone +1,234( +0){7} +\S+ m?s +paused$", done.stdout, re.M)
    assert re.search(r"^HOST +PID .* HEARTBEAT +FAMILIES\n.* worker .* alive .* noop$", done.stdout, re.M)
    assert re.search(r"^LANE +STATE .*\npromote .*\nrescue ", done.stdout, re.M)
    assert not re.search(" $", done.stdout, re.M)


def test_without_workers_and_jobs(run, database):
    done = run("athena", "top", LOOK, "--once")
    assert re.search(r"^workers  0 alive$", done.stdout, re.M)
    assert re.search(r"^-- workers  0 -+\nnone\n", done.stdout.replace("─", "-"), re.M)


def test_a_line_of_json_per_look(spawn, database, workers):
    worker = workers.start("noop")
    top = spawn("athena", "top", "--json", LOOK)

    def lines():
        return [json.loads(line) for line in top.stdout().splitlines(keepends=True) if line.endswith("\n")]
    (first,) = wait_until(lines)[:1]
    assert first["families"][0]["ended_per_s"] is None
    assert re.fullmatch(r"20\S+T\S+Z", first["at"])
    assert [w["pid"] for w in first["workers"]] == [worker.pid]
    assert first["workers"][0]["heartbeat_at"].endswith("Z")
    assert "promote" in [lane["lane"] for lane in first["lanes"]]
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 300)")

    def speeds(name):
        return [family[name] for line in lines()[1:] for family in line["families"] if family["family"] == "noop"]
    wait_until(lambda: max(speeds("ended_per_s"), default=0) > 0)
    assert max(speeds("enqueued_per_s")) > 0
    assert top.terminate() == -signal.SIGTERM
    assert top.stderr() == ""


def test_speeds_are_those_of_jobs_whatever_is_pruned(spawn, database, workers):
    """So many came in and ended, between the first line and the last; pruning is neither."""
    top = spawn("athena", "top", "--json", "--interval=100ms")
    wait_until(lambda: top.stdout().count("\n") >= 2)
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 50)")
    workers.start("noop")
    wait_until(lambda: database.value("SELECT count(*) FROM athena.finished") == 50)
    database.query("INSERT INTO athena.tallies (family, state, delta) VALUES ('noop', 'succeeded', -50)")
    database.query("INSERT INTO athena.totals (family, what, delta) VALUES ('noop', 'pruned', 50)")
    seen = top.stdout().count("\n")
    wait_until(lambda: top.stdout().count("\n") >= seen + 3)
    looks = [json.loads(line) for line in top.stdout().splitlines()[:seen + 3]]
    came = ended = 0
    for before, look in zip(looks, looks[1:]):
        (family,) = (family for family in look["families"] if family["family"] == "noop")
        seconds = when(look["at"]) - when(before["at"])
        came += family["enqueued_per_s"] * seconds
        ended += family["ended_per_s"] * seconds
    assert (round(came), round(ended)) == (50, 50)


def when(text):
    import datetime
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_a_reader_sees_all_but_ages(run, database):
    database.query("INSERT INTO athena.jobs (family) VALUES ('noop')")
    database.query("DO $$ BEGIN CREATE ROLE top_reader LOGIN IN ROLE athena_reader; EXCEPTION WHEN duplicate_object THEN END $$")
    (look,) = run("athena", "top", "--once", "--json", LOOK,
                  url=database.cluster.url(database.name, "top_reader")).stdout.splitlines()
    (family,) = (family for family in json.loads(look)["families"] if family["family"] == "noop")
    assert (family["ready"], family["oldest_s"]) == (1, None)


def test_a_stranger_is_refused(run, database):
    database.query("DO $$ BEGIN CREATE ROLE top_stranger LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    done = run("athena", "top", "--once", url=database.cluster.url(database.name, "top_stranger"), status=1)
    assert "permission denied" in done.stderr


def test_alive_on_a_terminal(screen, database):
    screen = screen(database.url)
    screen.top()
    assert row(screen, "noop")[1] == "0"
    database.query("INSERT INTO athena.jobs (family) SELECT 'noop' FROM generate_series(1, 4321)")
    screen.wait(r"^jobs +4,321 ready")
    assert row(screen, "noop")[1] == "4,321"
    assert "\033[" in screen.text("-e")
    screen.type("q")
    screen.ended(0)


def test_it_fits_whatever_size_the_terminal_has(screen, database):
    screen = screen(database.url)
    screen.top()
    for columns, lines in ((60, 12), (200, 50), (25, 5), (100, 24)):
        screen.tmux("resize-window", "-x", str(columns), "-y", str(lines))

        def fits():
            shown = screen.tmux("capture-pane", "-p").splitlines()
            return (len(shown) == lines and shown[0].startswith("athena top  ") and shown[-1].startswith("q quit")
                    and (lines < 10 or any(len(line) == columns and "families" in line for line in shown)))
        wait_until(fits, what=f"a frame of {columns} by {lines}")
    assert re.search(r"^FAMILY .*OLDEST", screen.text(), re.M)
    screen.type("q")
    screen.ended(0)


def test_keys(screen, database):
    database.query("INSERT INTO athena.families (name) SELECT 'f' || n FROM generate_series(10, 60) AS n")
    database.query("INSERT INTO athena.jobs (family) SELECT 'f33' FROM generate_series(1, 5)")
    screen = screen(database.url)
    screen.top()

    def first_family():
        return screen.wait(r"^FAMILY .*\n(\S+)")[1]
    assert first_family() == "backup"
    screen.type("s")
    screen.wait(r"families +1-\d+ of \d+, by ready ")
    assert first_family() == "f33"
    screen.type("r")
    screen.wait(r"by ready \(reversed\)")
    screen.type("s", "s", "s", "s", "s", "r", "Down", "Down", "PageDown")
    screen.wait(r"families +13-\d+ of \d+ ")
    screen.type("Up", "x", "Escape")
    screen.wait(r"families +12-\d+ of \d+ ")
    screen.type("Tab", "s")
    screen.wait(r"workers +0, by running ")
    screen.type("Space")
    screen.wait(r"^held; space goes on$")
    database.query("INSERT INTO athena.jobs (family) VALUES ('f33')")
    screen.type("Space")
    screen.wait(r"^jobs +6 ready")
    screen.type("q")
    screen.ended(0)


@pytest.mark.parametrize("number, status", [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131), ("ABRT", 134)])
def test_the_terminal_is_as_it_was_after_a_signal(screen, database, number, status):
    screen = screen(database.url)
    screen.top()
    if number == "INT":
        screen.type("C-c")
    else:
        (pid,) = re.findall(r"\d+", subprocess.run(["pgrep", "-P", screen.show("pane_pid"), "athena"], text=True,
                                                   capture_output=True).stdout)
        subprocess.run(["kill", f"-{number}", pid], check=True)
    screen.ended(status)


def test_stopped_and_going_on(screen, database):
    screen = screen(database.url)
    screen.top()
    screen.type("C-z")
    screen.wait("Stopped")
    assert (screen.show("alternate_on"), screen.show("cursor_flag")) == ("0", "1")
    screen.enter("clear; fg")
    screen.wait("^athena top  ")
    assert screen.show("alternate_on") == "1"
    screen.type("q")
    wait_until(lambda: screen.show("alternate_on") == "0")


def test_a_server_that_is_gone_and_comes_back(screen, own_cluster):
    database = own_cluster.migrated_database()
    screen = screen(database.url)
    screen.top()
    database.close()
    own_cluster.stop("immediate")
    screen.wait("^no answer, trying again: .*")
    own_cluster.start()
    screen.wait("^q quit ")
    database.query("INSERT INTO athena.jobs (family) VALUES ('noop')")
    screen.wait(r"^jobs +1 ready")
    own_cluster.stop("immediate")
    screen.wait("^no answer, trying again: .*")
    screen.type("q")
    screen.ended(0)


@pytest.mark.parametrize("how", ["NO_COLOR", "--no-color"])
def test_no_colours(screen, database, how):
    screen = screen(database.url, **({"NO_COLOR": "1"} if how == "NO_COLOR" else {}))
    screen.top(*(["--no-color"] if how == "--no-color" else []))
    assert "\033[" not in screen.text("-e")
    screen.type("q")
    screen.ended(0)


def test_times_are_local_or_utc(screen, database):
    """Tokyo is nine hours ahead."""
    screen = screen(database.url)
    hours = []
    for option in ("", "--utc"):
        screen.top(option)
        hours.append(int(screen.wait(r"^athena top .* (\d\d):\d\d:\d\d$")[1]))
        screen.type("q")
        screen.ended(0)
    assert (hours[0] - hours[1]) % 24 in (8, 9)
