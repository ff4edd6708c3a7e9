# SPDX-License-Identifier: GPL-3.0-or-later
"""Lose everything but the store and the inventory, and get the site back. The tests go on from each other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from testbed import client
from testbed.site import Site

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.usefixtures("host")
WORK = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = WORK / "inventory" / "hosts.yml"
FILES = Path(__file__).resolve().parents[1] / "files"
MACHINE = "lt-restore"
# archive_timeout, and as much again for a segment that is on its way to the store
WINDOW_SECONDS = 120
KEYS = "/var/lib/labtrack/mlflow/main/keys/* /var/lib/labtrack/mlflow/main/admin_credentials /var/lib/labtrack/certificate/ca.key"
state: dict = {}
# name, and whether its rows belong to a run
TABLES = """
    select table_name, bool_or(column_name = 'run_uuid') from information_schema.columns join information_schema.tables using (table_schema, table_name)
    where table_schema = 'public' and table_type = 'BASE TABLE' group by 1 order by 1"""
CHECKSUM = """select count(*) || ' ' || coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '') from :"table" t"""


def play(name: str, *options: str) -> str:
    """Output of a playbook that succeeds, as a lab admin runs it."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), name, "-i", str(INVENTORY), *options]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def shell(command: str, data: str = "") -> str:
    """Output of a command on the machine, as root."""
    done = subprocess.run(["docker", "exec", "-i", MACHINE, "sh", "-c", command], input=data, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def psql(query: str, database: str = "mlflowdb", **values: str) -> str:
    """Values; :'name' and :"name" in the query are one of the values."""
    options = " ".join(f"-v {name}={value}" for name, value in values.items())
    return shell(f"cd / && runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 {options} {database}", query).strip()


def checksums() -> dict[str, str]:
    """Rows and MD5 of every table of both databases; without the run that is being written."""
    found = {}
    for database in ("mlflowdb", "mlflowauth"):
        columns = psql(TABLES, database)
        for line in columns.splitlines():
            table, of_a_run = line.split("|")
            where = "where run_uuid <> :'run'" if of_a_run == "t" else ""
            query = f"{CHECKSUM} {where}"
            found[f"{database}.{table}"] = psql(query, database, table=table, run=state["run"])
    return found


def site() -> Site:
    address = json.loads(subprocess.run(["docker", "inspect", MACHINE], capture_output=True, text=True, check=True).stdout)[0]
    return Site.of(MACHINE, "mlflow.restore.test", address["NetworkSettings"]["Networks"]["labtrack"]["IPAddress"], WORK / "ca.pem")


def run_client(*arguments: str) -> str:
    done = subprocess.run([client.python(), FILES / "client.py", *arguments], env=site().environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_a_site_with_data():
    play("site.yml")
    run_client("log", str(WORK / "artifacts.json"))
    psql((FILES / "bulk.sql").read_text(encoding="utf-8"))
    assert psql("select count(*) from runs") == "10000"
    assert int(psql("select count(*) from metrics")) >= 1_000_000
    assert len(json.loads((WORK / "artifacts.json").read_text(encoding="utf-8"))) == 500
    assert "backup" in play("playbooks/backup.yml")


def test_a_client_writes_until_the_machine_and_its_volume_are_gone():
    log = WORK / "acknowledged"
    writer = subprocess.Popen([client.python(), FILES / "client.py", "write", str(log)], env=site().environment(), stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 600
        # two windows, so that some writes are older than one
        while not log.exists() or len(log.read_text(encoding="utf-8").splitlines()) < 3 or time.time() - first_time(log) < 2 * WINDOW_SECONDS:
            assert writer.poll() is None and time.monotonic() < end
            time.sleep(1)
        state["run"] = log.read_text(encoding="utf-8").splitlines()[0]
        state["before"] = checksums()
        state["keys"] = shell(f"sha256sum {KEYS}")
        subprocess.run(["docker", "rm", "--force", "--volumes", MACHINE], check=True, capture_output=True)
        state["lost"] = time.time()
    finally:
        writer.kill()
        writer.wait()
    volumes = subprocess.run(["docker", "volume", "ls", "-q", "--filter", f"name={MACHINE}"], capture_output=True, text=True, check=True).stdout.split()
    for volume in volumes:
        subprocess.run(["docker", "volume", "rm", volume], check=True, capture_output=True)


def first_time(log: Path) -> float:
    return float(log.read_text(encoding="utf-8").splitlines()[1].split()[1])


def test_restore_makes_the_site_again_on_a_new_machine():
    platforms = yaml.safe_load((FILES.parent / "molecule.yml").read_text(encoding="utf-8"))["platforms"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "script")}
    command = [sys.executable, "-m", "testbed", "up"]
    done = subprocess.run(command, input=json.dumps(platforms), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    INVENTORY.write_text(done.stdout, encoding="utf-8")
    began = time.time()
    state["output"] = play("playbooks/restore.yml")
    assert site().status("/health") == 200
    now = time.time()
    state["rto"] = f"{now - began:.0f} s for restore.yml on an empty machine; {now - state['lost']:.0f} s since the loss"


def test_every_row_is_back():
    after = checksums()
    assert {name: (state["before"][name], after.get(name)) for name in state["before"] if after.get(name) != state["before"][name]} == {}
    assert shell(f"sha256sum {KEYS}") == state["keys"]
    print(f"{len(after)} tables, {sum(int(value.split()[0]) for value in after.values())} rows equal")


def test_every_acknowledged_write_older_than_the_window_is_back():
    lines = [line.split() for line in (WORK / "acknowledged").read_text(encoding="utf-8").splitlines()[1:]]
    acknowledged = {int(step): float(at) for step, at in (line for line in lines if len(line) == 2)}
    back = {int(step) for step in psql("select step from metrics where run_uuid = :'run'", run=state["run"]).split()}
    missing = {step: at for step, at in acknowledged.items() if step not in back}
    last = max(acknowledged.values())
    rpo = last - min(missing.values()) if missing else 0.0
    with open(WORK / "figures.txt", "w", encoding="utf-8") as stream:
        print(f"RPO {rpo:.1f} s ({len(missing)} of {len(acknowledged)} acknowledged writes lost)\nRTO {state['rto']}", file=stream)
    print("\n" + (WORK / "figures.txt").read_text(encoding="utf-8"))
    assert rpo <= WINDOW_SECONDS
    assert len(acknowledged) - len(missing) > 10


def test_every_artifact_is_back_and_the_old_login_works():
    assert "500 artifacts read, 0 differ" in run_client("read", str(WORK / "artifacts.json"))


def test_the_report_says_what_there_is():
    text = re.sub(r"\s+", " ", state["output"].rpartition("SUMMARY")[2])
    assert re.search(r"restored: \d+ rows, 10001 runs in 2 experiments, the newest [0-9a-f]{32} \(until the end\)", text), text


def test_it_is_a_site_like_any_other():
    assert re.search(r"changed=0 ", play("site.yml"))
    assert "passed" in play("playbooks/verify_backup.yml")
