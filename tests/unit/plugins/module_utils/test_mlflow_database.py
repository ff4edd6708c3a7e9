# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of the first administrator, and what a schema that does not fit leads to."""

from __future__ import annotations

import os

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_database as database


def test_credentials_come_back(tmp_path):
    path = str(tmp_path / "folder" / "credentials")
    database.write_credentials(path, "admin", "per%cent=sign;# and more")
    assert database.read_credentials(path) == ("admin", "per%cent=sign;# and more")
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "folder") == ["credentials"]


def test_no_credentials(tmp_path):
    assert database.read_credentials(str(tmp_path / "none")) == ("", "")


@pytest.mark.parametrize("text", ["", "nonsense", "[other]\na = b\n", "[mlflow]\nmlflow_tracking_username = admin\n"])
def test_broken_credentials(tmp_path, text):
    path = tmp_path / "credentials"
    path.write_text(text)
    with pytest.raises(database.DatabaseError, match="no credentials file"):
        database.read_credentials(str(path))


def test_passwords_differ():
    assert len({database.new_password() for _ in range(100)}) == 100
    assert len(database.new_password()) >= 24


def found(tracking="ready", auth="ready"):
    return {name: {"state": state, "current": "c1", "wanted": "w1"} for name, state in (("tracking", tracking), ("auth", auth))}


def test_databases_that_fit():
    assert database.problem(found(), migrate=False) == ""
    assert database.problem(found("empty", "empty"), migrate=False) == ""
    assert database.problem(found("old", "old"), migrate=True) == ""


@pytest.mark.parametrize(
    ("states", "migrate", "words"),
    [
        (("old", "ready"), False, "tracking_server_database_migrate is 'false': the tracking database"),
        (("ready", "old"), False, "tracking_server_database_migrate is 'false': the database of logins"),
        (("new", "ready"), True, "tracking_server_version is older than the data"),
        (("damaged", "ready"), True, "tables are missing"),
    ],
)
def test_databases_that_do_not_fit(states, migrate, words):
    message = database.problem(found(*states), migrate)
    assert words in message
    assert message.lower().endswith("nothing was changed.")


def test_a_command_gets_its_secrets_on_standard_input(monkeypatch):
    seen = {}

    class Done:
        returncode, stdout, stderr = 0, "{}", ""

    def run(command, **options):
        seen.update(options, command=command)
        return Done

    monkeypatch.setattr(database.subprocess, "run", run)
    assert database.run_as("root", ["python", "database.py"], "the secret", {"A": "b"}) == (0, "{}", "")
    assert seen["input"] == "the secret"
    assert "the secret" not in f"{seen['command']} {seen['env']}"
    assert (seen["user"], seen["extra_groups"]) == (0, [])
