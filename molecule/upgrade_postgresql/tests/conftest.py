# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine, its playbook, and a client that writes all the time."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))
sys.path.insert(0, str(Path(__file__).parent))

from testbed.faults import Machine, wait
from testbed.upgrades import note, table

ROOT = Path(__file__).resolve().parents[3]
NAME, SITE = "lt-upgrade-postgresql", "upgrade-postgresql"
PROGRAM = "python3 -B /usr/local/lib/labtrack/postgresql_upgrade"
FOLDER = "/var/lib/labtrack/postgresql/upgrade"
ORDER = "/run/labtrack-test-kill"
WRITER = "/opt/writer"
SOCKET = "/run/labtrack-mlflow-main/api.sock"
LOGIN = "/var/lib/labtrack/mlflow/main/admin_credentials"


# psql runs what it selects
EVERY_TABLE = """
    select format('select %L, count(*), sum(hashtextextended(x::text, 0)::numeric) from %I x', tablename, tablename) from pg_tables
    where schemaname = 'public' order by 1 \\gexec"""


class Site:
    """What the tests ask of the machine."""

    def __init__(self) -> None:
        self.machine = Machine(NAME)
        self.sh, self.run = self.machine.sh, self.machine.run

    def play(self, *variables: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run the playbook to its end."""
        inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
        more = [word for variable in (f"@{ROOT}/molecule/upgrade_postgresql/vars/main.yml", *variables) for word in ("-e", variable)]
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/upgrade_postgresql.yml", "-i", str(inventory), *more, *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LABTRACK_REPORT_DIR": "", "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def sql(self, query: str, database: str = "postgres", **values: str) -> str:
        """Ask the server that everybody reaches; :'name' in the query is one of the values."""
        named = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
        command = ["docker", "exec", "-i", NAME, "runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", database, *named]
        return subprocess.run(command, input=query, capture_output=True, text=True, check=True).stdout.strip()

    def version(self) -> int:
        """Major version that serves."""
        return int(self.sql("show server_version_num")) // 10000

    def fingerprint(self) -> str:
        """Rows of every table of all databases, and a checksum of each."""
        return "\n".join(self.sql(EVERY_TABLE, database) for database in ("mlflowdb", "mlflowauth", "handmade"))

    def kill_at(self, step: str, action: str = "upgrade") -> subprocess.CompletedProcess[str]:
        """Let the program run, killed at a step."""
        self.sh(f"echo {step} > {ORDER}")
        done = self.run(f"{PROGRAM} start {action} {FOLDER}", 600)
        assert self.run(f"test -e {ORDER}").returncode == 1, f"nothing was killed: {done.stdout}{done.stderr}"
        return done

    def ready(self) -> None:
        """MLflow serves again."""
        wait(lambda: self.machine.active("labtrack-mlflow-main"), 240, "MLflow is ready")

    @contextlib.contextmanager
    def writing(self) -> t.Iterator[dict]:
        """A client logs metrics all the time; at the end, what it saw, and each acknowledged number is in the database."""
        found: dict = {}
        self.sh(f"rm -rf {WRITER} && mkdir {WRITER}")
        self.sh(f"setsid python3 /opt/writer.py {WRITER} {LOGIN} {SOCKET} > {WRITER}/log 2>&1 < /dev/null &")
        wait(lambda: int(self.run(f"cat {WRITER}/acknowledged | wc -l").stdout) > 20, 60, "the client writes")
        yield found
        self.sh(f"touch {WRITER}/stop")
        wait(lambda: self.run(f"test -s {WRITER}/summary").returncode == 0, 300, "the client has ended")
        found |= json.loads(self.sh(f"cat {WRITER}/summary"))
        run = self.sh(f"cat {WRITER}/run")
        there = set(self.sql("select step from metrics where run_uuid = :'run'", "mlflowdb", run=run).splitlines())
        found["lost"] = [number for number in self.sh(f"cat {WRITER}/acknowledged").split() if number not in there]
        note(found)


@pytest.fixture(scope="session")
def site() -> t.Iterator[Site]:
    """MLflow on PostgreSQL 15, a database made by hand in another language, and the hook that kills."""
    found = Site()
    here = Path(__file__).resolve().parent
    for source, target in (
        (ROOT / "script/testbed/writer.py", "/opt/writer.py"),
        (here.parent / "files/labtrack_test_kill.py", "/usr/local/lib/python3.13/dist-packages/labtrack_test_kill.py"),
        (here.parent / "files/labtrack_test_kill.pth", "/usr/local/lib/python3.13/dist-packages/labtrack_test_kill.pth"),
    ):
        subprocess.run(["docker", "cp", "-q", str(source), f"{NAME}:{target}"], check=True)
    found.ready()
    if "handmade" not in found.sql("select datname from pg_database"):
        # since the machine's upgrade the locale has another version than the one on record: as with a database of Debian 12
        found.sql(
            "create database handmade template template0 lc_collate 'de_DE.UTF-8' lc_ctype 'de_DE.UTF-8';\n"
            "update pg_database set datcollversion = '2.36' where datname = 'handmade';"
        )
        found.sql("create table words (w text primary key, n serial); insert into words (w) select md5(i::text) from generate_series(1, 5000) i;", "handmade")
    with found.writing() as client:
        pass
    assert client["lost"] == [] and client["failed"] == 0
    yield found
    print("\n" + table())
