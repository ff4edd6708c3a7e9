# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow on Debian 12; database and object store on another machine, over verified TLS only, closed to everybody else."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DATA = "lt-alternative-data"


def answering(address: str, ports: list[int]) -> set[int]:
    """Those of the ports that accept a connection from outside both machines."""
    found = set()
    for port in ports:
        try:
            socket.create_connection((address, port), timeout=0.5).close()
        except OSError:
            continue
        found.add(port)
    return found


def on_data(command: str) -> str:
    return subprocess.run(["docker", "exec", DATA, "sh", "-c", command], capture_output=True, text=True, check=True).stdout


def test_mlflow_runs_on_debian_12(host):
    assert host.system_info.release.startswith("12")
    assert not host.package("postgresql-15").is_installed
    assert not host.package("radosgw").is_installed


def test_the_real_client_logs_and_reads_back(site):
    assert "/#/experiments/" in site.log_and_read_back(megabytes=20)


def test_the_run_is_in_the_database_and_the_store_of_the_other_machine(site):
    site.log_and_read_back(megabytes=1)
    runs = "runuser -u postgres -- psql -XtA -d mlflowdb -c \"select count(*) from runs where status = 'FINISHED'\""
    assert int(on_data(runs)) >= 1
    assert int(on_data("radosgw-admin bucket stats --bucket example-mlflow 2>/dev/null | sed -n 's/.*\"num_objects\": \\([0-9]*\\).*/\\1/p' | head -1")) >= 3


def test_the_database_connection_is_encrypted(site):
    assert site.status("/api/2.0/mlflow/experiments/search?max_results=1", login=True) == 200
    query = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null"
    assert on_data(f'runuser -u postgres -- psql -XtA -c "{query}"').strip() == "t"


@pytest.mark.parametrize("mode", ["disable", "prefer"])
def test_the_database_refuses_plain_text(host, mode):
    """With `prefer` libpq falls back to plain text only when TLS fails: the refusal must be that of the password."""
    done = host.run(f"PGPASSWORD=wrong-password PGSSLMODE={mode} PGCONNECT_TIMEOUT=5 psql -h data.lab.example -U mlflowdb mlflowdb -c 'select 1'")
    assert done.rc != 0
    assert ("no encryption" if mode == "disable" else "password authentication failed") in done.stderr


def test_nothing_but_ssh_and_the_web_answers_from_outside(addresses):
    assert answering(addresses["mlflow"], [22, 80, 443, 5000, 5432, 7443]) == {22, 80, 443}
    assert answering(addresses["data"], [22, 80, 443, 3300, 5432, 6789, 6800, 7443, 7480]) == {22}


def test_without_a_login_nothing_but_health(site):
    assert site.status("/health") == 200
    assert site.status("/") == 401


def play(*options: str) -> subprocess.CompletedProcess:
    """site.yml as a lab admin runs it."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
    command = [Path(sys.executable).parent / "ansible-playbook", "site.yml", "-i", "inventories/example_two_machines", "-i", inventory, *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def changes(done: subprocess.CompletedProcess) -> dict[str, int]:
    """Changes by host, as the recap has them."""
    return {host: int(count) for host, count in re.findall(r"^(\w+)\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.M)}


@pytest.mark.parametrize("limit", ["mlflow", "data"])
def test_one_machine_alone_finds_all_as_it_should_be(limit):
    """--limit: the other machine is not in the run, and still trusted."""
    done = play("--limit", limit)
    assert (done.returncode, changes(done)) == (0, {limit: 0}), done.stdout[-3000:] + done.stderr


def test_a_mistake_on_one_machine_stops_the_other(tmp_path):
    mistake = tmp_path / "mistake.yml"
    mistake.write_text("all: {hosts: {data: {host_base_memory_min_mb: 99999999}}}\n", encoding="utf-8")
    done = play("-i", str(mistake))
    assert (done.returncode, changes(done)) == (2, {"mlflow": 0, "data": 0}), done.stdout[-3000:]
    assert "data of the same site has not passed the check" in " ".join(done.stdout.split())
