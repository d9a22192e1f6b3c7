# SPDX-License-Identifier: PostgreSQL
"""What is said when the database cannot be reached, or is not Athena's: what, where, what next."""
import pytest

from athena_test import Cluster, program_path as program


@pytest.fixture
def strict_cluster():
    """A server that asks everybody but `postgres` for a password."""
    server = Cluster(hba="local all postgres trust\nlocal all all scram-sha-256\n")
    yield server.start()
    server.remove()


def test_no_server(run, tmp_path):
    url = f"postgresql:///athena?host={tmp_path}&user=me"
    done = run("athena", "job", "list", url=url, status=1)
    assert (done.stdout, done.stderr) == ("", f"""\
athena job list: connecting to {url}&password=*** (from ATHENA_DATABASE_URL): connection to server on socket \
"{tmp_path}/.s.PGSQL.5432" failed: No such file or directory Is the server running locally and \
accepting connections on that socket?
  next: start that server, set ATHENA_DATABASE_URL, or try a private one: athena dev
""")


def test_wrong_password(run, strict_cluster):
    with strict_cluster.connect() as conn:
        conn.execute("CREATE ROLE producer LOGIN PASSWORD 'right'")
    url = f"postgresql://producer:geheim@/postgres?host={strict_cluster.host}"
    done = run("athena", "job", "list", url=url, status=1)
    assert (done.stdout, done.stderr) == ("", f"""\
athena job list: connecting to postgresql://producer:***@/postgres?host={strict_cluster.host} \
(from ATHENA_DATABASE_URL): connection to server on socket \
"{strict_cluster.host}/.s.PGSQL.5432" failed: FATAL:  password authentication failed for user \
"producer"
  next: correct user and password in ATHENA_DATABASE_URL or database.url, or use ~/.pgpass
""")


def test_no_such_database(run, cluster):
    url = cluster.url("nowhere")
    done = run("athena", "job", "list", url=url, status=1)
    assert done.stderr.endswith('FATAL:  database "nowhere" does not exist\n'
                                "  next: create it (createdb), or correct ATHENA_DATABASE_URL\n")


def test_no_such_role(run, cluster):
    done = run("athena", "job", "list", url=cluster.url(user="nobody_here"), status=1)
    assert 'FATAL:  role "nobody_here" does not exist\n  next: ask as a role that is there' in done.stderr


def test_a_dotenv_that_cannot_be_read_is_told(run, cluster, tmp_path):
    (tmp_path / ".env").mkdir()
    done = run("athena", "job", "list", url=cluster.url(user="nobody_here"), status=1)
    assert done.stderr.startswith("warning: ") and ".env" in done.stderr


def test_no_connection_string(run):
    done = run("athena", "job", "list", url="nonsense", status=2)
    assert done.stderr == ('athena job list: ATHENA_DATABASE_URL: "url" must be a connection URI or '
                           "key=value string\n")


def test_the_origin_of_the_setting_is_named(run, tmp_path):
    (tmp_path / "config.yaml").write_text(f"database:\n  url: postgresql:///x?host={tmp_path}\n")
    done = run("athena", "job", "list", status=1)
    assert f"connecting to postgresql:///x?host={tmp_path} (from config.yaml:2): " in done.stderr


def test_a_database_without_athena(run, empty_database):
    done = run("athena", "job", "list", url=empty_database.url, status=2)
    assert (done.stdout, done.stderr) == ("", f"""\
athena job list: database "{empty_database.name}" has no Athena schema
  next: athena migrate
""")


def test_colours_are_for_terminals(run, database):
    run("athena", "enqueue", "noop")
    plain = run("athena", "job", "list").stdout
    assert "\033" not in plain
    tty = run("script", "-qec", f"stty cols 100; {program('athena')} job list", "/dev/null",
              env={"TERM": "xterm"}).stdout
    assert "\033[1mJOB\033[0m" in tty
    for env in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        tty = run("script", "-qec", f"{program('athena')} job list", "/dev/null", env=env).stdout
        assert "\033" not in tty and "FAMILY" in tty
    tty = run("script", "-qec", f"{program('athena')} --no-color job list", "/dev/null",
              env={"TERM": "xterm"}).stdout
    assert "\033" not in tty and "FAMILY" in tty
