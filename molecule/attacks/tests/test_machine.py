# SPDX-License-Identifier: GPL-3.0-or-later
"""A local user of the machine, without rights: an account that somebody else has there, or a service that was broken into."""

from __future__ import annotations

import subprocess

import pytest
from attacked import BUCKET, MACHINE, on_machine

UNIT = "labtrack-mlflow-main"


@pytest.fixture(scope="module")
def intruder() -> str:
    """A user without groups."""
    on_machine("sh", "-c", "id intruder >/dev/null 2>&1 || useradd --create-home intruder")
    return "intruder"


def as_user(user: str, command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["docker", "exec", MACHINE, "runuser", "-u", user, "--", "sh", "-c", command], capture_output=True, text=True, errors="replace", check=False
    )


@pytest.fixture(scope="module")
def secrets() -> list[str]:
    """What must not be found: passwords and keys of the site."""
    text = on_machine(
        "sh", "-c", "cat /var/lib/labtrack/mlflow/main/keys/* /var/lib/labtrack/mlflow/main/admin_credentials /etc/labtrack/object_store/environment"
    )
    values = [line.rpartition("=")[2].strip().strip('"') for line in text.splitlines() if line]
    found = [value for value in values if len(value) >= 20 and not value.startswith(("/", "http"))]
    assert len(found) >= 5
    return found


PLACES = {
    "environment, command lines and maps of all processes": "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; ps auxwwe",
    "unit files and their environment": "systemctl cat '*' 2>/dev/null; systemctl show '*' 2>/dev/null",
    "the journal": "journalctl --no-pager 2>/dev/null | tail -n 20000",
    "logs": "cat /var/log/nginx/* /var/log/postgresql/* /var/log/*.log /var/log/ceph/* 2>/dev/null",
    "configuration": "grep -rsh '' /etc 2>/dev/null",
    "state and backups": "grep -rsIh '' /var/lib/labtrack /var/lib/labtrack-config /var/backups /var/spool 2>/dev/null | head -c 50000000",
    "scratch directories, homes, shared memory": "grep -rsIh '' /tmp /var/tmp /root /home /dev/shm /run 2>/dev/null | head -c 50000000",
}


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_found(intruder, secrets, table, place):
    text = as_user(intruder, PLACES[place]).stdout
    assert not [secret[:6] for secret in secrets if secret in text]
    table(f"local user: {place}", f"no secret in {len(text) // 1000} kB")


DOORS = {
    "MLflow's socket for the REST API": f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/{UNIT}/api.sock\")'",
    "MLflow's socket for everything": f"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/{UNIT}/asgi.sock\")'",
    "PostgreSQL as MLflow's user": "psql -U mlflowdb mlflowdb -c 'select 1'",
    "PostgreSQL as the administrator": "psql -U postgres -c 'select 1'",
    "memory of MLflow": f"cat /proc/$(systemctl show -p MainPID --value {UNIT})/mem",
    "files of MLflow's processes": f"ls /proc/$(systemctl show -p MainPID --value {UNIT})/fd",
    "the private key": "cat /etc/labtrack/tls/privkey.pem",
    "the lab's CA": "cat /var/lib/labtrack/certificate/ca.key",
    "the database's files": "find /var/lib/labtrack/postgresql -type f | grep . ",
    "the object store's files": "find /var/lib/labtrack -path '*osd*' -type f -readable | grep . ",
    "the object store's administrator": "radosgw-admin user list 2>/dev/null | grep .",
    "a restart of MLflow": f"systemctl restart {UNIT}",
    "root": "sudo -n true",
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_opens(intruder, table, door):
    assert as_user(intruder, DOORS[door]).returncode != 0
    table(f"local user: {door}", "refused")


ASK = """
import ssl, sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1], context=ssl.create_default_context(cafile="/etc/labtrack/tls/ca.pem"), timeout=20)
    print(answer.status, answer.read(500))
except urllib.error.HTTPError as error:
    print(error.code)
"""


def test_the_object_store_wants_a_key(intruder, table):
    found = {}
    for path in ("/", f"/{BUCKET}", f"/{BUCKET}?list-type=2", f"/{BUCKET}/.labtrack/site.json", "/swift/v1", "/auth/v1.0", "/admin/user"):
        done = subprocess.run(
            ["docker", "exec", MACHINE, "runuser", "-u", intruder, "--", "python3", "-c", ASK, f"https://localhost:7443{path}"],
            capture_output=True,
            text=True,
            check=True,
        )
        status, _space, body = done.stdout.strip().partition(" ")
        assert status in ("401", "403", "404", "405") or "<Buckets></Buckets>" in body, (path, done.stdout)
        found[path] = status
    table("local user: the object store without a key", ", ".join(sorted(set(found.values()))) + " (200 is an empty list of buckets)")


def test_clients_never_see_the_key_of_the_bucket(alice, secrets, table):
    answers = [
        alice.ask("GET", path)[1].decode(errors="replace")
        for path in (
            f"/api/2.0/mlflow/runs/get?run_id={alice.run}",
            f"/api/2.0/mlflow/artifacts/list?run_id={alice.run}",
            "/api/3.0/mlflow/server-info",
            f"/api/2.0/mlflow-artifacts/presigned/{alice.folder}/x.txt",
            f"/api/2.0/mlflow-artifacts/artifacts/{alice.folder}/missing",
            "/api/2.0/mlflow/experiments/search?max_results=1000",
        )
    ]
    answers.append(alice.ask("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{alice.folder}/x", {"path": "x", "num_parts": 1})[1].decode(errors="replace"))
    assert not [answer[:200] for answer in answers if "X-Amz" in answer or "AWSAccessKeyId" in answer or any(secret in answer for secret in secrets)]
    table("a client looks for S3 keys and presigned addresses", "none")
