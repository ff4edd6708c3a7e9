# SPDX-License-Identifier: GPL-3.0-or-later
"""What database_doctor says of a server that MLflow cannot use; nothing is installed for it on the machine."""

import json
import os
import subprocess
from pathlib import Path

import pytest

INVENTORY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory")
GOOD = {
    "host": "absent.labtrack.test:5433,db.labtrack.test",
    "port": 5433,
    "user": "labowner",
    "password": "correct-horse-battery-staple",
    "databases": ["labdb", "labauth"],
    "ca_file": "/etc/labtrack/tls/database-ca.pem",
    "timeout_seconds": 3,
}


def ask(**changes):
    arguments = json.dumps({**GOOD, **changes})
    command = ["ansible", "-i", INVENTORY, "lt-postgresql-client", "-m", "labtrack.mlflow.database_doctor", "-a", arguments]
    environment = {**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert GOOD["password"] not in done.stdout
    return json.loads(done.stdout.split("=>", 1)[1])


def test_a_good_server():
    answer = ask()
    assert answer["problems"] == []
    assert (answer["server"]["host"], answer["server"]["port"]) == ("db.labtrack.test", 5433)
    assert answer["server"]["version"].startswith("15.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "absent.labtrack.test"}, ["cannot be resolved"]),
        ({"host": "db.labtrack.test:5434"}, ["cannot be reached", "Connection refused"]),
        ({"host": "db.labtrack.test:22"}, ["no TLS connection comes about"]),
        ({"host": "db.labtrack.test:port"}, ["neither a host nor host:port"]),
        ({"password": "wrong-password-12"}, ["password of user 'labowner' is refused"]),
        ({"user": "nobody"}, ["pg_hba.conf"]),
        ({"databases": ["labdb", "absent"]}, ["does not admit"]),
        ({"ca_file": "/etc/labtrack/tls/stranger.pem"}, ["certificate is refused", "site_database_ca_file"]),
        ({"ca_file": "/etc/labtrack/tls/none.pem"}, ["cannot be used to verify the server", "No such file"]),
        ({"ca_file": "/etc/hostname"}, ["holds no certificate"]),
    ],
)
def test_a_bad_one(changes, words):
    problems = " ".join(ask(**changes)["problems"])
    assert problems
    assert any(word in problems for word in words[:2]), problems
